import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isFault } from "../fault.ts";
import { type PodFacts, parsePodFacts } from "./facts.ts";
import { typicalFacts } from "./typical-facts.ts";

const whole: PodFacts = {
  ...typicalFacts,
  links: typicalFacts.links.map((link) => ({ ...link, noArp: true })),
  routes: [
    ...typicalFacts.routes,
    { family: 4, destination: "10.9.0.0/16", device: "eth0", metric: 100, source: "10.244.0.5", gateway: "fe80::1" },
  ],
  networkStatus: [
    { name: "kindnet", interface: "eth0", ips: ["10.244.0.5"], mac: "02:00:00:00:00:01", mtu: 1500, default: true },
    { name: "default/lan", gateway: ["10.1.1.1"], dns: { nameservers: ["10.96.0.10"] } },
  ],
  devices: [
    { network: "fast", pci: "0000:81:02.0", mac: "02:00:00:00:00:02", mtu: 9000 },
    { network: "b", pci: "" },
  ],
};

/** The place of the fault; undefined where there is none. */
function placeIn(value: unknown): string | undefined {
  try {
    parsePodFacts(typeof value === "string" ? value : JSON.stringify(value));
    return undefined;
  } catch (thrown) {
    assert.ok(isFault(thrown, "PB4024"), String(thrown));
    assert.ok(thrown.place !== undefined && thrown.message.includes(thrown.place));
    return thrown.place;
  }
}

test("facts are read as they were written, and of nothing there are none", () => {
  for (const facts of [typicalFacts, whole]) assert.deepEqual(parsePodFacts(JSON.stringify(facts)), facts);
  assert.equal(parsePodFacts(""), undefined);
});

test("what is wrong is told by its place", () => {
  const [link] = typicalFacts.links;
  const [route] = typicalFacts.routes;
  const { podUid: _, ...withoutUid } = typicalFacts;
  for (const [place, value] of [
    ["line 1, column 2", "{"],
    ["the whole", "7"],
    ["podUid", withoutUid],
    ["links", { ...whole, links: {} }],
    ["links[1]", { ...whole, links: [link, null] }],
    ["links[0].mtu", { ...whole, links: [{ ...link, mtu: "1500" }] }],
    ["links[0].up", { ...whole, links: [{ ...link, up: 1 }] }],
    ["links[0].noArp", { ...whole, links: [{ ...link, noArp: "yes" }] }],
    [
      "links[0].addresses[0].cidr",
      { ...whole, links: [{ ...link, addresses: [{ cidr: "10.0.0.1", scope: "host" }] }] },
    ],
    ["links[0].addresses[0].scope", { ...whole, links: [{ ...link, addresses: [{ cidr: "10.0.0.1/8" }] }] }],
    ["routes[0].family", { ...whole, routes: [{ ...route, family: 5 }] }],
    ["routes[0].destination", { ...whole, routes: [{ ...route, family: 6 }] }],
    ["routes[0].gateway", { ...whole, routes: [{ ...route, gateway: "there" }] }],
    ["resolver", { ...whole, resolver: [] }],
    ["resolver.search[0]", { ...whole, resolver: { ...whole.resolver, search: [7] } }],
    ["networkStatus[0].name", { ...whole, networkStatus: [{}] }],
    ["networkStatus[0].ips", { ...whole, networkStatus: [{ name: "a", ips: "10.0.0.1" }] }],
    ["devices[0].mtu", { ...whole, devices: [{ network: "a", pci: "b", mtu: -1 }] }],
  ] as const) {
    assert.equal(placeIn(value), place);
  }
});

test("whatever stands in the place of a part, it is read or told of", () => {
  const paths = pathsIn(whole);
  fc.assert(
    fc.property(fc.constantFrom(...paths), fc.jsonValue(), (path, value) => {
      placeIn(replaced(whole, path, value));
    }),
    { numRuns: 500 },
  );
});

test("whatever the text, it is read or told of", () => {
  const cut = fc.nat(JSON.stringify(whole).length).map((length) => JSON.stringify(whole).slice(0, length));
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), cut), (text) => {
      placeIn(text);
    }),
  );
});

type Path = readonly (string | number)[];

function pathsIn(value: unknown, path: Path = []): Path[] {
  const inner = Array.isArray(value)
    ? value.flatMap((item: unknown, index) => pathsIn(item, [...path, index]))
    : typeof value === "object" && value !== null
      ? Object.entries(value).flatMap(([key, item]) => pathsIn(item, [...path, key]))
      : [];
  return [path, ...inner];
}

function replaced(value: unknown, [key, ...rest]: Path, by: unknown): unknown {
  if (key === undefined) return by;
  if (Array.isArray(value)) {
    return value.map((item: unknown, index) => (index === key ? replaced(item, rest, by) : item));
  }
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, name === key ? replaced(item, rest, by) : item]),
  );
}
