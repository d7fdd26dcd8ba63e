import assert from "node:assert/strict";
import { test } from "node:test";
import type { Code } from "../model/codes/codes.ts";
import { isFault } from "../model/fault.ts";
import { filesOf, readFiles, type VolumeObjects, withSecrets } from "./volume-objects.ts";
import { sourceOf } from "./volume-source.ts";

const PLACE = "spec.domain.devices.disks[0]";

function fails(code: Code, words: RegExp): (thrown: unknown) => boolean {
  return (thrown) => isFault(thrown, code) && words.test(`${thrown.message} ${thrown.cure ?? ""}`);
}

test("a claim is read and written, or only read with the writes kept apart", () => {
  const claim = { claimName: "c" };
  assert.deepEqual(sourceOf({ name: "v", persistentVolumeClaim: { ...claim, readOnly: true } }, PLACE), {
    kind: "claim",
    name: "c",
    readOnly: true,
  });
  const ephemeral = { kind: "ephemeral", name: "c", readOnly: false };
  assert.deepEqual(sourceOf({ name: "v", ephemeral: { persistentVolumeClaim: claim } }, PLACE), ephemeral);
  for (const nameless of [{ ephemeral: {} }, { persistentVolumeClaim: { claimName: "" } }]) {
    assert.throws(() => sourceOf({ name: "v", ...nameless }, PLACE), fails("PB5072", /names no claim.*claimName/));
  }
});

test("what is not made is refused with what to use in its place", () => {
  const dataVolume = { name: "v", dataVolume: { name: "d" } };
  assert.throws(
    () => sourceOf(dataVolume, PLACE),
    fails("PB5070", /dataVolume.*use containerDisk, or a persistentVolumeClaim/),
  );
  assert.throws(
    () => sourceOf({ name: "v", downwardMetrics: {} }, PLACE),
    fails("PB5070", /downwardMetrics.*emptyDisk/),
  );
});

test("sizes and paths that are none are refused", () => {
  const disk = (path: string, capacity?: string) =>
    sourceOf({ name: "v", hostDisk: { path, type: "Disk", ...(capacity === undefined ? {} : { capacity }) } }, PLACE);
  assert.throws(() => disk("images/a"), fails("PB5072", /not absolute/));
  assert.throws(() => disk("/images/../etc/shadow"), fails("PB5072", /without \.\./));
  assert.throws(() => disk("/a", "0"), fails("PB5072", /no size/));
  assert.throws(() => sourceOf({ name: "v", emptyDisk: { capacity: "-1Gi" } }, PLACE), fails("PB5072", /no size/));
});

test("a volume's label is its own, or KubeVirt's", () => {
  const label = (volumeLabel?: string) => {
    const source = sourceOf({ name: "v", configMap: { name: "c", ...(volumeLabel && { volumeLabel }) } }, PLACE);
    return source.kind === "files" && source.label;
  };
  assert.equal(label(), "cfgdata");
  assert.equal(label("OEMDRV"), "OEMDRV");
});

test("text and bytes of objects become files", () => {
  const map = { data: { a: "text" }, binaryData: { b: "AAE=" } };
  assert.deepEqual(filesOf("ConfigMap", map), [
    { name: "a", data: Buffer.from("text") },
    { name: "b", data: Buffer.from([0, 1]) },
  ]);
  assert.deepEqual(filesOf("Secret", { data: { a: "dGV4dA==" } }), [{ name: "a", data: Buffer.from("text") }]);
  assert.deepEqual(filesOf("Secret", { data: null }), []);
});

const secrets = (data: Readonly<Record<string, Readonly<Record<string, string>>>>): VolumeObjects => ({
  read: (_kind, namespace, name) =>
    Promise.resolve(
      data[`${namespace}/${name}`] === undefined
        ? undefined
        : Object.entries(data[`${namespace}/${name}`] ?? {}).map(([key, text]) => ({
            name: key,
            data: Buffer.from(text),
          })),
    ),
});

test("cloud-init takes each of its data from the manifest, else from the Secrets", async () => {
  const source = sourceOf(
    {
      name: "v",
      cloudInitConfigDrive: { secretRef: { name: "user" }, networkDataSecretRef: { name: "net" } },
    },
    PLACE,
  );
  assert.ok(source.kind === "cloudInit" && source.layout === "ConfigDrive");
  const there = { "ns/user": { userData: "u" }, "ns/net": { networkdata: "n" } };
  const { userData, networkData } = await withSecrets(secrets(there), "ns", "v", source);
  assert.deepEqual([String(userData), String(networkData)], ["u", "n"]);
  await assert.rejects(withSecrets(secrets({}), "ns", "v", source), fails("PB5073", /ns\/user.*create secret/));
  const empty = secrets({ "ns/user": { other: "" }, "ns/net": {} });
  await assert.rejects(withSecrets(empty, "ns", "v", source), fails("PB5073", /no data for cloud-init.*userdata/));
});

test("a ConfigMap that may be missing is an empty disk", async () => {
  const of = (optional: boolean) =>
    readFiles(secrets({}), "ns", "v", {
      kind: "files",
      label: "l",
      object: { kind: "ConfigMap", name: "c", optional },
    });
  assert.deepEqual(await of(true), []);
  await assert.rejects(of(false), fails("PB5073", /no ConfigMap ns\/c.*create configmap/));
});
