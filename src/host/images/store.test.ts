import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { gzipSync, zstdCompressSync } from "node:zlib";
import type { Code } from "../../model/codes/codes.ts";
import { isFault } from "../../model/fault.ts";
import { openImageStore } from "./store.ts";

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "patchbay-store-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A layer made by the system's tar of files given as path and text; `link` entries are `path -> target`. */
function layer(t: TestContext, files: Readonly<Record<string, string>>): Buffer {
  const root = folder(t);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, path, ".."), { recursive: true });
    if (text.startsWith("-> ")) execFileSync("ln", ["-s", text.slice(3), join(root, path)]);
    else if (text.startsWith("=> ")) execFileSync("ln", [join(root, text.slice(3)), join(root, path)]);
    else writeFileSync(join(root, path), text);
  }
  return execFileSync("tar", ["--create", "--format=pax", "--directory", root, "."]);
}

const digestOf = (data: Buffer): string => `sha256:${createHash("sha256").update(data).digest("hex")}`;

/** An OCI layout in a folder, as other tools write it. */
function layout(t: TestContext, layers: readonly Buffer[], name?: string): { path: string; digest: string } {
  const path = folder(t);
  mkdirSync(join(path, "blobs/sha256"), { recursive: true });
  const put = (data: Buffer, mediaType: string): object => {
    writeFileSync(join(path, "blobs/sha256", digestOf(data).slice(7)), data);
    return { mediaType, digest: digestOf(data), size: data.length };
  };
  const packing = (data: Buffer): string =>
    data.readUInt16BE(0) === 0x1f8b ? "+gzip" : data.readUInt32BE(0) === 0x28b52ffd ? "+zstd" : "";
  const type = (data: Buffer): string => `application/vnd.oci.image.layer.v1.tar${packing(data)}`;
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      config: put(Buffer.from("{}"), "application/vnd.oci.image.config.v1+json"),
      layers: layers.map((data) => put(data, type(data))),
    }),
  );
  const entry = put(manifest, "application/vnd.oci.image.manifest.v1+json");
  const annotations = name === undefined ? {} : { annotations: { "org.opencontainers.image.ref.name": name } };
  writeFileSync(
    join(path, "index.json"),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...entry, ...annotations }] }),
  );
  writeFileSync(join(path, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  return { path, digest: digestOf(manifest) };
}

const fault = (code: Code) => (thrown: unknown) => {
  assert.ok(isFault(thrown, code), String(thrown));
  return true;
};

test("an image made of files is listed, found under every spelling of its name, and gives its files", async (t) => {
  const path = folder(t);
  const store = await openImageStore(join(path, "images"));
  writeFileSync(join(path, "a"), "first");
  writeFileSync(join(path, "b"), "");
  const image = await store.create("patchbay/guest", [
    { path: "/disk/b", source: join(path, "b") },
    { path: "/boot/a", source: join(path, "a") },
  ]);
  assert.deepEqual(await store.list(), [image]);
  assert.equal(image.name, "patchbay/guest:latest");
  assert.deepEqual(await store.resolve("docker.io/patchbay/guest:latest"), image);
  assert.deepEqual(await store.resolve(`patchbay/guest@${image.digest}`), image);
  assert.equal(await store.resolve("patchbay/guest:v2"), undefined);
  assert.deepEqual(await store.files("patchbay/guest", "/disk"), ["b"]);
  const file = await store.extract("patchbay/guest", "boot/a");
  assert.equal(readFileSync(file, "utf8"), "first");
  assert.equal(statSync(file).mode & 0o777, 0o444);
  assert.equal(await store.extract("patchbay/guest", "/boot/a"), file);
  await assert.rejects(store.extract("patchbay/guest", "/boot/c"), fault("PB5004"));
  await assert.rejects(store.extract("patchbay/guest", "/boot"), fault("PB5004"));
  await assert.rejects(store.extract("other/image", "/boot/a"), fault("PB5001"));
});

test("the same files give the same digest", async (t) => {
  const path = folder(t);
  const files = ["x", "y"].map((name) => ({ path: `/d/${name}`, source: join(path, name) }));
  for (const file of files) writeFileSync(file.source, file.path);
  const [one, other] = await Promise.all(["one", "other"].map((name) => openImageStore(join(path, name))));
  const first = await one?.create("a", files);
  const second = await other?.create("b", [...files].reverse());
  assert.ok(first !== undefined);
  assert.equal(first.digest, second?.digest);
});

test("only the ways that QEMU's user needs are open to others", async (t) => {
  const path = folder(t);
  writeFileSync(join(path, "a"), "x");
  const store = await openImageStore(join(path, "images"));
  await store.create("a", [{ path: "/a", source: join(path, "a") }]);
  await store.extract("a", "/a");
  const mode = (name: string): number => statSync(join(path, "images", name)).mode & 0o777;
  assert.deepEqual([mode("."), mode("files"), mode("tmp"), mode("index.json")], [0o711, 0o711, 0o700, 0o600]);
  for (const blob of readdirSync(join(path, "images/blobs/sha256"))) assert.equal(mode(`blobs/sha256/${blob}`), 0o600);
});

test("layers lie over each other: whiteouts, opaque folders, links, packed and plain", async (t) => {
  const bottom = layer(t, { "disk/old.img": "old", "disk/kept.img": "kept", "gone/a": "a", "etc/x": "x" });
  const middle = layer(t, { "disk/.wh.old.img": "", "gone/.wh..wh..opq": "", "gone/b": "b", "disk/new.img": "new" });
  const top = layer(t, { link: "-> disk/new.img", abs: "-> /link", dir: "-> disk", link2: "h", hard: "=> link2" });
  const { path, digest } = layout(t, [gzipSync(bottom), middle, zstdCompressSync(top)]);
  const store = await openImageStore(join(folder(t), "images"));
  const image = await store.importArchive("x/y:1", path);
  assert.equal(image.digest, digest);
  assert.deepEqual(await store.files("x/y:1", "disk"), ["kept.img", "new.img"]);
  const text = async (file: string): Promise<string> => readFileSync(await store.extract("x/y:1", file), "utf8");
  assert.equal(await text("/disk/new.img"), "new");
  assert.equal(await text("/abs"), "new");
  assert.equal(await text("/dir/kept.img"), "kept");
  assert.equal(await text("/gone/b"), "b");
  assert.equal(await text("/hard"), "h");
  assert.equal(await text("/link2"), "h");
  await assert.rejects(text("/disk/old.img"), fault("PB5004"));
  await assert.rejects(text("/gone/a"), fault("PB5004"));
});

test("a layer that is packed wrongly cannot be read", async (t) => {
  const store = await openImageStore(join(folder(t), "images"));
  const files = layer(t, { "disk/a": "x".repeat(2000) });
  for (const whole of [gzipSync(files), zstdCompressSync(files)]) {
    const { path } = layout(t, [Buffer.concat([whole.subarray(0, 20), Buffer.from("wrong"), whole.subarray(25)])]);
    await store.importArchive("a", path);
    await assert.rejects(store.extract("a", "/disk/a"), fault("PB5002"));
  }
});

test("a name in a layer longer than a tar header holds is read", async (t) => {
  const long = `${"folder-with-a-long-name/".repeat(8)}${"f".repeat(120)}`;
  const { path } = layout(t, [layer(t, { [long]: "deep" })]);
  const store = await openImageStore(join(folder(t), "images"));
  await store.importArchive("x", path);
  assert.equal(readFileSync(await store.extract("x", long), "utf8"), "deep");
});

test("OCI archives and Docker archives are imported", async (t) => {
  const store = await openImageStore(join(folder(t), "images"));
  const oci = layout(t, [layer(t, { "disk/a": "from oci" })]);
  const archive = join(folder(t), "oci.tar.gz");
  execFileSync("tar", ["--create", "--gzip", "--file", archive, "--directory", oci.path, "."]);
  assert.equal((await store.importArchive("a", archive)).digest, oci.digest);

  const root = folder(t);
  const config = Buffer.from(JSON.stringify({ os: "linux", architecture: "amd64" }));
  const configName = `${digestOf(config).slice(7)}.json`;
  writeFileSync(join(root, configName), config);
  mkdirSync(join(root, "1"));
  writeFileSync(join(root, "1/layer.tar"), layer(t, { "disk/b": "from docker" }));
  writeFileSync(
    join(root, "manifest.json"),
    JSON.stringify([{ Config: configName, RepoTags: ["q/b:1"], Layers: ["1/layer.tar"] }]),
  );
  const docker = join(folder(t), "docker.tar");
  execFileSync("tar", ["--create", "--file", docker, "--directory", root, "."]);
  await store.importArchive("b", docker);
  assert.equal(readFileSync(await store.extract("b", "/disk/b"), "utf8"), "from docker");
  assert.deepEqual(
    (await store.list()).map(({ name }) => name),
    ["a:latest", "b:latest"],
  );
});

test("what is no image is refused and leaves nothing", async (t) => {
  const path = join(folder(t), "images");
  const store = await openImageStore(path);
  const text = join(folder(t), "text");
  writeFileSync(text, "no archive\n");
  await assert.rejects(store.importArchive("a", text), fault("PB5002"));
  await assert.rejects(store.importArchive("a", join(text, "missing")), fault("PB5002"));
  await assert.rejects(store.importArchive("a", folder(t)), fault("PB5002"));
  await assert.rejects(store.importArchive("Not a name", text), fault("PB5003"));
  assert.deepEqual(await store.list(), []);
  assert.deepEqual(readdirSync(join(path, "tmp")), []);
});

test("a blob that is not what its digest says is refused, and the image of that name stays", async (t) => {
  const store = await openImageStore(join(folder(t), "images"));
  const good = layout(t, [layer(t, { "disk/a": "good" })]);
  await store.importArchive("a", good.path);
  const data = layer(t, { "disk/a": "evil" });
  const bad = layout(t, [data]);
  const blob = join(bad.path, "blobs/sha256", digestOf(data).slice(7));
  const changed = Buffer.from(data);
  changed.writeUInt8(changed.readUInt8(600) ^ 1, 600);
  writeFileSync(blob, changed);
  await assert.rejects(store.importArchive("a", bad.path), fault("PB5002"));
  truncateSync(blob, 512);
  await assert.rejects(store.importArchive("a", bad.path), fault("PB5002"));
  rmSync(blob);
  await assert.rejects(store.importArchive("a", bad.path), fault("PB5002"));
  assert.equal((await store.resolve("a"))?.digest, good.digest);
});

test("an archive whose links lead out of it is refused", async (t) => {
  const store = await openImageStore(join(folder(t), "images"));
  const { path } = layout(t, [layer(t, { a: "a" })]);
  rmSync(join(path, "index.json"));
  execFileSync("ln", ["-s", "/etc/passwd", join(path, "index.json")]);
  await assert.rejects(store.importArchive("a", path), fault("PB5002"));
});

test("a blob of the store that was changed afterwards is noticed", async (t) => {
  const path = join(folder(t), "images");
  const store = await openImageStore(path);
  const data = layer(t, { "disk/a": "x".repeat(2000) });
  await store.importArchive("a", layout(t, [data]).path);
  const blob = join(path, "blobs/sha256", digestOf(data).slice(7));
  assert.deepEqual(await store.files("a", "disk"), ["a"]);
  // Of the same length, and nothing of tar's own: only the digest tells.
  writeFileSync(blob, data.toString("latin1").replace("xxxx", "xxyx"), "latin1");
  const later = await openImageStore(path);
  await assert.rejects(later.extract("a", "/disk/a"), fault("PB5002"));
  truncateSync(blob, 700);
  await assert.rejects(later.extract("a", "/disk/a"), fault("PB5002"));
  assert.deepEqual(readdirSync(join(path, "tmp")), []);
  writeFileSync(blob, data);
  assert.equal(readFileSync(await later.extract("a", "/disk/a"), "latin1"), "x".repeat(2000));
});

test("a tag moves a name; removing the last one removes blobs and files", async (t) => {
  const path = join(folder(t), "images");
  const store = await openImageStore(path);
  const image = await store.importArchive("a", layout(t, [layer(t, { f: "1" })]).path);
  await store.tag("a", "b:2");
  await store.importArchive("c", layout(t, [layer(t, { f: "2" })]).path);
  await store.tag("c", "a");
  assert.equal((await store.resolve("b:2"))?.digest, image.digest);
  assert.notEqual((await store.resolve("a"))?.digest, image.digest);
  const file = await store.extract("b:2", "f");
  await store.remove("b:2");
  assert.throws(() => statSync(file));
  assert.equal(await store.resolve("b:2"), undefined);
  await store.remove("a");
  await store.remove("c");
  await assert.rejects(store.remove("c"), fault("PB5001"));
  assert.deepEqual(readdirSync(join(path, "blobs/sha256")), []);
});

test("a name that no image has cannot be changed, and one that is nearly the same is offered", async (t) => {
  const store = await openImageStore(join(folder(t), "images"));
  const image = await store.importArchive("quay.io/lab/fedora:40", layout(t, [layer(t, { f: "1" })]).path);
  const offered = (thrown: unknown): boolean =>
    isFault(thrown, "PB5001") && /mean quay\.io\/lab\/fedora:40\?/.test(thrown.cure ?? "");
  await assert.rejects(store.remove("quay.io/lab/fedroa:40"), offered);
  await assert.rejects(store.tag("quay.io/lab/fedora:41", "x"), offered);
  await assert.rejects(
    store.remove("other"),
    (thrown) => isFault(thrown, "PB5001") && /image ls/.test(thrown.cure ?? ""),
  );
  assert.deepEqual(await store.remove("quay.io/lab/fedora:40"), image);
});

test("an image that is broken is named, can be removed, and keeps no other from being changed", async (t) => {
  const path = join(folder(t), "images");
  const store = await openImageStore(path);
  const good = await store.importArchive("good", layout(t, [layer(t, { f: "1" })]).path);
  const bad = await store.importArchive("bad", layout(t, [layer(t, { f: "2" })]).path);
  rmSync(join(path, "blobs/sha256", bad.digest.slice(7)));
  await assert.rejects(store.list(), (thrown) => isFault(thrown, "PB5002") && thrown.place === "bad:latest");
  await store.tag("good", "better");
  assert.equal((await store.remove("bad")).digest, bad.digest);
  assert.deepEqual(
    (await store.list()).map(({ name, digest }) => [name, digest]),
    [
      ["better:latest", good.digest],
      ["good:latest", good.digest],
    ],
  );
});

test("an import that fails half-way leaves no blob", async (t) => {
  const path = join(folder(t), "images");
  const store = await openImageStore(path);
  const source = layout(t, [layer(t, { f: "1" }), layer(t, { f: "2" })]);
  const controller = new AbortController();
  controller.abort(new Error("called off"));
  await assert.rejects(store.importArchive("a", source.path, controller.signal), { message: "called off" });
  const manifest: { layers: { digest: string }[] } = JSON.parse(
    readFileSync(join(source.path, "blobs/sha256", source.digest.slice(7)), "utf8"),
  );
  rmSync(join(source.path, "blobs/sha256", manifest.layers[1]?.digest.slice(7) ?? ""));
  await assert.rejects(store.importArchive("a", source.path), fault("PB5002"));
  assert.deepEqual(readdirSync(join(path, "blobs/sha256")), []);
});

test("of several images the named one is taken, of a multi-platform image the one for linux/amd64", async (t) => {
  const store = await openImageStore(join(folder(t), "images"));
  const [one, two] = [layout(t, [layer(t, { f: "1" })], "q/one:v1"), layout(t, [layer(t, { f: "2" })], "q/two:v1")];
  execFileSync("cp", ["--recursive", join(two.path, "blobs"), one.path]);
  const entries = [one, two].map(
    ({ path }): unknown => JSON.parse(readFileSync(join(path, "index.json"), "utf8")).manifests[0],
  );
  writeFileSync(join(one.path, "index.json"), JSON.stringify({ manifests: entries }));
  assert.equal((await store.importArchive("q/two:v1", one.path)).digest, two.digest);
  await assert.rejects(store.importArchive("q/three", one.path), fault("PB5002"));

  const platforms = entries.map((entry, index) => ({
    ...(typeof entry === "object" ? entry : {}),
    platform: { os: "linux", architecture: index === 0 ? "arm64" : "amd64" },
  }));
  const index = Buffer.from(JSON.stringify({ manifests: platforms }));
  writeFileSync(join(one.path, "blobs/sha256", digestOf(index).slice(7)), index);
  const entry = { mediaType: "application/vnd.oci.image.index.v1+json", digest: digestOf(index), size: index.length };
  writeFileSync(join(one.path, "index.json"), JSON.stringify({ manifests: [entry] }));
  assert.equal((await store.importArchive("multi", one.path)).digest, two.digest);
});

const STORE = new URL("./store.ts", import.meta.url).href;

test("processes that change the store at the same time lose nothing", async (t) => {
  const path = join(folder(t), "images");
  const names = ["a", "b", "c", "d"];
  const children = names.map((name) => {
    const source = layout(t, [layer(t, { f: name })]).path;
    const script = `const { openImageStore } = await import(${JSON.stringify(STORE)});
      const store = await openImageStore(${JSON.stringify(path)});
      await store.importArchive(${JSON.stringify(name)}, ${JSON.stringify(source)});`;
    return spawn(process.execPath, ["--input-type=module", "--eval", script], { stdio: "inherit" });
  });
  for (const [code] of await Promise.all(children.map((child) => once(child, "exit")))) assert.equal(code, 0);
  const store = await openImageStore(path);
  assert.deepEqual(
    (await store.list()).map(({ name }) => name),
    names.map((name) => `${name}:latest`),
  );
});

test("an import that is killed leaves nothing visible, and the next one succeeds", async (t) => {
  const path = join(folder(t), "images");
  const big = Buffer.alloc(192 * 1024 * 1024);
  const { path: source, digest } = layout(t, [Buffer.concat([layer(t, { f: "x" }), big])]);
  const script = `const { openImageStore } = await import(${JSON.stringify(STORE)});
    const store = await openImageStore(${JSON.stringify(path)});
    await store.importArchive("big", ${JSON.stringify(source)});`;
  const largest = (): number => {
    try {
      const sizes = readdirSync(join(path, "tmp")).map((name) => statSync(join(path, "tmp", name)).size);
      return Math.max(0, ...sizes);
    } catch {
      return 0;
    }
  };
  const killedMidway = async (): Promise<boolean> => {
    const child = spawn(process.execPath, ["--input-type=module", "--eval", script], { stdio: "inherit" });
    const exit = once(child, "exit");
    while (child.exitCode === null && largest() < 4 * 1024 * 1024) await setTimeout(2);
    child.kill("SIGKILL");
    const [code, signal] = await exit;
    assert.ok(signal === "SIGKILL" || code === 0, `it ended with ${code ?? signal}`);
    return signal === "SIGKILL";
  };
  // Where this process stood still for a second, the import was faster.
  while (!(await killedMidway())) await (await openImageStore(path)).remove("big");
  const store = await openImageStore(path);
  assert.deepEqual(await store.list(), []);
  assert.equal((await store.importArchive("big", source)).digest, digest);
});
