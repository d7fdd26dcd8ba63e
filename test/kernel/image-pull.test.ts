import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { gzipSync } from "node:zlib";
import { pullImage } from "../../src/host/images/pull.ts";
import { type ImageStore, openImageStore } from "../../src/host/images/store.ts";
import type { Code } from "../../src/model/codes/codes.ts";
import { isFault } from "../../src/model/fault.ts";
import { needs } from "../needs.ts";
import { Registry } from "../registry.ts";

const MAIN = new URL("../../src/cli/main.ts", import.meta.url).pathname;

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "patchbay-pull-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A packed layer with one file. */
function layer(t: TestContext, path: string, data: string | Uint8Array): Buffer {
  const root = folder(t);
  mkdirSync(join(root, path, ".."), { recursive: true });
  writeFileSync(join(root, path), data);
  return gzipSync(execFileSync("tar", ["--create", "--directory", root, "."], { maxBuffer: 2 ** 26 }));
}

interface World {
  readonly registry: Registry;
  readonly images: string;
  readonly store: ImageStore;
  readonly told: string[];
  /** `patienceMs`: how long it may be silent; a minute is more than a busy machine needs for anything here. */
  pull(name: string, patienceMs?: number): ReturnType<typeof pullImage>;
  /** Nothing is on its way, and no blob is there that no image has. */
  clean(): Promise<void>;
}

async function world(t: TestContext, images = join(folder(t), "images")): Promise<World> {
  const store = await openImageStore(images);
  const told: string[] = [];
  return {
    registry: await Registry.start(t),
    images,
    store,
    told,
    pull: (name, patienceMs = 60_000) => pullImage(store, name, { onProgress: (line) => told.push(line), patienceMs }),
    async clean() {
      assert.deepEqual(readdirSync(store.scratch), []);
      const blobs = join(images, "blobs", "sha256");
      if ((await store.list()).length === 0) {
        const present = readdirSync(images).includes("blobs") ? readdirSync(blobs) : [];
        assert.deepEqual(present, []);
      }
    },
  };
}

/** A fault of this code whose sentence and cure match. */
const fault =
  (code: Code, ...patterns: readonly RegExp[]) =>
  (thrown: unknown): boolean => {
    assert.ok(isFault(thrown, code), String(thrown));
    for (const pattern of patterns) assert.match(`${thrown.message} ${thrown.cure}`, pattern);
    return true;
  };

test("an image comes from its registry with its digest, whether OCI's or Docker's, and its files are there", async (t) => {
  if (!needs(t, "skopeo")) return;
  const { registry, store, told, pull, clean } = await world(t);
  for (const by of ["oci", "docker"] as const) {
    const made = registry.image([layer(t, "etc/x", "x"), layer(t, "disk/a.img", by)], by);
    const name = registry.tag(`lab/${by}:v1`, made);
    const image = await pull(name);
    assert.deepEqual([image.name, image.digest], [name, made.digest]);
    assert.deepEqual(await store.resolve(name), image);
    assert.equal(readFileSync(await store.extract(name, "/disk/a.img"), "utf8"), by);
    assert.ok(told.includes(`pulling ${name} from ${registry.host}`));
    assert.ok(
      told.some((line) => /^fetching layer [0-9a-f]{12}$/.test(line)),
      told.join("\n"),
    );
  }
  await clean();
});

test("of a multi-platform image the one for linux/amd64 comes, by tag and by each digest", async (t) => {
  if (!needs(t, "skopeo")) return;
  const { registry, store, pull, clean } = await world(t);
  const amd64 = registry.image([layer(t, "disk/a", "amd64")]);
  const index = registry.index({ arm64: registry.image([layer(t, "disk/a", "arm64")], "oci", "arm64"), amd64 });
  const tagged = registry.tag("lab/multi:latest", index);
  const names = [tagged, tagged.replace(":latest", `@${index.digest}`), tagged.replace(":latest", `@${amd64.digest}`)];
  for (const name of names) {
    const image = await pull(name);
    assert.deepEqual([image.name, image.digest], [name, amd64.digest]);
    assert.deepEqual(await store.resolve(name), image, "a manifest that names it so finds it");
    assert.equal(readFileSync(await store.extract(name, "disk/a"), "utf8"), "amd64");
  }
  const alien = registry.tag("lab/alien:1", registry.index({ arm64: amd64 }));
  await assert.rejects(pull(alien), fault("PB5002", /nothing for linux\/amd64/));
  assert.deepEqual(
    (await store.list()).map(({ name }) => name),
    [...names].sort(),
  );
  await clean();
});

test("a name is moved by the next pull, and stays where that fails", async (t) => {
  if (!needs(t, "skopeo")) return;
  const { registry, store, pull, clean } = await world(t);
  const [one, two] = [registry.image([layer(t, "f", "1")]), registry.image([layer(t, "f", "2")])];
  const name = registry.tag("lab/moving:1", one);
  await pull(name);
  registry.tag("lab/moving:1", two);
  assert.equal((await pull(name)).digest, two.digest);
  registry.trouble = 500;
  await assert.rejects(pull(name), fault("PB5013", /500/, /image import/));
  assert.equal((await store.resolve(name))?.digest, two.digest);
  assert.equal(readFileSync(await store.extract(name, "f"), "utf8"), "2");
  await clean();
});

