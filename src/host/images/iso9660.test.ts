import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type IsoFile, isoImage } from "./iso9660.ts";

const SECTOR = 2048;

interface Volume {
  readonly label: string;
  readonly files: ReadonlyMap<string, string>;
  /** Names of all folders by the path table. */
  readonly table: readonly string[];
}

/** Reads a volume as a system does: by its descriptor, from the root folder down. */
function readVolume(image: Uint8Array, sector: number, decode: (bytes: Buffer) => string): Volume {
  const bytes = Buffer.from(image);
  const at = sector * SECTOR;
  assert.equal(bytes.toString("latin1", at + 1, at + 6), "CD001");
  const files = new Map<string, string>();
  const read = (extent: number, size: number, path: string): void => {
    for (let offset = 0; offset < size; ) {
      const record = extent * SECTOR + offset;
      const length = bytes.readUInt8(record);
      if (length === 0) {
        offset += SECTOR - (offset % SECTOR);
        continue;
      }
      offset += length;
      const identifier = bytes.subarray(record + 33, record + 33 + bytes.readUInt8(record + 32));
      if (identifier.length === 1 && (identifier[0] ?? 0) < 2) continue;
      const [start, many] = [bytes.readUInt32LE(record + 2), bytes.readUInt32LE(record + 10)];
      assert.equal(bytes.readUInt32BE(record + 6), start);
      assert.equal(bytes.readUInt32BE(record + 14), many);
      const name = `${path}${decode(identifier)}`;
      if ((bytes.readUInt8(record + 25) & 2) !== 0) read(start, many, `${name}/`);
      else files.set(name, bytes.toString("utf8", start * SECTOR, start * SECTOR + many));
    }
  };
  read(bytes.readUInt32LE(at + 158), bytes.readUInt32LE(at + 166), "");
  const [tableAt, tableEnd] = [bytes.readUInt32LE(at + 140) * SECTOR, bytes.readUInt32LE(at + 132)];
  const table: { name: string; parent: number }[] = [];
  for (let offset = 0; offset < tableEnd; ) {
    const length = bytes.readUInt8(tableAt + offset);
    const name = decode(bytes.subarray(tableAt + offset + 8, tableAt + offset + 8 + length));
    table.push({ name, parent: bytes.readUInt16LE(tableAt + offset + 6) });
    offset += 8 + length + (length % 2);
  }
  const pathOf = (index: number): string => {
    const row = table[index];
    return row === undefined || index === 0 ? "" : `${pathOf(row.parent - 1)}/${row.name}`;
  };
  return {
    label: decode(bytes.subarray(at + 40, at + 72)).trim(),
    files,
    table: table.map((_, index) => pathOf(index)),
  };
}

function utf16(bytes: Buffer): string {
  // The root's own name is one byte.
  return bytes.length === 1 ? "" : Buffer.from(bytes).swap16().toString("utf16le");
}

function ofText(entries: readonly (readonly [string, string])[]): IsoFile[] {
  return entries.map(([name, text]) => ({ name, data: Buffer.from(text) }));
}

test("files are found at their paths, in Joliet's names and in short ones", () => {
  const entries = [
    ["openstack/latest/user_data", "#!/bin/sh\n"],
    ["openstack/latest/meta_data.json", "{}"],
    ["openstack/content/a", ""],
    ["seven", "7"],
  ] as const;
  const image = isoImage("config-2", ofText(entries));
  const joliet = readVolume(image, 17, utf16);
  assert.equal(joliet.label, "config-2");
  assert.deepEqual(joliet.files, new Map([...entries].sort(([a], [b]) => (a < b ? -1 : 1)).map(([n, t]) => [n, t])));
  assert.deepEqual(joliet.table, ["", "/openstack", "/openstack/content", "/openstack/latest"]);
  const primary = readVolume(image, 16, (bytes) => bytes.toString("latin1"));
  assert.deepEqual([...primary.files.values()].sort(), entries.map(([, text]) => text).sort());
});

test("a folder of many files goes over several sectors", () => {
  fc.assert(
    fc.property(
      fc.dictionary(
        fc.stringMatching(/^[a-z][a-z0-9._-]{0,60}(\/[a-z][a-z0-9._-]{0,60}){0,2}$/),
        fc.string({ unit: "binary-ascii", maxLength: 5000 }),
        { maxKeys: 60, size: "max" },
      ),
      (files) => {
        const names = Object.keys(files);
        fc.pre(!names.some((name) => names.some((other) => other.startsWith(`${name}/`))));
        const image = isoImage("cfgdata", ofText(Object.entries(files)));
        assert.deepEqual(Object.fromEntries(readVolume(image, 17, utf16).files), { ...files });
        assert.equal(image.length % SECTOR, 0);
      },
    ),
    { numRuns: 60 },
  );
});

test("a name that has no place is refused", () => {
  for (const name of ["", "a//b", `${"x".repeat(65)}`, "/a"]) {
    assert.throws(() => isoImage("x", ofText([[name, ""]])), RangeError);
  }
  assert.throws(
    () =>
      isoImage(
        "x",
        ofText([
          ["a", ""],
          ["a/b", ""],
        ]),
      ),
    RangeError,
  );
});
