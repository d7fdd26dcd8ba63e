import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { checkManifest } from "./check.ts";
import { completeManifests } from "./completion.ts";
import type { ManifestDocument } from "./document.ts";
import type { Finding } from "./finding.ts";
import { readManifests } from "./read.ts";

interface Outcome {
  readonly values: readonly unknown[];
  /** `line:column code` of what was completed, then of what is still to be said. */
  readonly told: readonly string[];
  readonly findings: readonly Finding[];
}

function complete(text: string, file = "docs/Red Net.yaml"): Outcome {
  const { documents, findings } = completeManifests(readManifests(text, file).documents);
  const all = [...findings, ...documents.flatMap((document) => checkManifest(document, undefined))];
  const told = all.map(({ line, column, code }) => `${line}:${column} ${code}`);
  return { values: documents.map(({ value }) => value), told, findings: all };
}

const SPEC = {
  domain: { devices: { interfaces: [{ name: "a", masquerade: {} }] }, memory: { guest: "512Mi" } },
  networks: [{ name: "a", pod: {} }],
};

test("a VM with its machine at the top becomes an instance with a name of its own", () => {
  const fragment = `kind: VM
spec:
  domain:
    devices:
      interfaces: [{name: a, masquerade: {}}]
  networks: [{name: a, pod: {}}]
`;
  const { values, told } = complete(
    `${fragment}---\n${fragment}---\napiVersion: v1\nkind: Secret\nmetadata: {name: red-net-2}\n`,
  );
  const vmi = (name: string) => ({
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name },
    spec: SPEC,
  });
  assert.deepEqual(values.slice(0, 2), [vmi("red-net"), vmi("red-net-3")]);
  assert.deepEqual(told, ["1:7 PB1011", "3:3 PB1016", "8:7 PB1011", "10:3 PB1016"]);
});

test("what a fragment says itself stays", () => {
  const { values, told, findings } = complete(
    "apiVersion: kubevirt.io/v1\nkind: VM\nmetadata: {name: own, labels: {a: b}}\nspec:\n  domain:\n    devices: {}\n    resources: {limits: {memory: 64Mi}}\n",
  );
  assert.deepEqual(values, [
    {
      apiVersion: "kubevirt.io/v1",
      kind: "VirtualMachineInstance",
      metadata: { name: "own", labels: { a: "b" } },
      spec: { domain: { devices: {}, resources: { limits: { memory: "64Mi" } } } },
    },
  ]);
  assert.deepEqual(told, ["2:7 PB1011"]);
  assert.match(findings[0]?.message ?? "", /it gets kind VirtualMachineInstance\.$/);
});

test("networks alone become an instance, and findings about them point at their lines", () => {
  const { values, told } = complete("networks:\n- name: a\n  pod: {}\n- name: b\n  multus: {networkName: x}\n");
  assert.deepEqual(values, [
    {
      apiVersion: "kubevirt.io/v1",
      kind: "VirtualMachineInstance",
      metadata: { name: "red-net" },
      spec: {
        domain: {
          devices: {
            interfaces: [
              { name: "a", masquerade: {} },
              { name: "b", bridge: {} },
            ],
          },
          memory: { guest: "512Mi" },
        },
        networks: [
          { name: "a", pod: {} },
          { name: "b", multus: { networkName: "x" } },
        ],
      },
    },
  ]);
  assert.deepEqual(told, ["1:1 PB1011", "2:3 PB1011", "4:3 PB1011", "1:1 PB1016"]);
  const broken = complete("networks:\n- name: a\n  pod: {}\n- name: a.b\n  mutlus: {networkName: x}\n");
  assert.deepEqual(broken.told.slice(4), ["5:3 PB1002"]);
  assert.deepEqual(complete("networks:\n- name: a.b\n  pod: {}\n").told.slice(3), ["2:9 PB2034"]);
});

test("a kind that is nearly right is refused with the name that was meant, but for Kubevirt", () => {
  const { values, told } = complete("apiVersion: kubevirt.io/v1\nkind: Kubevirt\nmetadata: {name: k}\nspec: {}\n");
  assert.deepEqual(values, [{ apiVersion: "kubevirt.io/v1", kind: "KubeVirt", metadata: { name: "k" }, spec: {} }]);
  assert.deepEqual(told, ["2:7 PB1012"]);
  const hints = ["VM", "vmi", "kubevirt", "VirtualMachines"].map(
    (kind) => complete(`apiVersion: kubevirt.io/v1\nkind: ${kind}\nspec: {template: {}}\n`).findings[0]?.hint,
  );
  assert.deepEqual(hints, [
    'did you mean "VirtualMachine"?',
    'did you mean "VirtualMachineInstance"?',
    'did you mean "KubeVirt"?',
    'did you mean "VirtualMachine"?',
  ]);
});

test("an older apiVersion is read as the one that is served", () => {
  const { values, told } = complete("apiVersion: kubevirt.io/v1alpha3\nkind: VM\nspec: {domain: {devices: {}}}\n");
  const [value] = values as [Record<string, unknown>];
  assert.deepEqual([value["apiVersion"], value["kind"]], ["kubevirt.io/v1", "VirtualMachineInstance"]);
  assert.deepEqual(told, ["2:7 PB1011", "3:8 PB1016", "1:13 PB1010"]);
  assert.deepEqual(complete("apiVersion: kubevirt.io/v1alpha2\nkind: KubeVirt\nmetadata: {name: k}\n").told, [
    "1:13 PB1009",
  ]);
});

