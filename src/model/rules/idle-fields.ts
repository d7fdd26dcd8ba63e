import type { FieldPath } from "../api/field-path.ts";
import { valueAt } from "../api/field-path.ts";
import type { Problem } from "./problem.ts";
import { problemAt, type Subject } from "./subject.ts";

/** A field that is taken and comes to nothing on a machine without a cluster. */
interface Idle {
  readonly at: FieldPath;
  /** Only this value; absent: every one but false and 0. */
  readonly value?: unknown;
  /** What the guest lacks, as the rest of a sentence. */
  readonly why: string;
}

const DEVICES = ["domain", "devices"] as const;
const KERNEL = ["domain", "firmware", "kernelBoot", "container"] as const;
const FROM_THE_STORE = "images are taken from this machine's store, and only `patchbay image pull` brings newer ones";
const CREDENTIALS = "`patchbay image pull` uses skopeo's credentials (skopeo login)";
const PLUGGED = "nothing is plugged into a guest that runs";

const IDLE: readonly Idle[] = [
  { at: [...DEVICES, "sound"], why: "the guest gets no sound card" },
  { at: [...DEVICES, "video"], why: "the guest's screen is a VGA adapter" },
  { at: [...DEVICES, "panicDevices"], why: "a crash is not reported by a device" },
  { at: [...DEVICES, "clientPassthrough"], why: "no USB device of a client is redirected" },
  { at: [...DEVICES, "autoattachVSOCK"], why: "the guest gets no vsock device" },
  { at: [...DEVICES, "blockMultiQueue"], why: "virtio disks have as many queues as QEMU gives them" },
  { at: ["domain", "firmware", "bootloader", "bios", "useSerial"], why: "the BIOS writes to the screen" },
  { at: ["domain", "firmware", "bootloader", "efi", "persistent"], why: "EFI variables go with the guest" },
  { at: ["domain", "firmware", "acpi"], why: "the guest gets no further ACPI tables" },
  { at: [...KERNEL, "imagePullPolicy"], value: "Always", why: FROM_THE_STORE },
  { at: [...KERNEL, "imagePullSecret"], why: CREDENTIALS },
  { at: ["domain", "cpu", "features"], why: "the guest's processor has what its model has" },
  { at: ["domain", "cpu", "maxSockets"], why: PLUGGED },
  { at: ["domain", "cpu", "isolateEmulatorThread"], why: "QEMU itself runs on any processor" },
  { at: ["domain", "cpu", "numa"], why: "the guest sees one NUMA node" },
  { at: ["domain", "cpu", "realtime"], why: "vCPUs are scheduled as everything else" },
  { at: ["domain", "memory", "maxGuest"], why: PLUGGED },
  { at: ["domain", "clock", "timezone"], why: "the guest's clock tells UTC" },
  { at: ["domain", "clock", "utc", "offsetSeconds"], why: "the guest's clock tells UTC" },
  { at: ["domain", "clock", "timer"], why: "the guest has QEMU's own timers" },
  { at: ["domain", "features", "acpi", "enabled"], value: false, why: "the guest has ACPI, by which it is shut down" },
  { at: ["domain", "features", "hyperv"], why: "the guest sees no Hyper-V" },
  { at: ["domain", "features", "hypervPassthrough", "enabled"], why: "the guest sees no Hyper-V" },
  { at: ["domain", "features", "kvm", "hidden"], why: "the guest may see what it runs on" },
  { at: ["domain", "chassis"], why: "DMI tables say nothing of the case" },
  { at: ["domain", "ioThreadsPolicy"], why: "disks share QEMU's threads" },
  { at: ["domain", "ioThreads"], why: "disks share QEMU's threads" },
  { at: [...DEVICES, "autoattachSerialConsole"], value: false, why: "the guest has a serial console all the same" },
  { at: [...DEVICES, "autoattachMemBalloon"], value: true, why: "the guest gets no memory balloon" },
  { at: ["domain", "rebootPolicy"], value: "Terminate", why: "a guest that reboots goes on" },
  { at: ["utilityVolumes"], why: "no volume is made for the pod" },
  { at: ["accessCredentials"], why: "keys and passwords come into the guest by cloud-init's data alone" },
];

const OF_DISKS: readonly Idle[] = [
  { at: ["disk", "pciAddress"], why: "the disk gets the next free slot" },
  { at: ["tag"], why: "the guest does not find it" },
  { at: ["cdrom", "tray"], value: "open", why: "the disc is in the drive" },
  { at: ["blockSize", "matchVolume", "enabled"], why: "the disk has blocks of 512 bytes" },
  { at: ["dedicatedIOThread"], why: "the disk shares QEMU's threads" },
  { at: ["changedBlockTracking"], why: "changed blocks are not recorded" },
];

const OF_VOLUMES: readonly Idle[] = [
  { at: ["containerDisk", "imagePullPolicy"], value: "Always", why: FROM_THE_STORE },
  { at: ["containerDisk", "imagePullSecret"], why: CREDENTIALS },
];

/** Fields that a user may count on, and that do nothing here (PB2509). */
export function idleFields(subject: Subject): Problem[] {
  const { volumes = [], domain } = subject.spec;
  return [
    ...IDLE.flatMap((idle) => told(subject, [], idle)),
    ...(domain.devices.disks ?? []).flatMap((disk, index) => [
      ...OF_DISKS.flatMap((idle) => told(subject, [...DEVICES, "disks", index], idle)),
      ...(disk.io === "native" && disk.cache !== "none" ? [threadedIo(subject, index)] : []),
    ]),
    ...volumes.flatMap((_, index) => OF_VOLUMES.flatMap((idle) => told(subject, ["volumes", index], idle))),
  ];
}

/** QEMU has native I/O without the page cache alone; libvirt refuses it with another cache. */
function threadedIo(subject: Subject, index: number): Problem {
  return problemAt(subject, [...DEVICES, "disks", index, "io"], {
    code: "PB2509",
    type: "FieldValueNotSupported",
    message: "io: native has no effect here without cache: none: threads read and write the disk.",
    cure: "Write cache: none beside it, or leave io out.",
  });
}

/** What counts as not written. */
const NOTHING: readonly unknown[] = [undefined, false, 0, ""];

function told(subject: Subject, below: FieldPath, { at, value, why }: Idle): Problem[] {
  const place = [...below, ...at];
  const found = valueAt(subject.spec, place);
  const counts = value === undefined ? !NOTHING.includes(found) : found === value;
  if (!counts || (Array.isArray(found) && found.length === 0)) return [];
  return [
    problemAt(subject, place, {
      code: "PB2509",
      type: "FieldValueNotSupported",
      message: `${String(at.at(-1))} has no effect here: ${why}.`,
      cure: "Leave it out, unless the manifest is for a cluster as well.",
    }),
  ];
}
