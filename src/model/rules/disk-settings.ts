import type { Disk } from "../api/volumes.ts";
import { isJsonObject, objectAt } from "../json.ts";
import { nearMiss } from "../near-miss.ts";
import type { CauseType, Problem } from "./problem.ts";
import { nameOf, problemAt, type Subject } from "./subject.ts";

const CACHES = ["none", "writethrough", "writeback"];
const IO_MODES = ["native", "threads"];
const ERROR_POLICIES = ["stop", "ignore", "report", "enospace"];
const SERIAL = /^[A-Za-z0-9_.+-]+$/;
const LONGEST_SERIAL = 256;
const BLOCK_SIZES = { least: 512, most: 2_097_152 } as const;

/** How disks are read and written, and what the guest reads of them. */
export function judgeDiskSettings(subject: Subject): Problem[] {
  return (subject.spec.domain.devices.disks ?? []).flatMap((disk, index) => settingsOf(subject, disk, index));
}

function settingsOf(subject: Subject, disk: Disk, index: number): Problem[] {
  const { name, serial = "", cache = "", io = "", errorPolicy, dedicatedIOThread } = disk;
  const bus = (disk.disk ?? disk.lun ?? disk.cdrom)?.bus ?? "";
  const at = ["domain", "devices", "disks", index];
  // KubeVirt goes down to the disks twice here.
  const twice = (...keys: string[]): string => nameOf(subject, ["domain", "devices", "disks", ...at, ...keys]);
  const refuse = (
    keys: readonly string[],
    message: string,
    cure: string,
    { type = "FieldValueInvalid", field }: { readonly type?: CauseType; readonly field?: string } = {},
  ): Problem =>
    problemAt(subject, [...at, ...keys], {
      code: "PB2437",
      type,
      message,
      cure,
      ...(field === undefined ? {} : { field }),
    });
  const oneOf = (key: string, value: string, words: readonly string[], more = {}): Problem[] => {
    if (words.includes(value)) return [];
    const near = nearMiss(value, words);
    const hint = near === undefined ? "" : `Did you mean "${near}"? `;
    const cure = `${hint}Use one of ${words.join(", ")}, or leave it out.`;
    return [refuse([key], `The disk "${name}" cannot have the ${key} "${value}".`, cure, more)];
  };
  return [
    ...(dedicatedIOThread === true && bus !== "" && bus !== "virtio"
      ? [
          refuse(
            ["dedicatedIOThread"],
            `The disk "${name}" on the bus ${bus} cannot have an I/O thread of its own.`,
            "Leave dedicatedIOThread out, or use the bus virtio.",
            { type: "FieldValueNotSupported", field: twice() },
          ),
        ]
      : []),
    ...(serial === "" || SERIAL.test(serial)
      ? []
      : [
          refuse(
            ["serial"],
            `The serial number "${serial}" of the disk "${name}" has other characters.`,
            "Use letters, digits and _ . + -",
          ),
        ]),
    ...([...serial].length <= LONGEST_SERIAL
      ? []
      : [
          refuse(
            ["serial"],
            `The serial number of the disk "${name}" is too long.`,
            `Use at most ${LONGEST_SERIAL} characters; virtio disks show 20 of them.`,
          ),
        ]),
    ...(cache === "" ? [] : oneOf("cache", cache, CACHES)),
    ...(io === "" ? [] : oneOf("io", io, IO_MODES, { type: "FieldValueNotSupported", field: twice("io") })),
    ...(errorPolicy === undefined ? [] : oneOf("errorPolicy", errorPolicy, ERROR_POLICIES)),
    ...blockSize(disk).map(([keys, message, cure]) => refuse(["blockSize", ...keys], message, cure)),
  ];
}

type Finding = readonly [keys: readonly string[], message: string, cure: string];

/** KubeVirt reads a size that is missing as 0. */
function blockSize({ name, blockSize: asked }: Disk): readonly Finding[] {
  const custom = asked?.["custom"];
  if (asked === undefined || !isJsonObject(custom)) return [];
  const { logical = 0, physical = 0 } = custom;
  if (typeof logical !== "number" || typeof physical !== "number") return [];
  if (asked["matchVolume"] !== undefined && objectAt(asked, "matchVolume")["enabled"] !== false) {
    return [[[], `The blocks of the disk "${name}" are to be both custom and the volume's.`, "Keep one of them."]];
  }
  if (logical > physical) {
    const message = `The logical blocks of the disk "${name}" are larger than the physical ones: ${logical} and ${physical}.`;
    return [[["custom", "logical"], message, "Write logical no larger than physical."]];
  }
  return Object.entries({ logical, physical })
    .filter(([, size]) => !isBlockSize(size))
    .map(([key, size]): Finding => {
      const message = `The ${key} blocks of the disk "${name}" cannot have ${size} bytes.`;
      return [["custom", key], message, `Use a power of two from ${BLOCK_SIZES.least} to ${BLOCK_SIZES.most}.`];
    });
}

function isBlockSize(size: number): boolean {
  return size >= BLOCK_SIZES.least && size <= BLOCK_SIZES.most && Number.isInteger(Math.log2(size));
}