test("what a registry does not have, or does not give, is said with the cure", async (t) => {
  if (!needs(t, "skopeo")) return;
  const { registry, pull, clean } = await world(t);
  await assert.rejects(
    pull(`${registry.host}/lab/denied-not-found:1`),
    fault("PB5010", /has no image .*denied-not-found:1/, /Correct the name/),
  );
  const name = registry.tag("lab/private:1", registry.image([layer(t, "f", "1")]));
  registry.credentials = "someone:secret";
  await assert.rejects(pull(name), fault("PB5011", new RegExp(`skopeo login ${registry.host}`)));
  const authFile = join(folder(t), "auth.json");
  const auth = Buffer.from(registry.credentials).toString("base64");
  writeFileSync(authFile, JSON.stringify({ auths: { [registry.host]: { auth } } }));
  process.env["REGISTRY_AUTH_FILE"] = authFile;
  t.after(() => delete process.env["REGISTRY_AUTH_FILE"]);
  assert.equal((await pull(name)).name, name);
  await assert.rejects(pull("Not/A/Name"), fault("PB5003"));
  await clean();
});

test("a registry that is not there, or falls silent, is given up, and nothing stays behind", async (t) => {
  if (!needs(t, "skopeo")) return;
  const { registry, pull, clean } = await world(t);
  await assert.rejects(pull("127.0.0.1:1/lab/x:1"), fault("PB5012", /127\.0\.0\.1:1.*refused/, /in a file/));
  await assert.rejects(pull("registry.invalid/lab/x:1", 4_000), fault("PB5012", /registry\.invalid/));
  const data = layer(t, "f", randomBytes(100_000));
  const made = registry.image([data]);
  registry.stall(registry.put(data, made.mediaType).digest);
  await assert.rejects(pull(registry.tag("lab/slow:1", made), 4_000), fault("PB5012", /has sent nothing for 4 s/));
  await (await registry.stalling.promise).over;
  await clean();
});

test("bytes that are not those of the digest are refused", async (t) => {
  if (!needs(t, "skopeo")) return;
  const { registry, store, pull, clean } = await world(t);
  const good = layer(t, "f", "good");
  const bad = Buffer.from(good);
  bad.writeUInt8(bad.readUInt8(20) ^ 1, 20);
  const lying = { ...registry.put(bad, "application/vnd.oci.image.layer.v1.tar+gzip") };
  const made = registry.image([good]);
  const twisted = registry.document(made.mediaType, {
    config: registry.document("application/vnd.oci.image.config.v1+json", { os: "linux", architecture: "amd64" }),
    layers: [{ ...lying, size: lying.size + 1 }],
  });
  await assert.rejects(pull(registry.tag("lab/bad:1", twisted)), (thrown) => isFault(thrown));
  assert.deepEqual(await store.list(), []);
  await clean();
});

test("a full disk is said, and nothing stays behind", async (t) => {
  if (!needs(t, "skopeo", "root")) return;
  const small = mkdtempSync(join(tmpdir(), "patchbay-small-"));
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "none", small]);
  t.after(() => {
    execFileSync("umount", [small]);
    rmSync(small, { recursive: true });
  });
  const { registry, pull, store, clean } = await world(t, join(small, "images"));
  const name = registry.tag("lab/large:1", registry.image([layer(t, "f", randomBytes(8 * 1024 * 1024))]));
  await assert.rejects(pull(name), fault("PB5007", /no space left on the disk: .*small/, /image rm/));
  assert.deepEqual(await store.list(), []);
  await clean();
});

test("without skopeo the cure is named", async (t) => {
  const { pull, clean } = await world(t);
  const path = process.env["PATH"];
  process.env["PATH"] = folder(t);
  t.after(() => {
    process.env["PATH"] = path;
  });
  await assert.rejects(pull("lab/x"), fault("PB5005", /skopeo is not on this machine/, /patchbay setup/));
  await clean();
});

test("the command reports, and Ctrl-C leaves nothing", async (t) => {
  if (!needs(t, "skopeo")) return;
  const { registry, images, clean } = await world(t);
  const patchbay = (...args: readonly string[]) =>
    spawn(process.execPath, ["--disable-warning=ExperimentalWarning", MAIN, "image", ...args, "--image-dir", images]);
  const name = registry.tag("lab/fine:1", registry.image([layer(t, "f", "1")]));
  const child = patchbay("pull", name, "-o", "json");
  let [out, err] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    err += text;
  });
  assert.deepEqual(await once(child, "close"), [0, null], err);
  const image: { readonly name?: unknown; readonly digest?: unknown } = JSON.parse(out);
  assert.equal(image.name, name);
  assert.match(err, /^pulling 127.*\nfetching layer .*\nstoring 127/s);

  const data = layer(t, "f", randomBytes(100_000));
  const slow = registry.image([data]);
  registry.stall(registry.put(data, slow.mediaType).digest);
  const stopped = patchbay("pull", registry.tag("lab/slow:1", slow));
  const closed = once(stopped, "close");
  const { over } = await registry.stalling.promise;
  stopped.kill("SIGINT");
  assert.deepEqual(await closed, [null, "SIGINT"]);
  await over;
  await clean();
  assert.deepEqual(
    (await (await openImageStore(images)).list()).map((each) => each.name),
    [name],
  );
});
