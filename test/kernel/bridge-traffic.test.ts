import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { applyKernel } from "../../src/host/linux/apply.ts";
import { deleteNetns, listNetns } from "../../src/host/linux/netns.ts";
import { closeFds } from "../../src/host/linux/tap.ts";
import { announce } from "../../src/host/serve/announce.ts";
import { needs } from "../needs.ts";
import { bridgeNeeds, PREFIX, shapes, withPod } from "./bridge-pod.ts";
import { testTraffic } from "./bridge-traffic.ts";

const run = promisify(execFile);

after(() => {
  for (const name of listNetns(PREFIX)) deleteNetns(name);
});

/** The guest's and the peer's address on the pod's network, by the position of the shape; without one of CNI's the guest takes one. */
const addresses = new Map([
  [0, ["10.244.0.5", "10.244.0.1"]],
  [1, ["192.0.2.2", "192.0.2.1"]],
  [2, ["10.9.9.9", "169.254.1.1"]],
  [5, ["10.244.0.5", "10.244.0.1"]],
  [6, ["10.1.1.2", "10.1.1.1"]],
  [7, ["10.98.0.2", "10.98.0.1"]],
] as const);

// Each listens for seconds to what is said unasked.
describe("traffic", { concurrency: addresses.size }, () => {
  for (const [position, [own, peer]] of addresses) {
    const shape = shapes[position];
    assert.ok(shape !== undefined);
    testTraffic(shape, own, peer);
  }
});

for (const position of [0, 7]) {
  const shape = shapes[position];
  assert.ok(shape !== undefined);
  test(`who knew the pod's address at another MAC learns the guest's: ${shape.what}`, async (t) => {
    if (!needs(t, ...bridgeNeeds) || !(shape.needs ?? []).every((need) => needs(t, need))) return;
    const mac = "02:aa:00:00:00:07";
    const nics = [[{ bridge: {}, macAddress: mac }, { pod: {} }]] as const;
    await withPod({ ...shape, nics }, async ({ path, outside, wiring }) => {
      const [announced] = wiring.announcements;
      assert.ok(announced !== undefined);
      const ip = async (...words: string[]): Promise<string> =>
        (await run("nsenter", [`--net=${outside}`, "ip", ...words])).stdout;
      const before = "02:bb:00:00:00:99";
      await ip("neighbour", "replace", announced.address, "lladdr", before, "dev", "far0", "nud", "stale");
      const { taps } = applyKernel(path, wiring.kernel);
      try {
        const deadline = performance.now() + 60_000;
        for (;;) {
          const known = await ip("neighbour", "show", announced.address);
          if (known.includes(mac)) break;
          assert.ok(performance.now() < deadline, known);
          // The link may need a moment to carry frames.
          announce(path, wiring.announcements);
          await pause(5);
        }
      } finally {
        await closeFds([...taps.values()].flat());
      }
    });
  });
}