function guest(devices: string, volumes = "", kind = "VirtualMachineInstance"): string {
  return `apiVersion: kubevirt.io/v1
kind: ${kind}
metadata: {name: a}
spec:
  domain:
    memory: {guest: 64Mi}
    devices:
${devices}
  networks: [{name: a, pod: {}}]
${volumes}`;
}

test("fields one level off are moved, and rules about them point at where they stand", () => {
  const { values, told } = complete(
    guest(
      `      interfaces:
      - name: a
        masquerade: {}
        bootFileName: f
        tftpServerName: t
        dhcpOptions: {ntpServers: [192.0.2.1]}
      disks:
      - name: seed
        disk:
        bus: 5`,
      "  volumes: [{name: seed, emptyDisk: {capacity: 1Mi}}]\n",
    ),
  );
  const [{ spec }] = values as [{ spec: { domain: { devices: unknown } } }];
  assert.deepEqual(spec.domain.devices, {
    interfaces: [
      {
        name: "a",
        masquerade: {},
        dhcpOptions: { bootFileName: "f", tftpServerName: "t", ntpServers: ["192.0.2.1"] },
      },
    ],
    disks: [{ name: "seed", disk: { bus: 5 } }],
  });
  assert.deepEqual(told, ["11:9 PB1013", "12:9 PB1013", "17:9 PB1013", "17:14 PB1003"]);
});

test("what stands at both places is refused", () => {
  const { told } = complete(
    guest(
      `      interfaces:
      - name: a
        masquerade: {}
        bootFileName: f
        dhcpOptions: {bootFileName: g}
      disks:
      - name: seed
        disk: {bus: sata}
        bus: virtio`,
      "  volumes: [{name: seed, emptyDisk: {capacity: 1Mi}}]\n",
    ),
  );
  assert.deepEqual(told, ["11:9 PB1002", "16:9 PB1002"]);
});

test("a volume gets the name of the one disk without a volume", () => {
  const disks = (names: string) => `      interfaces: [{name: a, masquerade: {}}]\n      disks: [${names}]`;
  const one = complete(
    guest(
      disks("{name: x, disk: {}}, {name: z, disk: {}}"),
      "  volumes:\n  - name: x\n    emptyDisk: {capacity: 1Mi}\n  - cloudInitNoCloud: {userData: hi}\n",
    ),
  );
  assert.deepEqual(one.told, ["14:5 PB1014"]);
  const several = complete(
    guest(disks("{name: x, disk: {}}, {name: z, disk: {}}"), "  volumes:\n  - cloudInitNoCloud: {userData: hi}\n"),
  );
  assert.ok(!several.told.some((line) => line.endsWith("PB1014")));
  assert.ok(several.told.some((line) => line.endsWith("PB1004")));
});

test("a CNI configuration gets the name of its definition and a version, and keeps its text", () => {
  const definition = (config: string) =>
    `apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata: {name: lan}\nspec:\n  config: '${config}'\n`;
  const { values, told } = complete(definition('{ "type": "macvlan", "big": 12345678901234567890 }'));
  assert.deepEqual(
    values.map((value) => (value as { spec: unknown }).spec),
    [{ config: '{"cniVersion": "0.3.1", "name": "lan",  "type": "macvlan", "big": 12345678901234567890 }' }],
  );
  assert.deepEqual(told, ["5:11 PB1015"]);
  assert.deepEqual(complete(definition('{"cniVersion":"1.0.0","name":"x","plugins":[]}')).told, []);
  assert.deepEqual(complete(definition("{nonsense")).told, []);
});

test("an object without a name is refused, unless the API is to make one", () => {
  const vmi =
    "apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\nspec: {domain: {devices: {}, memory: {guest: 64Mi}}}\n";
  assert.deepEqual(complete(vmi).told, ["1:1 PB1004"]);
  assert.deepEqual(complete(`${vmi}metadata: {generateName: a-}\n`).told, []);
  assert.deepEqual(complete("apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n").told, ["3:1 PB1004"]);
});

test("no document makes it throw, and completing twice changes nothing more", () => {
  const leaf = fc.constantFrom<unknown>(null, "a", "", 1, true, {}, [], "{}", '{"type":"x"}');
  const key = fc.constantFrom(
    "kind",
    "apiVersion",
    "metadata",
    "name",
    "spec",
    "domain",
    "devices",
    "interfaces",
    "disks",
    "disk",
    "bus",
    "volumes",
    "networks",
    "pod",
    "dhcpOptions",
    "bootFileName",
    "template",
    "config",
    "memory",
    "__proto__",
  );
  const node = fc.letrec((tie) => ({
    node: fc.oneof(
      { maxDepth: 7 },
      leaf,
      fc.array(tie("node"), { maxLength: 2 }),
      fc.array(fc.tuple(key, tie("node")), { maxLength: 4 }).map((entries) => Object.fromEntries(entries)),
    ),
  })).node;
  const document = fc.record({
    kind: fc.constantFrom("VM", "VirtualMachineInstance", "VirtualMachine", "Kubevirt", "NetworkAttachmentDefinition"),
    metadata: node,
    spec: fc.oneof(node, fc.record({ domain: fc.record({ devices: node }), volumes: node, config: leaf })),
  });
  fc.assert(
    fc.property(document, (value) => {
      const [read] = readManifests(JSON.stringify(value), "a.yaml").documents;
      const once = completeManifests(read === undefined ? [] : [read]);
      const twice = completeManifests(once.documents);
      assert.deepEqual(twice.findings, []);
      assert.deepEqual(valuesOf(twice.documents), valuesOf(once.documents));
    }),
    { numRuns: 500 },
  );
});

function valuesOf(documents: readonly ManifestDocument[]): unknown[] {
  return documents.map(({ value }) => value);
}
