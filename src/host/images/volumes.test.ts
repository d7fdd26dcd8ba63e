import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isFault } from "../../model/fault.ts";
import { openImageStore } from "./store.ts";
import { containerDisk, filesDisk, kernelBoot, onceMore, placeFile, untilCalledOff } from "./volumes.ts";

test("an image that is removed while a guest starts from it is missing, and not an error of this program", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-volumes-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [file, guest] = [join(folder, "file"), join(folder, "guest")];
  writeFileSync(file, "bytes");
  const store = await openImageStore(join(folder, "images"));
  const make = () => store.create("a", [{ path: "/disk/d", source: file }]);
  const racing = {
    ...store,
    async extract(name: string, path: string): Promise<string> {
      const found = await store.extract(name, path);
      await store.remove(name);
      return found;
    },
  };
  const missing = (thrown: unknown): boolean => isFault(thrown, "PB5001") && /image pull a`/.test(thrown.cure ?? "");
  await make();
  await assert.rejects(containerDisk(racing, "a", undefined, join(folder, "d.qcow2")), missing);
  await make();
  const place = () => kernelBoot(racing, "a", "/disk/d", undefined).then(({ kernel }) => placeFile(kernel, guest));
  await assert.rejects(onceMore(place), missing);
  assert.deepEqual(readdirSync(folder).toSorted(), ["file", "images"]);
});

test("work on an image's files is done again once, and not where something else is wrong", async () => {
  let tries = 0;
  const failing = (thrown: Error) => () => {
    tries += 1;
    return Promise.reject(thrown);
  };
  const gone = Object.assign(new Error("gone"), { code: "ENOENT" });
  await assert.rejects(onceMore(failing(gone)), gone);
  assert.equal(tries, 2);
  await assert.rejects(onceMore(failing(new Error("else"))), /else/);
  assert.equal(tries, 3);
});

test("a start that is called off waits for no file of an image, and one that was called off begins none", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-volumes-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const store = await openImageStore(join(folder, "images"));
  const slow = { ...store, extract: () => new Promise<never>(() => {}), files: () => Promise.resolve(["d"]) };
  const calling = new AbortController();
  const waited = containerDisk(untilCalledOff(slow, calling.signal), "a", undefined, join(folder, "d.qcow2"));
  const reason = new Error("the VMI was deleted");
  calling.abort(reason);
  await assert.rejects(waited, reason);
  await assert.rejects(untilCalledOff(store, calling.signal).extract("a", "/k"), reason);
});

test("a key or a label that a disk has no room for is said, and nothing is made", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-volumes-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const disk = join(folder, "d.img");
  const refused = (words: RegExp) => (thrown: unknown) => isFault(thrown, "PB5072") && words.test(thrown.message);
  const file = (name: string) => [{ name, data: new Uint8Array(1) }];
  await assert.rejects(filesDisk("cfgdata", file("k".repeat(65)), disk), refused(/^The key "k+" .* 65 characters/));
  await assert.rejects(filesDisk("l".repeat(33), file("k"), disk), refused(/too long for the label/));
  assert.deepEqual(readdirSync(folder), []);
});
