import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Interface } from "../api/interfaces.ts";
import type { Network } from "../api/networks.ts";
import { type Plan, planVmi } from "../wiring/plan.ts";
import { type Area, layOut } from "./layout.ts";
import { sceneOf } from "./scene.ts";
import { planSvg } from "./svg.ts";

function planOf(nics: readonly (readonly [Partial<Interface>, Partial<Network>])[], vmi = "vm"): Plan {
  const name = (index: number): string => `nic${index}`;
  const spec = {
    domain: {
      cpu: { cores: 4 },
      devices: {
        networkInterfaceMultiqueue: true,
        interfaces: nics.map(([iface], index) => ({ name: name(index), ...iface })),
      },
    },
    networks: nics.map(([iface, network], index) => ({ name: iface.name ?? name(index), ...network })),
  };
  const plugins = new Map([
    ["tap", { domainAttachmentType: "tap" }],
    ["managed", { domainAttachmentType: "managedTap" }],
  ]);
  return planVmi({ namespace: "default", name: vmi, hostName: vmi, spec, plugins });
}

const port = fc.record({ port: fc.integer({ min: 1, max: 65_535 }), protocol: fc.constantFrom("TCP", "UDP") });
const word = fc.string({ minLength: 1, maxLength: 60, unit: "binary" });
const nic: fc.Arbitrary<readonly [Partial<Interface>, Partial<Network>]> = fc
  .tuple(
    fc.constantFrom<Partial<Interface>>(
      { bridge: {} },
      { sriov: {} },
      { macvtap: {} },
      { binding: { name: "tap" } },
      { binding: { name: "managed" } },
      { binding: { name: "<odd & plugin>" } },
    ),
    fc.array(port, { maxLength: 30 }),
    word,
  )
  .map(([iface, ports, networkName]) => [{ ...iface, ports }, { multus: { networkName } }] as const);
const primary: fc.Arbitrary<readonly [Partial<Interface>, Partial<Network>]> = fc
  .tuple(
    fc.constantFrom<Partial<Interface>>({ masquerade: {} }, { bridge: {} }, { slirp: {} }, { passt: {} }),
    fc.array(port, { maxLength: 30 }),
  )
  .map(([iface, ports]) => [{ ...iface, ports }, { pod: {} }] as const);

function overlap(one: Area, other: Area): boolean {
  const apart = (a: number, aLength: number, b: number, bLength: number): boolean =>
    a + aLength <= b + 0.001 || b + bLength <= a + 0.001;
  return !apart(one.x, one.width, other.x, other.width) && !apart(one.y, one.height, other.y, other.height);
}

function within(inner: Area, outer: Area): boolean {
  return (
    inner.x >= outer.x - 0.001 &&
    inner.y >= outer.y - 0.001 &&
    inner.x + inner.width <= outer.x + outer.width + 0.001 &&
    inner.y + inner.height <= outer.y + outer.height + 0.001
  );
}

test("whatever is drawn, no text lies on another, and none leaves its box or the picture", () => {
  fc.assert(
    fc.property(primary, fc.array(nic, { maxLength: 5 }), (first, more) => {
      const layout = layOut("default/vm", sceneOf(planOf([first, ...more])));
      const texts = [...layout.boxes.flatMap((box) => box.texts), ...layout.texts];
      const all: Area = { x: 0, y: 0, width: layout.width, height: layout.height };
      for (const [index, text] of texts.entries()) {
        assert.ok(within(text, all), text.text);
        for (const other of texts.slice(index + 1)) assert.ok(!overlap(text, other), `${text.text} on ${other.text}`);
      }
      for (const box of layout.boxes) {
        assert.ok(within(box, all));
        for (const text of box.texts) assert.ok(within(text, box), text.text);
      }
      for (const [index, box] of layout.boxes.entries()) {
        for (const other of layout.boxes.slice(index + 1)) assert.ok(!overlap(box, other));
      }
    }),
  );
});

