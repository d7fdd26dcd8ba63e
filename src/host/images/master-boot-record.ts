export const SECTOR = 512;
/** The first sector of a disk's one partition: at 1 MiB, as partitioning programs have it. */
export const PARTITION_START = 2048;
/** Bytes of boot code in the record. */
const BOOT_CODE = 440;

/**
 * The first sector of a PC's disk: boot code, of which 440 bytes are taken, and one active partition from {@link PARTITION_START}.
 *
 * `type` is the partition type's byte; `sectors` is the partition's length.
 */
export function masterBootRecord(bootCode: Uint8Array, type: number, sectors: number): Buffer {
  const record = Buffer.alloc(SECTOR);
  record.set(bootCode.subarray(0, BOOT_CODE));
  const entry = 446;
  record[entry] = 0x80;
  // Cylinder, head and sector cannot say where this is: the value for "beyond", as fdisk writes it.
  record.writeUIntBE(0xfeffff, entry + 1, 3);
  record[entry + 4] = type;
  record.writeUIntBE(0xfeffff, entry + 5, 3);
  record.writeUInt32LE(PARTITION_START, entry + 8);
  record.writeUInt32LE(sectors, entry + 12);
  record.writeUInt16BE(0x55aa, 510);
  return record;
}
