import assert from "node:assert/strict";
import { existsSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pino } from "pino";
import { makeEventRecorder } from "../../src/client/events.ts";
import { makeAdmission } from "../../src/control/admission.ts";
import { findQemuUser } from "../../src/host/guest/process.ts";
import { definitions } from "../../src/model/api/kinds.ts";
import { isFault } from "../../src/model/fault.ts";
import { keepClaims } from "../../src/node/claim-keeper.ts";
import { openPodRecords } from "../../src/node/records.ts";
import { needs } from "../needs.ts";
import { makeFolder, startSample, until } from "./apiserver-sample.ts";
import { makeKubectl } from "./kubectl-run.ts";

const log = pino({ level: "silent" });

const claim = (name: string, storage: string, more = ""): string => `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: ${name}}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: ${storage}}}${more}}
`;

test("claims get disk images, which go with them, but not from under a guest", async (t) => {
  if (!needs(t, "root", "kubectls", "qemu")) return;
  const { folder, remove } = makeFolder();
  const { client, kubeconfig, stop } = await startSample(folder, {
    definitions,
    admission: makeAdmission(async () => ({})),
  });
  const kubectl = makeKubectl("1.32", folder, () => kubeconfig);
  t.after(() => kubectl.stop());
  const events = makeEventRecorder(client, "test", log);
  const records = openPodRecords(join(folder, "pods"));
  const images = join(folder, "claims");
  let changes = 0;
  const changed = (): void => {
    changes += 1;
  };
  const keeper = keepClaims({ client, events, records, folder: images, log, changed });
  // In this order: a keeper that still works would make its folder anew.
  t.after(async () => {
    await keeper.close();
    await events.flush();
    await stop();
    remove();
  });
  const get = (name: string, path: string): Promise<string> =>
    kubectl.ok(["get", "pvc", name, "-o", `jsonpath={${path}}`]);
  const fails = (code: "PB5073" | "PB5081", words: RegExp) => (thrown: unknown) =>
    isFault(thrown, code) && words.test(thrown.message);

  await assert.rejects(
    keeper.find("default", "data", "v"),
    fails("PB5073", /no PersistentVolumeClaim default\/data.*"v"/),
  );
  await kubectl.ok(
    ["apply", "-f", "-"],
    [claim("data", "10M"), claim("foreign", "1Gi", ", storageClassName: fast")].join("---"),
  );
  await kubectl.ok(["wait", "--for=jsonpath={.status.phase}=Bound", "pvc/data", "--timeout=60s"]);
  const uid = await get("data", ".metadata.uid");
  const image = join(images, uid, "disk.img");
  assert.equal(await get("data", ".metadata.annotations.patchbay\\.io/disk-image"), image);
  const { size, mode, blocks, uid: owner } = statSync(image);
  assert.deepEqual([size, mode & 0o777, blocks, owner], [10 << 20, 0o600, 0, findQemuUser().uid]);
  await until("that a waiting guest is tried again", () => changes > 0);

  // kubectl's own columns.
  const [head = "", bound = "", pending = ""] = (await kubectl.ok(["get", "pvc"])).split("\n");
  assert.match(head, /^NAME +STATUS +VOLUME +CAPACITY +ACCESS MODES +STORAGECLASS +AGE$/);
  assert.match(bound, new RegExp(`^data +Bound +pvc-${uid} +10Mi +RWO +\\d+`));
  assert.match(pending, /^foreign +Pending +fast +\d+/);
  const told = async (): Promise<boolean> =>
    /PB5081 .*storage class "fast".*leave storageClassName out/.test(await kubectl.ok(["describe", "pvc", "foreign"]));
  await until("why the other one is pending", told);
  await assert.rejects(keeper.find("default", "foreign", "v"), fails("PB5081", /nobody provides/));
  const grown = await kubectl.run([
    "patch",
    "pvc",
    "data",
    "-p",
    '{"spec":{"resources":{"requests":{"storage":"1Gi"}}}}',
  ]);
  assert.equal(grown.code, 1);
  assert.match(grown.err, /resources\.requests\.storage: Forbidden: this machine resizes no claim/);
  await kubectl.ok(["apply", "-f", "-"], claim("data", "10M"));

  assert.deepEqual(await keeper.find("default", "data", "v"), {
    uid,
    image,
    info: {
      claimName: "data",
      accessModes: ["ReadWriteOnce"],
      volumeMode: "Filesystem",
      capacity: { storage: "10Mi" },
      requests: { storage: "10M" },
      filesystemOverhead: "0",
    },
  });
  const guest = { namespace: "default", name: "guest" };
  const use = { uid, namespace: "default", name: "data", disk: "v", writes: true, shareable: false };
  records.put({
    version: 1,
    podUid: "u1",
    pod: guest,
    vmi: { ...guest, uid: "v1" },
    netns: "/run/netns/none",
    stage: "network",
    claims: [{ ...use, alone: false, shared: false }],
  });
  await kubectl.ok(["delete", "pvc", "data", "--wait=false"]);
  assert.match(await kubectl.ok(["get", "pvc", "data"]), /^data +Terminating/m);
  await assert.rejects(keeper.find("default", "data", "v"), fails("PB5081", /is being deleted/));
  assert.ok(existsSync(image));
  records.remove("u1");
  await until("the end of the claim", async () => (await kubectl.run(["get", "pvc", "data"])).code === 1);
  assert.equal(existsSync(join(images, uid)), false);

  await kubectl.ok(["apply", "-f", "-"], claim("vast", "1Ei"));
  await assert.rejects(keeper.find("default", "vast", "v"), (thrown) => isFault(thrown, "PB5007"));
  await until("that there is no room", async () => / PB5007 /.test(await kubectl.ok(["describe", "pvc", "vast"])));

  // Found before the keeper has looked, and lost again by hand: nobody gets an empty disk in its place.
  await kubectl.ok(["apply", "-f", "-"], claim("data", "1Mi"));
  const again = await keeper.find("default", "data", "v");
  assert.equal(await get("data", ".status.capacity.storage"), "1Mi");
  rmSync(again.image);
  await assert.rejects(keeper.find("default", "data", "v"), fails("PB5081", /has lost its disk image/));
});
