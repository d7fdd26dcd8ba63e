import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { VmiSpec } from "../api/vmi.ts";
import { nicContexts } from "../wiring/nics.ts";
import { attachmentAnnotations, NETWORKS_ANNOTATION, readPodNetworks } from "./network-selection.ts";

function asked(spec: Pick<VmiSpec, "networks"> & { readonly interfaces: VmiSpec["domain"]["devices"]["interfaces"] }) {
  const { networks, interfaces } = spec;
  const whole: VmiSpec = {
    domain: { devices: { ...(interfaces === undefined ? {} : { interfaces }) } },
    ...(networks === undefined ? {} : { networks }),
  };
  return attachmentAnnotations(nicContexts({ spec: whole, hostName: "h" }), interfaces ?? [], "ns1");
}

test("secondary networks are asked for in the interfaces' order, with MACs as they are written", () => {
  const annotations = asked({
    networks: [
      { name: "default", pod: {} },
      { name: "red", multus: { networkName: "red-net" } },
      { name: "ovs-net", multus: { networkName: "other/ovs-vlan-100" } },
      { name: "gone", multus: { networkName: "gone" } },
    ],
    interfaces: [
      { name: "default", masquerade: {} },
      { name: "ovs-net", bridge: {}, macAddress: "02-00-00-00-00-0A" },
      { name: "red", bridge: {} },
      { name: "gone", bridge: {}, state: "absent" },
    ],
  });
  assert.deepEqual(annotations, {
    [NETWORKS_ANNOTATION]:
      '[{"name":"ovs-vlan-100","namespace":"other","mac":"02-00-00-00-00-0A","interface":"pod6b4853bd4f2"},' +
      '{"name":"red-net","namespace":"ns1","interface":"podb1f51a511f1"}]',
  });
});

test("a default network and Genie's networks have annotations of their own", () => {
  const nic = (name: string) => ({ name, bridge: {} });
  assert.deepEqual(
    asked({ networks: [{ name: "a", multus: { networkName: "lan", default: true } }], interfaces: [nic("a")] }),
    { "v1.multus-cni.io/default-network": "lan" },
  );
  assert.deepEqual(
    asked({
      networks: [
        { name: "a", genie: { networkName: "flannel" } },
        { name: "b", genie: { networkName: "ovs" } },
      ],
      interfaces: [nic("b"), nic("a")],
    }),
    { cni: "flannel,ovs" },
  );
  assert.deepEqual(asked({ networks: [{ name: "a", pod: {} }], interfaces: [nic("a")] }), {});
});

test("what was asked for is read again", () => {
  const annotations = asked({
    networks: [
      { name: "main", multus: { networkName: "net/main", default: true } },
      { name: "red", multus: { networkName: "red" } },
    ],
    interfaces: [
      { name: "main", bridge: {} },
      { name: "red", bridge: {}, macAddress: "02:00:00:00:00:07" },
    ],
  });
  assert.deepEqual(readPodNetworks(annotations, "ns1"), {
    networks: {
      primary: { namespace: "net", name: "main" },
      selections: [
        {
          namespace: "ns1",
          name: "red",
          interface: "podb1f51a511f1",
          mac: "02:00:00:00:00:07",
          runtimeConfig: {},
        },
      ],
      genie: [],
    },
  });
});

function selections(text: string): unknown {
  const reading = readPodNetworks({ [NETWORKS_ANNOTATION]: text }, "ns1");
  return "problem" in reading ? reading.problem : reading.networks.selections;
}

test("the short form names links by position", () => {
  assert.deepEqual(selections("lan, other/wan@up0"), [
    { namespace: "ns1", name: "lan", interface: "net1", runtimeConfig: {} },
    { namespace: "other", name: "wan", interface: "up0", runtimeConfig: {} },
  ]);
  assert.deepEqual(
    selections('[{"name": "lan", "ips": ["10.0.0.1/24"], "cni-args": {"a": 1}, "portMappings": [{"hostPort": 1}]}]'),
    [
      {
        namespace: "ns1",
        name: "lan",
        interface: "net1",
        ips: ["10.0.0.1/24"],
        cniArgs: { a: 1 },
        runtimeConfig: { portMappings: [{ hostPort: 1 }] },
      },
    ],
  );
});

test("null, an empty text and an empty list say as little as nothing", () => {
  const nothing = '{"name": "lan", "namespace": null, "interface": "", "mac": "", "ips": [], "cni-args": null}';
  assert.deepEqual(selections(`[${nothing}]`), [
    { namespace: "ns1", name: "lan", interface: "net1", runtimeConfig: {} },
  ]);
});

test("what cannot be understood is said", () => {
  for (const [text, says] of [
    ["a/b/c", /"a\/b\/c" does not name/],
    ["Lan", /"ns1\/Lan"|"Lan" does not name/],
    ["../x", /does not name/],
    ["lan@", /cannot be the name/],
    ["[{}]", /element 1 does not name/],
    ['[{"name":"a"},7]', /element 2 is no object/],
    ['[{"name":"a","mac":"no"}]', /"mac" that is none/],
    ['[{"name":"a","default-route":["10.0.0.1"]}]', /"default-route", which is not known/],
    ['[{"name":"a","interface":"x"},{"name":"b","interface":"x"}]', /two networks ask for the interface "x"/],
    ['[{"name":"a","ips":["10.0.0.1;MAC=02:00:00:00:00:01"]}]', /"ips" that are no list of addresses/],
    ['[{"name":"a","interface":"eth0"}]', /two networks ask for the interface "eth0"/],
    ["a@eth0", /two networks ask for the interface "eth0"/],
    ["{}", /no list/],
    ["[", /./],
  ] as const) {
    const problem = selections(text);
    assert.ok(typeof problem === "string", text);
    assert.match(problem, says);
  }
});

test("no annotation makes it throw", () => {
  const texts = fc.oneof(
    fc.string(),
    fc.json(),
    fc.array(fc.json()).map((items) => `[${items.join(",")}]`),
  );
  fc.assert(
    fc.property(texts, texts, texts, (networks, primary, cni) => {
      readPodNetworks({ [NETWORKS_ANNOTATION]: networks, "v1.multus-cni.io/default-network": primary, cni }, "n");
    }),
  );
});
