/** A file of a disk image. */
export interface IsoFile {
  /** Path from the root folder, `openstack/latest/user_data`; each part has at most 64 characters. */
  readonly name: string;
  readonly data: Uint8Array;
}

const SECTOR = 2048;
/** Sectors; the first 16 are the system's own. */
const LAYOUT = { primary: 16, joliet: 17, end: 18, pathTables: 19 } as const;
/** What directory records and path tables have room for. */
export const LONGEST_NAME = 64;
/** Bytes of the label (ECMA-119 8.4.7). */
export const LONGEST_LABEL = 32;

/**
 * An ISO 9660 file system (ECMA-119) with Joliet names, under `label`.
 *
 * The same input gives the same bytes; files carry no time. Throws RangeError for a name that has no place in it: an empty
 * part, one of more than 64 characters, a file where a folder is.
 */
export function isoImage(label: string, files: readonly IsoFile[]): Uint8Array<ArrayBuffer> {
  const folders = foldersOf(files);
  const primary = treeOf(folders, ascii, false);
  const joliet = treeOf(folders, ucs2, true);
  const tables = [primary, joliet].map((tree) => Math.ceil(pathTable(tree, [], true).length / SECTOR));
  const [primaryTable = 1, jolietTable = 1] = tables;
  let next = LAYOUT.pathTables + 2 * (primaryTable + jolietTable);
  const place = (bytes: number): number => {
    const sector = next;
    next += Math.ceil(bytes / SECTOR);
    return sector;
  };
  const primarySectors = primary.map((folder) => place(folder.size));
  const jolietSectors = joliet.map((folder) => place(folder.size));
  const fileSectors = new Map(files.map((file) => [file, place(file.data.length)]));

  const image = new Uint8Array(next * SECTOR);
  const put = (sector: number, data: Uint8Array): void => image.set(data, sector * SECTOR);
  const write = (tree: readonly Folder[], sectors: readonly number[], table: number, length: number): void => {
    put(table, pathTable(tree, sectors, true));
    put(table + length, pathTable(tree, sectors, false));
    tree.forEach((folder, index) => {
      put(sectors[index] ?? 0, folderData(tree, folder, sectors, fileSectors));
    });
  };
  const jolietTables = LAYOUT.pathTables + 2 * primaryTable;
  write(primary, primarySectors, LAYOUT.pathTables, primaryTable);
  write(joliet, jolietSectors, jolietTables, jolietTable);
  const volume = (type: 1 | 2, tree: readonly Folder[], sectors: readonly number[], table: number, length: number) =>
    descriptor(type, label, next, {
      root: sectors[0] ?? 0,
      rootSize: tree[0]?.size ?? SECTOR,
      table,
      tableLength: length,
      tableBytes: pathTable(tree, sectors, true).length,
    });
  put(LAYOUT.primary, volume(1, primary, primarySectors, LAYOUT.pathTables, primaryTable));
  put(LAYOUT.joliet, volume(2, joliet, jolietSectors, jolietTables, jolietTable));
  put(LAYOUT.end, Uint8Array.of(255, ...ascii("CD001"), 1));
  for (const [file, sector] of fileSectors) put(sector, file.data);
  return image;
}

/** A folder with what lies in it; `parent` is an index in the list of folders, the root's own. */
interface NamedFolder {
  readonly name: string;
  readonly parent: number;
  readonly files: { readonly name: string; readonly file: IsoFile }[];
  readonly folders: number[];
}

/** A folder as a volume has it. */
interface Folder extends NamedFolder {
  readonly identifier: Uint8Array;
  readonly entries: readonly Entry[];
  /** Bytes, whole sectors. */
  readonly size: number;
}

type Entry =
  | { readonly kind: "file"; readonly identifier: Uint8Array; readonly file: IsoFile }
  | { readonly kind: "folder"; readonly identifier: Uint8Array; readonly index: number };

/** Every folder, breadth first, as path tables are ordered (ECMA-119 6.9.1). */
function foldersOf(files: readonly IsoFile[]): readonly NamedFolder[] {
  const sorted = [...files].sort((a, b) => (a.name < b.name ? -1 : 1));
  const folders: NamedFolder[] = [{ name: "", parent: 0, files: [], folders: [] }];
  const split = sorted.map((file) => ({ file, parts: file.name.split("/") }));
  const indexes = new Map<string, number>([["", 0]]);
  const deepest = Math.max(0, ...split.map(({ parts }) => parts.length - 1));
  for (let depth = 1; depth <= deepest; depth += 1) {
    for (const { parts } of split) {
      const path = parts.slice(0, depth).join("/");
      if (parts.length <= depth || indexes.has(path)) continue;
      const parent = indexes.get(parts.slice(0, depth - 1).join("/")) ?? 0;
      folders[parent]?.folders.push(folders.length);
      indexes.set(path, folders.length);
      folders.push({ name: parts[depth - 1] ?? "", parent, files: [], folders: [] });
    }
  }
  for (const { file, parts } of split) {
    const unfit = parts.find((part) => part === "" || part.length > LONGEST_NAME);
    if (unfit !== undefined || indexes.has(file.name)) throw new RangeError(`"${file.name}" has no place on the disk`);
    const name = parts.at(-1) ?? "";
    folders[indexes.get(parts.slice(0, -1).join("/")) ?? 0]?.files.push({ name, file });
  }
  return folders;
}

type Encode = (text: string) => Uint8Array;

