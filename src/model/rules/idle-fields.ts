import type { FieldPath } from "../api/field-path.ts";
import { valueAt } from "../api/field-path.ts";
import type { Problem } from "./problem.ts";
import { problemAt, type Subject } from "./subject.ts";

/** A field that is taken and comes to nothing on a machine without a cluster. */
interface Idle {
  readonly at: FieldPath;
  /** Only this value; absent: every one but false. */
  readonly value?: unknown;
  /** What the guest lacks, as the rest of a sentence. */
  readonly why: string;
}

const DEVICES = ["domain", "devices"] as const;

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
  { at: ["domain", "rebootPolicy"], value: "Terminate", why: "a guest that reboots goes on" },
  { at: ["accessCredentials"], why: "keys and passwords come into the guest by cloud-init's data alone" },
];

const OF_DISKS: readonly Idle[] = [
  { at: ["disk", "pciAddress"], why: "the disk gets the next free slot" },
  { at: ["tag"], why: "the guest does not find it" },
  { at: ["dedicatedIOThread"], why: "the disk shares QEMU's threads" },
  { at: ["changedBlockTracking"], why: "changed blocks are not recorded" },
];

const OF_VOLUMES: readonly Idle[] = [
  {
    at: ["containerDisk", "imagePullPolicy"],
    value: "Always",
    why: "images are taken from this machine's store, and only `patchbay image pull` brings newer ones",
  },
  {
    at: ["containerDisk", "imagePullSecret"],
    why: "`patchbay image pull` uses skopeo's credentials (skopeo login)",
  },
];

/** Fields that a user may count on, and that do nothing here (PB2509). */
export function idleFields(subject: Subject): Problem[] {
  const { volumes = [], domain } = subject.spec;
  return [
    ...IDLE.flatMap((idle) => told(subject, [], idle)),
    ...(domain.devices.disks ?? []).flatMap((_, index) =>
      OF_DISKS.flatMap((idle) => told(subject, [...DEVICES, "disks", index], idle)),
    ),
    ...volumes.flatMap((_, index) => OF_VOLUMES.flatMap((idle) => told(subject, ["volumes", index], idle))),
  ];
}

function told(subject: Subject, below: FieldPath, { at, value, why }: Idle): Problem[] {
  const place = [...below, ...at];
  const found = valueAt(subject.spec, place);
  const counts = value === undefined ? found !== undefined && found !== false && found !== "" : found === value;
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
