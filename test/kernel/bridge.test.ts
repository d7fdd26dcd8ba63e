import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, describe, test } from "node:test";
import { applyKernel } from "../../src/host/linux/apply.ts";
import { executeHere } from "../../src/host/linux/execute.ts";
import { deleteNetns, listNetns, within } from "../../src/host/linux/netns.ts";
import { readBeforeHere, undoHere } from "../../src/host/linux/undo.ts";
import { isFault } from "../../src/model/fault.ts";
import { stepText } from "../../src/model/wiring/step-text.ts";
import { stepsTo } from "../../src/model/wiring/steps.ts";
import type { KernelState } from "../../src/model/wiring/wiring.ts";
import { AT_ONCE, able, closeAll, read } from "./binding-compliance.ts";
import { changesSince, PREFIX, settledLines, shapes, withPod } from "./bridge-pod.ts";
import { testShape } from "./bridge-shape.ts";

after(() => {
  for (const name of listNetns(PREFIX)) deleteNetns(name);
});

const [dualStack] = shapes;
assert.ok(dualStack !== undefined);

describe("what a bridge owes to a pod", { concurrency: AT_ONCE }, () => {
  for (const shape of shapes) testShape(shape);
});

test("a step that fails on the way of a whole wiring is named, and nothing of it stays", async (t) => {
  if (!able(t, dualStack)) return;
  await withPod(dualStack, async ({ path, wiring: { kernel: wanted } }) => {
    const before = await settledLines(path);
    const table = { family: "ip", name: "bad", sets: [], chains: [{ name: "c", rules: ["frobnicate"] }] } as const;
    const poisoned: readonly (readonly [place: string, state: KernelState])[] = [
      ["sysctl net/ipv4/none = 1", { ...wanted, sysctls: [...wanted.sysctls, { key: "net/ipv4/none", value: "1" }] }],
      ["address 10.0.0.1/8 on link none", { ...wanted, addresses: [{ link: "none", cidr: "10.0.0.1/8" }] }],
      ["table ip bad", { ...wanted, tables: [table] }],
    ];
    for (const [place, state] of poisoned) {
      assert.throws(
        () => applyKernel(path, state),
        (thrown) =>
          isFault(thrown, "PB4000") && thrown.place === place && /before it was undone\.$/.test(thrown.message),
      );
      assert.deepEqual(await changesSince(before, path), [], place);
    }
  });
});

test("a pod that lost its link is told of, and nothing is left behind", async (t) => {
  if (!able(t, dualStack)) return;
  await withPod(dualStack, async ({ path, wiring: { kernel: wanted } }) => {
    execFileSync("nsenter", [`--net=${path}`, "ip", "link", "delete", "eth0"]);
    const before = await settledLines(path);
    assert.throws(
      () => applyKernel(path, wanted),
      (thrown) => isFault(thrown, "PB4000") && /eth0-nic/.test(thrown.message) && /was undone\.$/.test(thrown.message),
    );
    assert.deepEqual(await changesSince(before, path), []);
  });
});

test("where the pod's link goes away in the midst, the rest is taken back and nothing is said to be left", async (t) => {
  if (!able(t, dualStack)) return;
  await withPod(dualStack, ({ path, wiring: { kernel: wanted } }) => {
    const actual = read(path, wanted);
    const steps = stepsTo(wanted, actual);
    const left = within(path, () => {
      const known = readBeforeHere(actual, steps);
      const outcome = executeHere(steps);
      assert.equal(outcome.failure, undefined);
      execFileSync("ip", ["link", "delete", "eth0-nic"]);
      return undoHere(outcome, known);
    });
    const { links, tables } = read(path, wanted);
    assert.deepEqual([links.map(({ name }) => name), tables], [["lo"], {}]);
    assert.deepEqual(left, []);
  });
});

test("a link of somebody else's that has a needed name is refused before anything is done", async (t) => {
  if (!able(t, dualStack)) return;
  for (const taken of ["k6t-eth0", "tap0", "eth0-nic"]) {
    await withPod(dualStack, async ({ path, wiring: { kernel: wanted } }) => {
      execFileSync("nsenter", [`--net=${path}`, "ip", "link", "add", taken, "type", "veth", "peer", "name", "other"]);
      const before = await settledLines(path);
      assert.throws(
        () => applyKernel(path, wanted),
        (thrown) =>
          isFault(thrown, "PB4018") &&
          thrown.place === taken &&
          thrown.message.includes(`"${taken}"`) &&
          thrown.data["kind"] === "veth",
      );
      assert.deepEqual(await changesSince(before, path), []);
    });
  }
});

test("a second daemon finds the tap of a running guest, and puts it back where somebody took it away", async (t) => {
  if (!able(t, dualStack)) return;
  await withPod(dualStack, async ({ path, wiring: { kernel: wanted } }) => {
    const { taps } = applyKernel(path, wanted);
    const whole = await settledLines(path);
    const damages: readonly (readonly [damage: string, steps: readonly string[]])[] = [
      ["ip link set tap0 nomaster", ["bridge k6t-eth0 for link tap0"]],
      ["ip link set eth0-nic nomaster", ["bridge k6t-eth0 for link eth0-nic", "learning off for port eth0-nic"]],
      ["bridge link set dev eth0-nic learning on", ["learning off for port eth0-nic"]],
      ["ip link set eth0-nic down", ["up for link eth0-nic"]],
      ["ip address add 10.244.0.77/24 dev eth0-nic", ["removal of address 10.244.0.77/24 from link eth0-nic"]],
      [
        "ip link set eth0 up",
        [
          "down for link eth0",
          ...[6, 5].flatMap((last) => [
            `removal of address fd10:244::${last}/64 from link eth0`,
            `address fd10:244::${last}/64 on link eth0`,
          ]),
        ],
      ],
      ["ip link set k6t-eth0 mtu 1300", ["MTU 1450 for link k6t-eth0"]],
      ["sysctl -qw net.ipv6.conf.k6t-eth0.disable_ipv6=0", ["sysctl net/ipv6/conf/k6t-eth0/disable_ipv6 = 1"]],
    ];
    for (const [damage, steps] of damages) {
      execFileSync("nsenter", [`--net=${path}`, ...damage.split(" ")]);
      const mended = applyKernel(path, wanted);
      assert.equal(mended.taps.size, 0, damage);
      assert.deepEqual(mended.steps.map(stepText), steps, damage);
      // What came instead of it is of no matter.
      assert.deepEqual(await changesSince(whole, path, /^(?!- \{)/), [], damage);
    }
    await closeAll(taps);
  });
});

test("where the kernel has no dummies a bridge without ports stands in, and is found again", async (t) => {
  if (!able(t, dualStack)) return;
  await withPod(dualStack, async ({ path, wiring: { kernel: wanted } }) => {
    const { taps } = applyKernel(path, wanted);
    const kind = read(path, wanted).links.find(({ name }) => name === "eth0")?.kind;
    assert.ok(kind === "dummy" || kind === "bridge", kind);
    await closeAll(taps);
  });
});
