import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { makeFolder } from "../../test/kernel/apiserver-sample.ts";
import { makeDeviceResources } from "./device-resources.ts";
import { openPodRecords } from "./records.ts";

test("a claim waits for what the sources know, and no longer than its pod is wanted", async (t) => {
  const { folder, remove } = makeFolder();
  t.after(remove);
  const records = openPodRecords(join(folder, "pods"));
  const named = { namespace: "ns", name: "a" };
  records.put({ version: 1, podUid: "a", pod: named, vmi: { ...named, uid: "v" }, netns: "", stage: "network" });
  const known = Promise.withResolvers<void>();
  const pools = [{ resource: "x/y", devices: [{ id: "one" }] }];
  const never = { owns: () => false, ready: new Promise<void>(() => {}), pools: () => [] };
  const devices = makeDeviceResources(records, [never, { owns: () => true, ready: known.promise, pools: () => pools }]);
  const asked = [{ resource: "x/y", interface: "net1" }];

  const deleted = new AbortController();
  const given = devices.claim("a", asked, deleted.signal);
  deleted.abort(new Error("deleted"));
  await assert.rejects(given, /deleted/);
  await assert.rejects(devices.claim("a", asked, deleted.signal), /deleted/);
  assert.equal(records.get("a")?.devices, undefined);

  const wanted = devices.claim("a", asked, new AbortController().signal);
  known.resolve();
  assert.deepEqual(
    (await wanted).map(({ device }) => device.id),
    ["one"],
  );
});
