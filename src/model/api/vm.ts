import { conditions } from "./conditions.ts";
import { metadata } from "./metadata.ts";
import { anyObject, flag, list, object, openObject, type Static, text } from "./schema.ts";
import { vmiSpec } from "./vmi.ts";

/** `spec` of a VirtualMachine. */
export const vmSpec = object(
  "The guest that is asked for, and when it is to run.",
  {
    template: object("The VMI that is made.", { spec: vmiSpec }, { metadata }),
  },
  {
    running: flag("True: keep one VMI running. Exactly one of `running` and `runStrategy`."),
    runStrategy: text("`Always`, `RerunOnFailure`, `Once`, `Manual`, `Halted` or `WaitAsReceiver`."),
    instancetype: anyObject("Named size to take processors and memory from."),
    preference: anyObject("Named preferences that fill what is not set."),
    dataVolumeTemplates: list("Volumes to make with the VM.", anyObject("A DataVolume.")),
    updateVolumesStrategy: text("`Replacement` or `Migration`."),
    liveUpdateFeatures: anyObject("What may be changed in the running guest."),
  },
);

export const virtualMachine = object(
  "A guest that may be started and stopped.",
  { apiVersion: text("`kubevirt.io/v1`."), kind: text("`VirtualMachine`."), spec: vmSpec },
  {
    metadata,
    status: openObject("The VM as it is.", {
      conditions,
      created: flag("True when the VMI is there."),
      ready: flag("True when the VMI is ready."),
      printableStatus: text("One word for people."),
    }),
  },
);

export type VmSpec = Static<typeof vmSpec>;
export type VirtualMachine = Static<typeof virtualMachine>;
