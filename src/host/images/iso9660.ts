/** A file of a disk image. */
export interface IsoFile {
  readonly name: string;
  readonly data: Uint8Array;
}

const SECTOR = 2048;
/** Sectors; the first 16 are the system's own. */
const LAYOUT = { primary: 16, joliet: 17, end: 18, pathTables: 19, primaryRoot: 23, jolietRoot: 24, data: 25 } as const;

/**
 * An ISO 9660 file system (ECMA-119) with Joliet names: the files in its root folder, under `label`.
 *
 * Names are of at most 64 characters and few enough that a folder fits in one sector. The same input gives the same bytes;
 * files carry no time.
 */
export function isoImage(label: string, files: readonly IsoFile[]): Uint8Array<ArrayBuffer> {
  const sorted = [...files].sort((a, b) => (a.name < b.name ? -1 : 1));
  let next: number = LAYOUT.data;
  const placed = sorted.map((file, index) => {
    const sector = next;
    next += Math.ceil(file.data.length / SECTOR);
    return { ...file, sector, short: `FILE${index}.;1` };
  });
  const image = new Uint8Array(next * SECTOR);
  const at = (sector: number): Uint8Array => image.subarray(sector * SECTOR);
  at(LAYOUT.primary).set(descriptor(1, label, ascii, next, LAYOUT.primaryRoot, LAYOUT.pathTables));
  at(LAYOUT.joliet).set(descriptor(2, label, ucs2, next, LAYOUT.jolietRoot, LAYOUT.pathTables + 2));
  at(LAYOUT.end).set([255, ...ascii("CD001"), 1]);
  at(LAYOUT.pathTables).set(pathTable(LAYOUT.primaryRoot, true));
  at(LAYOUT.pathTables + 1).set(pathTable(LAYOUT.primaryRoot, false));
  at(LAYOUT.pathTables + 2).set(pathTable(LAYOUT.jolietRoot, true));
  at(LAYOUT.pathTables + 3).set(pathTable(LAYOUT.jolietRoot, false));
  at(LAYOUT.primaryRoot).set(
    folder(
      LAYOUT.primaryRoot,
      placed.map((file) => ({ ...file, identifier: ascii(file.short) })),
    ),
  );
  at(LAYOUT.jolietRoot).set(
    folder(
      LAYOUT.jolietRoot,
      placed.map((file) => ({ ...file, identifier: ucs2(file.name) })),
    ),
  );
  for (const file of placed) at(file.sector).set(file.data);
  return image;
}

type Encode = (text: string) => Uint8Array;

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Joliet's UCS-2, the more significant byte first. */
function ucs2(text: string): Uint8Array {
  return Uint8Array.from([...text].flatMap((letter) => [letter.charCodeAt(0) >> 8, letter.charCodeAt(0) & 0xff]));
}

/** Writes numbers as ECMA-119 7.2.3 and 7.3.3 have them: both byte orders, one after the other. */
function both16(view: DataView, offset: number, value: number): void {
  view.setUint16(offset, value, true);
  view.setUint16(offset + 2, value);
}

function both32(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value, true);
  view.setUint32(offset + 4, value);
}

/** A primary (type 1) or supplementary (type 2) volume descriptor, ECMA-119 8.4 and 8.5. */
function descriptor(
  type: 1 | 2,
  label: string,
  encode: Encode,
  sectors: number,
  root: number,
  tables: number,
): Uint8Array {
  const sector = new Uint8Array(SECTOR);
  const view = new DataView(sector.buffer);
  const blank = (offset: number, length: number, text = ""): void => {
    const space = encode(" ");
    for (let index = 0; index < length; index++) sector[offset + index] = space[index % space.length] ?? 0;
    sector.set(encode(text), offset);
  };
  sector.set([type, ...ascii("CD001"), 1]);
  blank(8, 32);
  blank(40, 32, label);
  both32(view, 80, sectors);
  // The escape sequence of UCS-2 level 3 says that this descriptor is Joliet's.
  if (type === 2) sector.set(ascii("%/E"), 88);
  both16(view, 120, 1);
  both16(view, 124, 1);
  both16(view, 128, SECTOR);
  both32(view, 132, pathTable(root, true).length);
  view.setUint32(140, tables, true);
  view.setUint32(148, tables + 1);
  sector.set(record(root, SECTOR, true, Uint8Array.of(0)), 156);
  blank(190, 623);
  for (const offset of [813, 830, 847, 864]) sector.set(ascii("0".repeat(16)), offset);
  sector[881] = 1;
  return sector;
}

/** The path table of a file system that has only its root folder. */
function pathTable(root: number, littleEndian: boolean): Uint8Array {
  const table = new Uint8Array(10);
  const view = new DataView(table.buffer);
  view.setUint8(0, 1);
  view.setUint32(2, root, littleEndian);
  view.setUint16(6, 1, littleEndian);
  return table;
}

function folder(
  sector: number,
  files: readonly { readonly sector: number; readonly data: Uint8Array; readonly identifier: Uint8Array }[],
): Uint8Array {
  const records = [
    record(sector, SECTOR, true, Uint8Array.of(0)),
    record(sector, SECTOR, true, Uint8Array.of(1)),
    ...files.map((file) => record(file.sector, file.data.length, false, file.identifier)),
  ];
  const length = records.reduce((sum, one) => sum + one.length, 0);
  if (length > SECTOR) throw new RangeError("the files of an ISO image do not fit into one folder sector");
  const data = new Uint8Array(SECTOR);
  let offset = 0;
  for (const one of records) {
    data.set(one, offset);
    offset += one.length;
  }
  return data;
}

/** A directory record, ECMA-119 9.1. */
function record(sector: number, size: number, isFolder: boolean, identifier: Uint8Array): Uint8Array {
  const length = 33 + identifier.length + (identifier.length % 2 === 0 ? 1 : 0);
  const data = new Uint8Array(length);
  const view = new DataView(data.buffer);
  view.setUint8(0, length);
  both32(view, 2, sector);
  both32(view, 10, size);
  // 1980-01-01, the earliest that every reader takes.
  data.set([80, 1, 1, 0, 0, 0, 0], 18);
  view.setUint8(25, isFolder ? 2 : 0);
  both16(view, 28, 1);
  view.setUint8(32, identifier.length);
  data.set(identifier, 33);
  return data;
}