/** The folders with the names that a volume gives them: their own, or numbers where those must be short. */
function treeOf(folders: readonly NamedFolder[], encode: Encode, long: boolean): readonly Folder[] {
  return folders.map((folder, index) => {
    const entries: Entry[] = [
      ...folder.files.map(({ name, file }, number): Entry => {
        return { kind: "file", identifier: encode(long ? name : `FILE${number}.;1`), file };
      }),
      ...folder.folders.map((child): Entry => {
        return { kind: "folder", identifier: identifierOf(folders, child, encode, long), index: child };
      }),
    ];
    const identifier = index === 0 ? Uint8Array.of(0) : identifierOf(folders, index, encode, long);
    return { ...folder, identifier, entries, size: sizeOf(entries) };
  });
}

function identifierOf(folders: readonly NamedFolder[], index: number, encode: Encode, long: boolean): Uint8Array {
  return encode(long ? (folders[index]?.name ?? "") : `DIR${index}`);
}

/** Bytes of a folder: a record never crosses a sector's end (ECMA-119 6.8.1.1). */
function sizeOf(entries: readonly Entry[]): number {
  let offset = 2 * recordLength(1);
  for (const { identifier } of entries) offset = placed(offset, recordLength(identifier.length)).end;
  return Math.ceil(offset / SECTOR) * SECTOR;
}

function placed(offset: number, length: number): { readonly begin: number; readonly end: number } {
  const room = SECTOR - (offset % SECTOR);
  const begin = length <= room ? offset : offset + room;
  return { begin, end: begin + length };
}

function folderData(
  tree: readonly Folder[],
  folder: Folder,
  sectors: readonly number[],
  files: ReadonlyMap<IsoFile, number>,
): Uint8Array {
  const data = new Uint8Array(folder.size);
  const index = tree.indexOf(folder);
  let offset = 0;
  const add = (bytes: Uint8Array): void => {
    const { begin, end } = placed(offset, bytes.length);
    data.set(bytes, begin);
    offset = end;
  };
  const toFolder = (target: number, identifier: Uint8Array): void =>
    add(record(sectors[target] ?? 0, tree[target]?.size ?? 0, true, identifier));
  toFolder(index, Uint8Array.of(0));
  toFolder(folder.parent, Uint8Array.of(1));
  for (const entry of folder.entries) {
    if (entry.kind === "folder") toFolder(entry.index, entry.identifier);
    else add(record(files.get(entry.file) ?? 0, entry.file.data.length, false, entry.identifier));
  }
  return data;
}

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

interface VolumePlaces {
  readonly root: number;
  readonly rootSize: number;
  /** First sector of the path table in little-endian order; the other follows after `tableLength` sectors. */
  readonly table: number;
  readonly tableLength: number;
  readonly tableBytes: number;
}

/** A primary (type 1) or supplementary (type 2) volume descriptor, ECMA-119 8.4 and 8.5. */
function descriptor(type: 1 | 2, label: string, sectors: number, places: VolumePlaces): Uint8Array {
  const encode = type === 1 ? ascii : ucs2;
  const sector = new Uint8Array(SECTOR);
  const view = new DataView(sector.buffer);
  const blank = (offset: number, length: number, text = ""): void => {
    const space = encode(" ");
    for (let index = 0; index < length; index++) sector[offset + index] = space[index % space.length] ?? 0;
    sector.set(encode(text).subarray(0, length), offset);
  };
  sector.set([type, ...ascii("CD001"), 1]);
  blank(8, 32);
  blank(40, LONGEST_LABEL, label);
  both32(view, 80, sectors);
  // The escape sequence of UCS-2 level 3 says that this descriptor is Joliet's.
  if (type === 2) sector.set(ascii("%/E"), 88);
  both16(view, 120, 1);
  both16(view, 124, 1);
  both16(view, 128, SECTOR);
  both32(view, 132, places.tableBytes);
  view.setUint32(140, places.table, true);
  view.setUint32(148, places.table + places.tableLength);
  sector.set(record(places.root, places.rootSize, true, Uint8Array.of(0)), 156);
  blank(190, 623);
  for (const offset of [813, 830, 847, 864]) sector.set(ascii("0".repeat(16)), offset);
  sector[881] = 1;
  return sector;
}

/** A path table, ECMA-119 9.4. */
function pathTable(tree: readonly Folder[], sectors: readonly number[], littleEndian: boolean): Uint8Array {
  const rows = tree.map(({ identifier, parent }, index) => {
    const row = new Uint8Array(8 + identifier.length + (identifier.length % 2));
    const view = new DataView(row.buffer);
    view.setUint8(0, identifier.length);
    view.setUint32(2, sectors[index] ?? 0, littleEndian);
    view.setUint16(6, parent + 1, littleEndian);
    row.set(identifier, 8);
    return row;
  });
  const table = new Uint8Array(rows.reduce((sum, row) => sum + row.length, 0));
  let offset = 0;
  for (const row of rows) {
    table.set(row, offset);
    offset += row.length;
  }
  return table;
}

function recordLength(identifier: number): number {
  return 33 + identifier + (identifier % 2 === 0 ? 1 : 0);
}

/** A directory record, ECMA-119 9.1. */
function record(sector: number, size: number, isFolder: boolean, identifier: Uint8Array): Uint8Array {
  const data = new Uint8Array(recordLength(identifier.length));
  const view = new DataView(data.buffer);
  view.setUint8(0, data.length);
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
