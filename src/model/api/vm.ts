import { conditions } from "./conditions.ts";
import { metadata } from "./metadata.ts";
import { anyObject, flag, list, map, object, openObject, type Static, text, timestamp, whole, word } from "./schema.ts";
import { vmiSpec } from "./vmi.ts";

/** `spec` of a VirtualMachine. */
export const vmSpec = object(
  "The guest that is asked for, and when it is to run.",
  {
    template: object("The VMI that is made.", { spec: vmiSpec }, { metadata }),
  },
  {
    running: flag("True: keep one VMI running. Required where there is no `runStrategy`, and refused beside one."),
    runStrategy: text(
      "`Always`, `RerunOnFailure`, `Once`, `Manual`, `Halted` or, with the feature gate `DecentralizedLiveMigration`, `WaitAsReceiver`; any other is refused. Required where there is no `running`.",
    ),
    instancetype: anyObject("Named size to take processors and memory from."),
    preference: anyObject("Named preferences that fill what is not set."),
    dataVolumeTemplates: list("Volumes to make with the VM. Default none.", anyObject("A DataVolume.")),
    updateVolumesStrategy: text("`Replacement` or `Migration`. Default Replacement."),
    liveUpdateFeatures: anyObject("What may be changed in the running guest."),
  },
);

/** `status` of a VirtualMachine. */
export const vmStatus = openObject("The VM as it is.", {
  conditions,
  created: flag("True when the VMI is there."),
  ready: flag("True when the VMI is ready."),
  printableStatus: text("One word for people, such as `Running`, `Stopped` or `CrashLoopBackOff`."),
  runStrategy: text("The run strategy that was acted on last."),
  desiredGeneration: whole("Generation of the VM's spec.", "int64"),
  observedGeneration: whole("Generation of the VM's spec that the VMI was made of.", "int64"),
  stateChangeRequests: list(
    "What `start`, `stop` and `restart` asked for and is not done yet; the first is next.",
    object(
      "A request.",
      { action: word("What is to be done.", ["Start", "Stop"]) },
      { uid: text("UID of the VMI that is to stop."), data: map("Details of a start.", text("`paused`: `true`.")) },
    ),
  ),
  startFailure: object(
    "How often the VM failed in a row.",
    {},
    {
      consecutiveFailCount: whole("Number of failures."),
      lastFailedVMIUID: text("UID of the VMI that failed last."),
      retryAfterTimestamp: timestamp("The next start comes no earlier."),
    },
  ),
  interfaces: list(
    "Addresses that the VM had on the pod network: the next VMI asks for them again.",
    object(
      "A NIC.",
      { name: text("Name of the network.") },
      { ipAddresses: list("Addresses of the pod's link.", text("IPv4 or IPv6 address.")) },
    ),
  ),
});

export const virtualMachine = object(
  "A guest that may be started and stopped.",
  { apiVersion: text("`kubevirt.io/v1`."), kind: text("`VirtualMachine`."), spec: vmSpec },
  { metadata, status: vmStatus },
);

export type VmSpec = Static<typeof vmSpec>;
export type VmStatus = Static<typeof vmStatus>;
export type StateChangeRequest = NonNullable<VmStatus["stateChangeRequests"]>[number];
export type VirtualMachine = Static<typeof virtualMachine>;
