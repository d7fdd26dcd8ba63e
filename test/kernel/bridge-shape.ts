import assert from "node:assert/strict";
import { test } from "node:test";
import { applyKernel } from "../../src/host/linux/apply.ts";
import { able, closeAll, read, testCompliance } from "./binding-compliance.ts";
import { type PodShape, withPod } from "./bridge-pod.ts";

/** That the pod's links, MACs, MTUs and addresses are as a bridge's wiring says. */
function testTakeover(shape: PodShape): void {
  test(`row 63: the guest's tap takes the place of the pod's link, which learns nothing: ${shape.what}`, async (t) => {
    if (!able(t, shape)) return;
    await withPod(shape, async ({ path, wiring: { kernel: wanted } }) => {
      const { taps } = applyKernel(path, wanted);
      const { links } = read(path, wanted);
      assert.deepEqual(links.map(({ name }) => name).sort(), ["lo", ...shape.links].sort());
      for (const link of wanted.links) {
        const there = links.find(({ name }) => name === link.name);
        assert.deepEqual([there?.mac, there?.mtu, there?.up], [link.mac, link.mtu, link.kind !== "dummy"], link.name);
        assert.equal(there?.master, "master" in link ? link.master : undefined, link.name);
        if (link.kind !== "pod" || link.name === link.from) continue;
        assert.equal(there?.learning, link.master === undefined ? undefined : false);
        const kept = wanted.addresses.filter((address) => address.link === link.name).map(({ cidr }) => cidr);
        assert.deepEqual(there?.addresses, kept);
      }
      for (const { link, cidr } of wanted.addresses) {
        assert.ok(links.find(({ name }) => name === link)?.addresses.includes(cidr), `${cidr} on ${link}`);
      }
      await closeAll(taps);
    });
  });
}

/** Everything that a bridge owes to a pod of that shape. */
export function testShape(shape: PodShape): void {
  testTakeover(shape);
  testCompliance(shape);
}
