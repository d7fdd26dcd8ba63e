import { conditions } from "./conditions.ts";
import {
  anyObject,
  flag,
  list,
  map,
  object,
  openObject,
  quantity,
  type Static,
  text,
  timestamp,
  whole,
  word,
} from "./schema.ts";

/** Where a VMI is in its life. */
export const VMI_PHASES = [
  "",
  "Pending",
  "Scheduling",
  "Scheduled",
  "Running",
  "Succeeded",
  "Failed",
  "Unknown",
  "WaitingForSync",
] as const;

const interfaceStatus = object(
  "A NIC as it is.",
  {},
  {
    name: text("Name of the network; empty for a NIC that only the guest knows."),
    mac: text("MAC of the NIC."),
    ipAddress: text("The first of `ipAddresses`."),
    ipAddresses: list(
      "Addresses to reach the guest by: the pod's, then those that were set in the guest where they can be reached.",
      text("IPv4 or IPv6 address."),
    ),
    interfaceName: text("Name in the guest, as its agent tells it."),
    infoSource: text("Where this comes from: `domain`, `guest-agent`, `multus-status`, joined by comma and blank."),
    queueCount: whole("Queue pairs of the NIC."),
    podInterfaceName: text("Name of the pod's link."),
    linkState: text("`up` or `down`."),
  },
);

const claimInfo = object(
  "The claim behind a volume, as it was when the guest began.",
  {},
  {
    claimName: text("Name of the PersistentVolumeClaim."),
    accessModes: list("How the claim may be used.", text("`ReadWriteOnce`, `ReadOnlyMany` and the like.")),
    volumeMode: text("`Filesystem` or `Block`."),
    capacity: map("How much there is.", quantity("Amount.")),
    requests: map("How much was asked for.", quantity("Amount.")),
    filesystemOverhead: text("Share of the claim that is kept free of the disk image, from 0 to 1."),
    preallocated: flag("True where the whole image is set aside on the node's disk."),
  },
);

const volumeStatus = openObject("A volume as it is.", {
  name: text("Name of the volume."),
  target: text(
    "Device of the volume's disk in the domain, `vda`; the guest may call it otherwise. Empty without a disk.",
  ),
  persistentVolumeClaimInfo: claimInfo,
});

/** `status` of a VirtualMachineInstance. */
export const vmiStatus = openObject("The guest as it is.", {
  phase: word("Where the VMI is in its life.", VMI_PHASES),
  reason: text("Why the phase is what it is."),
  conditions,
  interfaces: list("NICs, the primary one first.", interfaceStatus),
  nodeName: text("Node that runs the guest."),
  activePods: map("Node by UID of each pod that belongs to the VMI.", text("Name of the node.")),
  phaseTransitionTimestamps: list(
    "When each phase began.",
    object(
      "Begin of a phase.",
      {},
      { phase: text("The phase."), phaseTransitionTimestamp: timestamp("When it began.") },
    ),
  ),
  qosClass: text("`Guaranteed`, `Burstable` or `BestEffort`."),
  launcherContainerImageVersion: text("What runs the guest."),
  virtualMachineRevisionName: text("Version of the VirtualMachine that made this VMI."),
  migrationMethod: text(
    "`LiveMigration` where another node has all that the guest writes on, else `BlockMigration`: disks are copied.",
  ),
  migrationTransport: text("`Unix` where the guest moves by a socket file."),
  migrationState: anyObject("The migration that is going on, or the last one."),
  machine: object("Machine type in use.", {}, { type: text("Versioned machine type.") }),
  guestOSInfo: anyObject("The guest's system, as its agent tells it."),
  volumeStatus: list("Volumes as they are, by their names.", volumeStatus),
  runtimeUser: whole("User that QEMU runs as; 0 is root.", "int64"),
});

export type InterfaceStatus = Static<typeof interfaceStatus>;
export type VolumeStatus = Static<typeof volumeStatus>;
export type ClaimInfo = Static<typeof claimInfo>;
export type VmiStatus = Static<typeof vmiStatus>;
export type VmiPhase = (typeof VMI_PHASES)[number];
