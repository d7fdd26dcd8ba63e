import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readAgentInterfaces, readGuestOs } from "./agent.ts";

test("interfaces as qemu-ga tells them", () => {
  const told = [
    {
      name: "lo",
      "ip-addresses": [{ "ip-address-type": "ipv4", "ip-address": "127.0.0.1", prefix: 8 }],
      "hardware-address": "00:00:00:00:00:00",
    },
    {
      name: "eth0",
      "ip-addresses": [
        { "ip-address-type": "ipv4", "ip-address": "10.0.2.2", prefix: 24 },
        { "ip-address-type": "ipv6", "ip-address": "FE80::0:5054:ff:fe12:3456%3", prefix: 64 },
        { "ip-address-type": "ipv4", "ip-address": "10.0.2.2", prefix: 24 },
      ],
      statistics: { "tx-packets": 1 },
      "hardware-address": "52:54:00:12:34:56",
    },
    { name: "tun0" },
  ];
  assert.deepEqual(readAgentInterfaces(told), [
    { name: "eth0", mac: "52:54:00:12:34:56", addresses: ["10.0.2.2", "fe80::5054:ff:fe12:3456"] },
    { name: "tun0", addresses: [] },
  ]);
});

test("the guest's system", () => {
  assert.deepEqual(
    readGuestOs({
      "kernel-release": "6.1.0",
      machine: "x86_64",
      id: "debian",
      "pretty-name": "Debian\n12",
      variant: 3,
    }),
    { kernelRelease: "6.1.0", prettyName: "Debian12", machine: "x86_64", id: "debian" },
  );
  assert.equal(readGuestOs({}), undefined);
  assert.equal(readGuestOs([]), undefined);
});

test("whatever a guest says, nothing throws, and what is read is small and well-formed", () => {
  const name = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.anything());
  const interfaces = fc.array(
    fc.oneof(
      fc.anything(),
      fc.record({
        name,
        "hardware-address": name,
        "ip-addresses": fc.oneof(
          fc.anything(),
          fc.array(fc.record({ "ip-address": fc.oneof(fc.ipV4(), fc.ipV6(), name) })),
        ),
      }),
    ),
  );
  fc.assert(
    fc.property(fc.oneof(interfaces, fc.anything()), (value) => {
      for (const { name, addresses } of readAgentInterfaces(value) ?? []) {
        assert.ok(name.length > 0 && name.length <= 128 && name.isWellFormed());
        assert.doesNotMatch(name, /\p{Cc}/u);
        assert.equal(new Set(addresses).size, addresses.length);
      }
      readGuestOs(value);
    }),
  );
  const many = Array.from({ length: 10_000 }, (_, index) => ({
    name: `e${index}`,
    "ip-addresses": Array.from({ length: 100 }, (_, host) => ({ "ip-address": `10.0.0.${host}` })),
  }));
  const read = readAgentInterfaces(many) ?? [];
  assert.equal(read.length, 256);
  assert.ok(read.every(({ addresses }) => addresses.length === 32));
});
