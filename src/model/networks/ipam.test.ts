import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseCniObject } from "./cni-config.ts";
import { firstLease } from "./ipam.ts";

function lease(ipam: object): unknown {
  const [plugin] = parseCniObject({ name: "n", cniVersion: "1.0.0", type: "bridge", ipam }).network?.plugins ?? [];
  return plugin === undefined ? undefined : firstLease(plugin);
}

test("host-local gives the address after the gateway, or where its range starts", () => {
  assert.deepEqual(lease({ type: "host-local", subnet: "10.1.1.0/24" }), { addresses: ["10.1.1.2/24"], routes: [] });
  assert.deepEqual(
    lease({
      type: "host-local",
      ranges: [
        [{ subnet: "10.250.250.0/24", rangeStart: "10.250.250.20", gateway: "10.250.250.9" }],
        [{ subnet: "fd00:1::/64" }],
      ],
      routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }, { dst: "10.9.0.0/16", gw: "10.250.250.3" }, { dst: "?" }],
    }),
    {
      addresses: ["10.250.250.20/24", "fd00:1::2/64"],
      routes: [
        { destination: "0.0.0.0/0", gateway: "10.250.250.9" },
        { destination: "::/0", gateway: "fd00:1::1" },
        { destination: "10.9.0.0/16", gateway: "10.250.250.3" },
      ],
    },
  );
});

test("static, whereabouts and dhcp give what they say, nothing else gives nothing", () => {
  assert.deepEqual(lease({ type: "static", addresses: [{ address: "10.5.0.7/16", gateway: "10.5.0.1" }] }), {
    addresses: ["10.5.0.7/16"],
    routes: [],
  });
  assert.deepEqual(lease({ type: "whereabouts", range: "10.6.0.0/24" }), { addresses: ["10.6.0.1/24"], routes: [] });
  assert.deepEqual(lease({ type: "dhcp" }), { addresses: ["192.0.2.10/24"], routes: [] });
  for (const ipam of [
    {},
    { type: "static" },
    { type: "host-local", subnet: "10.0.0.0/32" },
    { type: "host-local", ranges: [7, []] },
  ]) {
    assert.deepEqual(lease(ipam), { addresses: [], routes: [] });
  }
});

test("host-local begins at its first address, and leaves out the gateway wherever that is", () => {
  const given = (more: object): unknown => lease({ type: "host-local", subnet: "10.1.1.0/24", ...more });
  const addresses = (...list: string[]): object => ({ addresses: list, routes: [] });
  assert.deepEqual(given({ gateway: "10.2.1.1" }), addresses("10.1.1.1/24"));
  assert.deepEqual(given({ gateway: "10.1.1.254" }), addresses("10.1.1.1/24"));
  assert.deepEqual(given({ rangeStart: "10.1.1.7", gateway: "10.1.1.7" }), addresses("10.1.1.8/24"));
  assert.deepEqual(given({ rangeStart: "10.1.1.1", rangeEnd: "10.1.1.1" }), addresses());
  assert.deepEqual(given({ rangeStart: "10.1.1.20", rangeEnd: "10.1.1.10" }), addresses());
});

test("whereabouts gives an address of each of its ranges, but for those that it excludes", () => {
  const given = (more: object): unknown => lease({ type: "whereabouts", ...more });
  assert.deepEqual(
    given({ ipRanges: [{ range: "10.6.0.0/24" }, { range: "fd00:6::/64", range_start: "fd00:6::9" }] }),
    {
      addresses: ["10.6.0.1/24", "fd00:6::9/64"],
      routes: [],
    },
  );
  assert.deepEqual(given({ range: "10.6.0.10-10.6.0.20/24", exclude: ["10.6.0.8/30", "10.6.0.12/32"] }), {
    addresses: ["10.6.0.13/24"],
    routes: [],
  });
  assert.deepEqual(given({ range: "10.6.0.0/30", exclude: ["10.6.0.0/24"] }), { addresses: [], routes: [] });
});

test("no section makes it throw", () => {
  const word = fc.constantFrom(
    "subnet",
    "ranges",
    "addresses",
    "address",
    "gateway",
    "routes",
    "dst",
    "gw",
    "range",
    "rangeStart",
    "ipRanges",
    "exclude",
    "range_end",
  );
  const section = fc.dictionary(word, fc.jsonValue());
  fc.assert(
    fc.property(section, fc.constantFrom("static", "host-local", "whereabouts", "dhcp", "x"), (ipam, type) => {
      lease({ ...ipam, type });
    }),
  );
});
