import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CNI_VERSIONS } from "./cni-config.ts";
import { readJson } from "./cni-json.ts";
import { type CniResult, parseCniError, parseCniResult, renderCniResult } from "./cni-result.ts";

const dns = { nameservers: ["10.1.0.1"], domain: "x.example", search: ["a.example"], options: ["ndots:2"] };
const shape: CniResult = {
  cniVersion: "1.0.0",
  interfaces: [
    { name: "br0", mac: "02:00:00:00:00:01" },
    { name: "eth0", mac: "02:00:00:00:00:02", sandbox: "/run/netns/x" },
  ],
  ips: [
    { address: "10.1.0.2/24", gateway: "10.1.0.1", interface: 1 },
    { address: "fd00::2/64", gateway: "fd00::1", interface: 1 },
  ],
  routes: [{ destination: "0.0.0.0/0" }, { destination: "::/0", gateway: "fd00::1" }],
  dns,
};

test("reads 0.1.0 and 0.2.0", () => {
  for (const cniVersion of ["0.1.0", "0.2.0"] as const) {
    const said = {
      cniVersion,
      ip4: { ip: "10.1.0.2/24", gateway: "10.1.0.1", routes: [{ dst: "0.0.0.0/0" }] },
      ip6: { ip: "FD00:0::2/64", gateway: "fd00::1", routes: [{ dst: "::/0", gw: "fd00::1" }] },
      dns,
    };
    assert.deepEqual(parseCniResult(said, "0.1.0"), {
      result: {
        ...shape,
        cniVersion,
        interfaces: [],
        ips: shape.ips.map(({ interface: _, ...ip }) => ip),
      },
    });
  }
});

test("reads 0.3.0 to 1.1.0", () => {
  for (const cniVersion of ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const) {
    const said = {
      cniVersion,
      interfaces: [
        { name: "br0", mac: "02:00:00:00:00:01" },
        { name: "eth0", mac: "02:00:00:00:00:02", sandbox: "/run/netns/x" },
      ],
      ips: [
        { version: "4", interface: 1, address: "10.1.0.2/24", gateway: "10.1.0.1" },
        { version: "6", interface: 1, address: "fd00:0::2/64", gateway: "fd00::1" },
      ],
      routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0", gw: "fd00::1" }],
      dns,
    };
    assert.deepEqual(parseCniResult(said, "1.0.0"), { result: { ...shape, cniVersion } });
  }
});

test("takes a result without a version to be in the asked one", () => {
  const reading = parseCniResult({ ips: [{ address: "10.1.0.2/24" }] }, "0.4.0");
  assert.ok("result" in reading);
  assert.equal(reading.result.cniVersion, "0.4.0");
  assert.deepEqual(reading.result.ips, [{ address: "10.1.0.2/24" }]);
});

for (const [what, said, problem] of [
  ["no object", "x", /no JSON object/],
  ["an unknown version", { cniVersion: "3.0.0" }, /3\.0\.0/],
  ["a version that is no text", { cniVersion: { toString: 1 } }, /toString/],
  ["an address without prefix length", { ips: [{ address: "10.1.0.2" }] }, /ips\[0\]\.address "10\.1\.0\.2"/],
  ["an index out of range", { ips: [{ address: "10.1.0.2/24", interface: 1 }] }, /ips\[0\]\.interface 1/],
  ["a gateway that is none", { ips: [{ address: "10.1.0.2/24", gateway: "x" }] }, /ips\[0\]\.gateway "x"/],
  ["ips that are no list", { ips: {} }, /ips is no list/],
  ["an interface without name", { interfaces: [{}] }, /interfaces\[0\]\.name/],
  ["a route without destination", { routes: [{}] }, /routes\[0\]\.dst/],
  ["a dns that is no object", { dns: [] }, /dns/],
] as const) {
  test(`names what is wrong with a result: ${what}`, () => {
    const reading = parseCniResult(said, "1.0.0");
    assert.ok("problem" in reading);
    assert.match(reading.problem, problem);
  });
}

test("a result goes through every version that can hold it", () => {
  for (const cniVersion of CNI_VERSIONS.slice(2)) {
    const rendered = renderCniResult(shape, cniVersion);
    assert.deepEqual(parseCniResult(JSON.parse(JSON.stringify(rendered)), "0.3.0"), {
      result: { ...shape, cniVersion },
    });
  }
  const [first] = renderCniResult(shape, "0.4.0")["ips"] as readonly { readonly version?: string }[];
  assert.equal(first?.version, "4");
  assert.deepEqual(renderCniResult(shape, "0.2.0")["ip4"], {
    ip: "10.1.0.2/24",
    gateway: "10.1.0.1",
    routes: [{ dst: "0.0.0.0/0" }],
  });
});

test("reads error results", () => {
  assert.deepEqual(parseCniError({ code: 7, msg: "bad\n\tconfig", details: " because " }), {
    code: 7,
    message: "bad config",
    details: "because",
  });
  assert.deepEqual(parseCniError({ code: 100 }), { code: 100, message: "no reason given" });
  assert.equal(parseCniError({ code: "7", msg: "x" }), undefined);
  assert.equal(parseCniError({ msg: "x" }), undefined);
  assert.equal(parseCniError("x"), undefined);
  assert.equal(parseCniError({ code: 1, msg: "x".repeat(9999) })?.message.length, 500);
});

test("never throws on foreign values", () => {
  const value = fc.anything();
  const shaped = fc.record(
    {
      cniVersion: fc.oneof(fc.constantFrom(...CNI_VERSIONS), value),
      interfaces: fc.oneof(fc.array(fc.oneof(fc.record({ name: fc.string(), mac: value }), value)), value),
      ips: fc.oneof(fc.array(fc.record({ address: value, gateway: value, interface: value })), value),
      ip4: fc.oneof(fc.record({ ip: value, routes: value }), value),
      routes: fc.oneof(fc.array(fc.record({ dst: value, gw: value })), value),
      dns: value,
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.oneof(shaped, value), fc.constantFrom(...CNI_VERSIONS), (foreign, asked) => {
      parseCniResult(foreign, asked);
      parseCniError(foreign);
    }),
  );
});

test("no bytes make it throw, and what is read can be said again in every version", () => {
  const text = JSON.stringify({
    cniVersion: "1.1.0",
    interfaces: [{ name: "eth0", mac: "02:00:00:00:00:01", mtu: 1500, sandbox: "/x", pciID: "0000:00:01.0" }],
    ips: [{ address: "10.1.0.2/16", gateway: "10.1.0.1", interface: 0 }, { address: "fd00::2/64" }],
    routes: [{ dst: "0.0.0.0/0", gw: "10.1.0.1" }],
    dns: { nameservers: ["1.1.1.1"], domain: "a", search: ["b"], options: ["ndots:1"] },
  });
  const noise = fc.oneof(fc.string({ maxLength: 4 }), fc.json());
  const damaged = fc.tuple(fc.nat(text.length), fc.nat(12), noise).map(([at, gone, added]) => {
    return `${text.slice(0, at)}${added}${text.slice(at + gone)}`;
  });
  fc.assert(
    fc.property(fc.oneof(fc.constant(text), damaged, fc.json()), fc.constantFrom(...CNI_VERSIONS), (said, version) => {
      const json = readJson(said);
      if (!("value" in json)) return;
      parseCniError(json.value);
      const reading = parseCniResult(json.value, version);
      if (!("result" in reading)) return;
      const again = parseCniResult(JSON.parse(JSON.stringify(renderCniResult(reading.result, version))), version);
      assert.ok("result" in again, said);
    }),
    { numRuns: 500 },
  );
});
