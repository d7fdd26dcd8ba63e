// Every binding, on every pod shape that it is for, and with what annotations add to it.
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { deleteNetns, listNetns } from "../../src/host/linux/netns.ts";
import type { BindingField, Interface } from "../../src/model/api/interfaces.ts";
import type { Network } from "../../src/model/api/networks.ts";
import { bindings } from "../../src/model/bindings/registry.ts";
import { SPOOF_GUARD_ANNOTATION } from "../../src/model/rules/spoof-guard.ts";
import { AT_ONCE, testCompliance } from "./binding-compliance.ts";
import { type PodShape, PREFIX, shapes, tapShapes } from "./bridge-pod.ts";

after(() => {
  for (const name of listNetns(PREFIX)) deleteNetns(name);
});

/** The networks that each binding is for. */
const fits: { readonly [Field in BindingField]: (network: Partial<Network>) => boolean } = {
  masquerade: ({ pod }) => pod !== undefined,
  bridge: () => true,
  slirp: ({ pod }) => pod !== undefined,
  passt: ({ pod }) => pod !== undefined,
  passtBinding: ({ pod }) => pod !== undefined,
  macvtap: ({ multus }) => multus !== undefined,
  sriov: ({ multus }) => multus !== undefined,
  binding: () => true,
};

/** What a pod must have, for some: the address that is translated or spoken from, and the gateway that a guest is told. */
const wants: { readonly [Field in BindingField]?: readonly string[] } = {
  masquerade: ["address add"],
  slirp: ["address add 10."],
  passt: ["address add", "route add default via"],
  passtBinding: ["address add", "route add default via"],
};

/** Those that build nothing: what other NICs of the pod are built of is no matter of theirs. */
const ALONE: readonly BindingField[] = ["slirp", "passt", "passtBinding"];

/** What managedTap builds is bridge's: a few pods show that it is. */
const FEW: readonly string[] = ["a dual-stack pod with routes of every sort", "a pod without an address", "a macvlan"];

function isRefused(field: BindingField, { what, made, nics }: PodShape): boolean {
  // Its pods have a macvtap: they are a list of their own.
  if (field === "macvtap" || (field === "binding" && !FEW.includes(what))) return true;
  if (ALONE.includes(field) && nics.length > 1) return true;
  return (wants[field] ?? []).some((begin) => !made.some((command) => command.startsWith(begin)));
}

/** What else an interface needs, so that there is something to do for it. */
const asked: { readonly [Field in BindingField]?: Partial<Interface> } = {
  slirp: { ports: [{ port: 80 }] },
  binding: { binding: { name: "managed" } },
};

/** A shape with this binding wherever it fits; undefined where it fits nowhere. */
function under(field: BindingField, shape: PodShape, what = ""): PodShape | undefined {
  if (isRefused(field, shape)) return undefined;
  const nics = shape.nics.map(([iface, network]): PodShape["nics"][number] => [
    fits[field](network) ? { [field]: {}, ...asked[field] } : iface,
    network,
  ]);
  return nics.some(([iface]) => field in iface)
    ? { ...shape, nics, what: `${field}${what} on ${shape.what}` }
    : undefined;
}

/** Plain pods of it are bridge.test.ts': a file of tests is to end within minutes. */
const HELD: BindingField = "bridge";

const [dualStack] = shapes;
assert.ok(dualStack !== undefined);
const annotated: readonly (readonly [what: string, annotations: Readonly<Record<string, string>>])[] = [
  [" with a spoof guard", { [SPOOF_GUARD_ANNOTATION]: "true" }],
  [" in a mesh", { "sidecar.istio.io/inject": "true" }],
];
const cases = bindings.map(({ field }) => ({
  field,
  pods: [
    ...(field === HELD ? [] : shapes.flatMap((shape) => under(field, shape) ?? [])),
    ...annotated.flatMap(([what, annotations]) => under(field, { ...dualStack, annotations }, what) ?? []),
    ...tapShapes.filter(({ nics }) => nics.some(([iface]) => field in iface)),
  ],
}));

test("every binding is held, each on several pods", () => {
  assert.ok(cases.length >= 2);
  for (const { field, pods } of cases) assert.ok(pods.length >= 2, field);
});

describe("what every binding owes to a pod", { concurrency: AT_ONCE }, () => {
  for (const shape of cases.flatMap(({ pods }) => pods)) testCompliance(shape);
});
