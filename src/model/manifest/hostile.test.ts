import assert from "node:assert/strict";
import { test } from "node:test";
import { wholePathFindings } from "../whole-path/whole-path.ts";
import { checkManifest } from "./check.ts";
import { completeManifests } from "./completion.ts";
import { configurationAmong } from "./configuration.ts";
import { LARGEST_MANIFEST, readManifests } from "./read.ts";

const SPEC = {
  domain: {
    cpu: { cores: 2 },
    memory: { guest: "64Mi" },
    resources: { requests: { memory: "64Mi", cpu: "500m" }, limits: { memory: "1Gi" } },
    devices: {
      interfaces: [
        {
          name: "default",
          masquerade: {},
          ports: [{ name: "http", port: 80, protocol: "TCP" }],
          macAddress: "02:00:00:00:00:07",
        },
        {
          name: "lan",
          bridge: {},
          model: "e1000",
          acpiIndex: 7,
          bootOrder: 1,
          pciAddress: "0000:81:00.1",
          state: "up",
        },
        {
          name: "plug",
          binding: { name: "p" },
          dhcpOptions: { ntpServers: ["1.2.3.4"], privateOptions: [{ option: 224, value: "x" }] },
        },
      ],
      disks: [{ name: "c", disk: { bus: "virtio" }, bootOrder: 2 }],
    },
  },
  networks: [
    { name: "default", pod: { vmNetworkCIDR: "10.0.2.0/24" } },
    { name: "lan", multus: { networkName: "lan", default: false } },
    { name: "plug", genie: { networkName: "flannel" } },
  ],
  volumes: [{ name: "c", cloudInitNoCloud: { userData: "x", networkDataBase64: "QQ==" } }],
  readinessProbe: { tcpSocket: { port: 80 } },
  dnsPolicy: "None",
  dnsConfig: { nameservers: ["1.1.1.1"], searches: ["a.b"], options: [{ name: "ndots", value: "2" }] },
};

const IPAM = {
  type: "host-local",
  ranges: [[{ subnet: "10.9.0.0/24", rangeStart: "10.9.0.7", rangeEnd: "10.9.0.9", gateway: "10.9.0.1" }]],
  routes: [{ dst: "0.0.0.0/0", gw: "10.9.0.1" }],
};
const WHEREABOUTS = { type: "whereabouts", ipRanges: [{ range: "10.9.0.0/24", exclude: ["10.9.0.0/30"] }] };
const CNI = (ipam: object) => ({
  cniVersion: "1.0.0",
  name: "lan",
  plugins: [{ type: "bridge", mtu: 1400, capabilities: { ips: true }, ipam }],
});

const OBJECTS: readonly object[] = [
  {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name: "a", labels: { b: "c" } },
    spec: SPEC,
  },
  {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachine",
    metadata: { name: "v" },
    spec: { runStrategy: "Always", template: { metadata: { annotations: { x: "y" } }, spec: SPEC } },
  },
  { kind: "VM", spec: SPEC },
  { networks: SPEC.networks },
  { interfaces: SPEC.domain.devices.interfaces, networks: SPEC.networks },
  {
    apiVersion: "kubevirt.io/v1",
    kind: "KubeVirt",
    metadata: { name: "kubevirt" },
    spec: {
      configuration: {
        network: {
          defaultNetworkInterface: "bridge",
          binding: {
            p: {
              domainAttachmentType: "tap",
              networkAttachmentDefinition: "lan",
              migration: { method: "x" },
              computeResourceOverhead: { requests: { memory: "1Mi" } },
            },
          },
        },
        developerConfiguration: { featureGates: ["Macvtap"] },
      },
    },
  },
  { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "kubevirt-config" }, data: { "feature-gates": "SRIOV" } },
  {
    apiVersion: "k8s.cni.cncf.io/v1",
    kind: "NetworkAttachmentDefinition",
    metadata: { name: "lan" },
    spec: { config: JSON.stringify(CNI(IPAM)) },
  },
  CNI(IPAM),
  CNI(WHEREABOUTS),
];

const FIRST_CNI = OBJECTS.length - 2;

/** Words that objects have of themselves, and values that no field has. */
const HOSTILE: readonly string[] = [
  "null",
  "[]",
  "[[7]]",
  "{}",
  '{"toString":1,"valueOf":null}',
  '{"__proto__":{"a":1}}',
  '"\\ud800"',
  "1e999",
  "-0.5",
  '"constructor"',
  "true",
];

/** JSON texts of an object, with each hostile value in each of its places in turn. */
function* spoiled(value: unknown): Generator<string> {
  yield* HOSTILE;
  if (typeof value !== "object" || value === null) return;
  const isList = Array.isArray(value);
  const entries = Object.entries(value);
  for (const [index, [, item]] of entries.entries()) {
    for (const inner of spoiled(item)) {
      const parts = entries.map(([key, other], place) => {
        const text = place === index ? inner : JSON.stringify(other);
        return isList ? text : `${JSON.stringify(key)}:${text}`;
      });
      yield isList ? `[${parts.join(",")}]` : `{${parts.join(",")}}`;
    }
  }
}

/** Everything that is done with a file of a user's. */
function judged(text: string, file: string): number {
  const { documents, findings, cniFile } = readManifests(text, file);
  const completed = completeManifests(documents);
  const { configuration, findings: ofConfiguration } = configurationAmong(completed.documents);
  const cniFiles = cniFile === undefined ? [] : [cniFile];
  return [
    ...findings,
    ...completed.findings,
    ...ofConfiguration,
    ...completed.documents.flatMap((document) => checkManifest(document, configuration)),
    ...wholePathFindings(completed.documents, configuration, { cniFiles, links: new Map() }),
  ].length;
}

test("whatever stands in whatever place of a manifest or a CNI configuration, it is answered", () => {
  let answered = 0;
  for (const [index, object] of OBJECTS.entries()) {
    for (const text of spoiled(object)) {
      const file = index < FIRST_CNI ? "a.yaml" : "a.conflist";
      assert.doesNotThrow(() => judged(text, file), text);
      if (index >= FIRST_CNI) assert.doesNotThrow(() => judged(definition(text), "a.yaml"), text);
      answered += 1;
    }
  }
  assert.ok(answered > 2_000, `${answered} answered`);
});

const definition = (config: string): string =>
  JSON.stringify({
    apiVersion: "k8s.cni.cncf.io/v1",
    kind: "NetworkAttachmentDefinition",
    metadata: { name: "lan" },
    spec: { config },
  });

test("long texts are answered as short ones are", () => {
  const data = "A".repeat(LARGEST_MANIFEST - 4096);
  const long = { ...SPEC, volumes: [{ name: "c", cloudInitNoCloud: { networkDataBase64: data } }] };
  const text = JSON.stringify({
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name: "a" },
    spec: long,
  });
  assert.ok(judged(text, "a.json") > 0);
});
