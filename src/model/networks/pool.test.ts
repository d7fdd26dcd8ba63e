import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCniObject } from "./cni-config.ts";
import { addressOfFile, poolsOf } from "./pool.ts";

function pools(ipam: object, ...taken: string[]): unknown {
  const reading = parseCniObject({ name: "n", cniVersion: "1.0.0", type: "bridge", ipam });
  const [plugin] = reading.network?.plugins ?? [];
  return plugin === undefined ? undefined : poolsOf(plugin, taken).map(({ size, used }) => `${used}/${size}`);
}

test("a pool is its ranges without network, gateway and broadcast address", () => {
  assert.deepEqual(pools({ type: "host-local", subnet: "10.1.1.0/24" }, "10.1.1.2", "10.1.2.2"), ["1/253"]);
  assert.deepEqual(pools({ type: "host-local", subnet: "10.1.1.0/30" }, "10.1.1.2"), ["1/1"]);
  const range = { subnet: "10.1.1.0/24", rangeStart: "10.1.1.10", rangeEnd: "10.1.1.12" };
  assert.deepEqual(pools({ type: "host-local", ...range }, "10.1.1.10", "10.1.1.9"), ["1/3"]);
  assert.deepEqual(pools({ type: "host-local", ranges: [[{ subnet: "fd00::/126" }]] }, "fd00::2"), ["1/2"]);
});

test("the ranges of one set are one pool, each set is one of its own, and other IPAMs have none", () => {
  const ranges = [[{ subnet: "10.1.1.0/30" }, { subnet: "10.1.2.0/30" }], [{ subnet: "10.1.3.0/29" }], ["?"]];
  assert.deepEqual(pools({ type: "host-local", ranges }, "10.1.2.2"), ["1/2", "0/5"]);
  assert.deepEqual(pools({ type: "static" }), []);
});

test("a range that ends before it begins has no addresses, and nothing of it counts", () => {
  const reversed = { subnet: "10.1.1.0/24", rangeStart: "10.1.1.20", rangeEnd: "10.1.1.10" };
  assert.deepEqual(pools({ type: "host-local", ...reversed }, "10.1.1.15"), []);
  assert.deepEqual(pools({ type: "host-local", ranges: [[reversed, { subnet: "10.1.2.0/30" }]] }), ["0/1"]);
  assert.deepEqual(pools({ type: "host-local", subnet: "10.1.1.0/31" }), []);
});

test("host-local's files are addresses, but for those that are not", () => {
  assert.deepEqual(["10.1.1.2", "fd00__2", "lock", "last_reserved_ip.0"].map(addressOfFile), [
    "10.1.1.2",
    "fd00::2",
    undefined,
    undefined,
  ]);
});