test("foreign words cannot break out of the picture", () => {
  fc.assert(
    fc.property(word, (networkName) => {
      const svg = planSvg([planOf([[{ bridge: {} }, { multus: { networkName: `<script>"${networkName}` } }]])]);
      assert.ok(!svg.includes("<script"));
      // biome-ignore lint/suspicious/noControlCharactersInRegex: XML has none of them.
      assert.doesNotMatch(svg, /[\u0000-\u0008\u000b\u000c\u000e-\u001f]/);
      assert.equal(svg.match(/<text/g)?.length, svg.match(/<\/text>/g)?.length);
    }),
  );
});

/** The text of every box by its station, of the only NIC. */
function stations(iface: Partial<Interface>, network: Partial<Network>): Readonly<Record<string, string>> {
  const [lane] = sceneOf(planOf([[iface, network]]));
  return Object.fromEntries(
    (lane?.boxes ?? []).map(([station, { title, lines, serves = [] }]) => [
      station,
      [title, ...lines, ...serves].join(" | "),
    ]),
  );
}

test("masquerade: what is translated, in and out, between the pod's link and the tap", () => {
  const way = stations({ masquerade: {}, ports: [{ port: 80 }] }, { pod: {} });
  assert.deepEqual(Object.keys(way), ["outside", "node", "link", "middle", "tap", "guest"]);
  assert.match(way["outside"] ?? "", /tcp 80/);
  assert.match(way["link"] ?? "", /^eth0 \| mac .* \| mtu 1500 \| 10\.244\.0\.5\/24 \| fd10:244::5\/64$/);
  assert.match(way["middle"] ?? "", /in, tcp 80: \| 10\.244\.0\.5 → 10\.0\.2\.2 .*10\.0\.2\.2 → 10\.244\.0\.5/);
  assert.match(way["tap"] ?? "", /^tap0 .*10\.0\.2\.1\/24.*DHCPv4 \| DHCPv6 \| RA$/);
  assert.match(way["guest"] ?? "", /10\.0\.2\.2\/24 DHCPv4 \| fd10:0:2::2 DHCPv6/);
});

test("bridge: the moved link, the bridge that serves, and the dummy that stays", () => {
  const way = stations({ bridge: {} }, { pod: {} });
  assert.match(way["link"] ?? "", /^eth0-nic \| was eth0/);
  assert.match(way["middle"] ?? "", /^bridge k6t-eth0 .*eth0 stays as a dummy: .*10\.244\.0\.5\/24.*DHCPv4$/);
  assert.match(way["guest"] ?? "", /10\.244\.0\.5\/24 DHCPv4/);
});

test("processes and devices: slirp, passt, macvtap and a virtual function", () => {
  const slirp = stations({ slirp: {} }, { pod: {} });
  assert.match(slirp["outside"] ?? "", /nothing comes in/);
  assert.match(slirp["middle"] ?? "", /NAT of 10\.0\.2\.0\/24/);
  assert.equal(sceneOf(planOf([[{ slirp: {} }, { pod: {} }]]))[0]?.inbound, false);
  assert.match(stations({ passt: {} }, { pod: {} })["middle"] ?? "", /passt \| listens on every port/);
  assert.deepEqual(Object.keys(stations({ macvtap: {} }, { multus: { networkName: "lan" } })), [
    "outside",
    "node",
    "link",
    "guest",
  ]);
  const sriov = stations({ sriov: {} }, { multus: { networkName: "lan" } });
  assert.deepEqual(Object.keys(sriov), ["outside", "node", "guest"]);
  assert.match(sriov["node"] ?? "", /VF 0000:81:02\.0/);
});

test("several plans are one document, and the same plans the same text", () => {
  const plans = [planOf([[{ masquerade: {} }, { pod: {} }]], "one"), planOf([], "two")];
  const svg = planSvg(plans);
  assert.equal(svg, planSvg(plans));
  assert.match(svg, /<title>default\/one, default\/two<\/title>/);
  assert.match(svg, /It has no NIC\./);
});
