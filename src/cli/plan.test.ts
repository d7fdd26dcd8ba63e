import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { codes } from "../model/codes/codes.ts";
import { explainVmi } from "../model/explain/explain.ts";
import { isFault } from "../model/fault.ts";
import { planVmi } from "../model/wiring/plan.ts";
import { typicalFacts } from "../model/wiring/typical-facts.ts";
import { ofInstances } from "./instances.ts";
import { isSound, judgeTexts } from "./judged-manifests.ts";
import { planAll } from "./plan.ts";

/** Most manifests say nothing unusual at any one place; else hardly one in a hundred were accepted. */
function rarely(unusual: fc.Arbitrary<object>): fc.Arbitrary<object> {
  return fc.oneof({ weight: 5, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: unusual });
}

const cidr = fc.constantFrom(
  "10.0.2.0/24",
  "10.0.2.0/30",
  "10.0.2.0/31",
  "192.0.2.7/0",
  "10.11.12.0/8",
  "10.0.2.0",
  "",
  "fd00::/64",
);
const cidr6 = fc.constantFrom(
  "fd10:0:2::/120",
  "fd10:0:2::/126",
  "fd10:0:2::/127",
  "2001:db8::5/48",
  "::/0",
  "10.0.0.0/8",
  "",
);

const port = fc.record(
  {
    port: fc.constantFrom(1, 80, 443, 65_535, 65_536, 0),
    protocol: fc.constantFrom("TCP", "UDP", "SCTP", "tcp"),
    name: fc.constantFrom("http", "dns", "1", "-"),
  },
  { requiredKeys: ["port"] },
);

const details = fc.record(
  {
    model: fc.constantFrom("virtio", "e1000", "e1000e", "igb", "ne2k_pci", "pcnet", "rtl8139", "vmxnet3"),
    macAddress: fc.constantFrom("52:54:00:12:34:56", "52-54-00-12-34-57", "5254.0012.3458", "02:00:00:00:00:00", "ff"),
    ports: fc.array(port, { maxLength: 3 }),
    portRanges: fc.constantFrom([], [{ protocol: "TCP", start: 1, end: 9 }]),
    bootOrder: fc.constantFrom(1, 2, 0),
    pciAddress: fc.constantFrom("0000:03:00.0", "0000:81:00.1", "0000:00:02.0", "0000:00:1f.2", "0000:ff:1f.7", "1"),
    acpiIndex: fc.constantFrom(1, 16_383, 16_384, -1),
    state: fc.constantFrom("up", "down", "absent", ""),
    dhcpOptions: fc.record(
      {
        bootFileName: fc.constantFrom("a", "b".repeat(300)),
        tftpServerName: fc.constantFrom("t", ""),
        ntpServers: fc.constantFrom(
          ["192.0.2.1"],
          ["::1"],
          Array.from({ length: 70 }, () => "192.0.2.1"),
        ),
        privateOptions: fc.constantFrom([{ option: 224, value: "v".repeat(300) }], [{ option: 1, value: "" }]),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: [] },
);

interface Nic {
  readonly iface: object;
  readonly net: object;
}

const podNetwork = rarely(fc.record({ vmNetworkCIDR: cidr, vmIPv6NetworkCIDR: cidr6 }, { requiredKeys: [] })).map(
  (pod): object => ({ pod }),
);
const secondary = fc.constantFrom<object>({ multus: { networkName: "lan" } }, { multus: { networkName: "yard" } });
const anyNetwork = fc.oneof(
  podNetwork,
  secondary,
  fc.constantFrom<object>(
    { multus: { networkName: "lan", default: true } },
    { genie: { networkName: "flannel" } },
    { resourceClaim: { claimName: "c", requestName: "r" } },
    {},
  ),
);

const onPod = fc.constantFrom<object>({ masquerade: {} }, { bridge: {} }, { slirp: {} }, { passt: {} });
const onSecondary = fc.constantFrom<object>({ bridge: {} }, { sriov: {} }, { macvtap: {} });
const anyBinding = fc.oneof(
  onPod,
  onSecondary,
  fc.constantFrom<object>({ passtBinding: {} }, { binding: { name: "tap" } }, { masquerade: {}, bridge: {} }, {}),
);

function nicOf(binding: fc.Arbitrary<object>, network: fc.Arbitrary<object>): fc.Arbitrary<Nic> {
  return fc
    .tuple(binding, network, rarely(details))
    .map(([bound, net, more]) => ({ iface: { ...bound, ...more }, net }));
}

const anyNic = nicOf(anyBinding, anyNetwork);
const primaryNic = nicOf(onPod, podNetwork);
const secondaryNic = nicOf(onSecondary, secondary);

/** NICs as people combine them, and now and then any. */
function nics(most: number): fc.Arbitrary<readonly Nic[]> {
  return fc.oneof(
    {
      weight: 3,
      arbitrary: fc
        .tuple(primaryNic, fc.array(secondaryNic, { maxLength: most - 1 }))
        .map(([first, more]): readonly Nic[] => [first, ...more]),
    },
    { weight: 1, arbitrary: fc.array(anyNic, { maxLength: most }) },
  );
}

const machine = fc.record(
  {
    cpu: fc.constantFrom<object>(
      { cores: 4 },
      { sockets: 2, threads: 2 },
      { cores: 300 },
      { cores: 100_000 },
      { model: "a,b" },
    ),
    memory: fc.constantFrom<object>(
      { guest: "64Mi" },
      { guest: "1" },
      { guest: "8Ei" },
      { guest: "1.5m" },
      { hugepages: {} },
    ),
    resources: fc.constantFrom<object>({ requests: { memory: "64Mi" } }, { limits: { cpu: "1500m", memory: "1Gi" } }),
    machine: fc.constantFrom<object>({ type: "" }, { type: "q35" }, { type: "pc-q35-9.9" }, { type: "i440fx" }),
  },
  { requiredKeys: [] },
);

const around = fc.record(
  {
    hostname: fc.constantFrom("h", "H", ""),
    subdomain: fc.constantFrom("s.t", "-"),
    dnsPolicy: fc.constantFrom("None", "Default", "x"),
  },
  { requiredKeys: [] },
);

const devices = fc.record(
  {
    networkInterfaceMultiqueue: fc.boolean(),
    autoattachPodInterface: fc.boolean(),
    useVirtioTransitional: fc.boolean(),
  },
  { requiredKeys: [] },
);

/** A VMI or VM with these NICs. */
function manifest(given: fc.Arbitrary<readonly Nic[]>): fc.Arbitrary<object> {
  return fc
    .record({
      list: given,
      domain: rarely(machine),
      more: rarely(around),
      plugged: rarely(devices),
      oneName: fc.integer({ min: 0, max: 19 }).map((number) => number === 0),
      isTemplate: fc.boolean(),
    })
    .map(({ list, domain, more, plugged, oneName, isTemplate }) => {
      const name = (index: number): string => (oneName ? "nic" : `nic${index}`);
      const spec = {
        ...more,
        domain: {
          resources: { requests: { memory: "64Mi" } },
          ...domain,
          devices: { ...plugged, interfaces: list.map(({ iface }, index) => ({ name: name(index), ...iface })) },
        },
        networks: list.map(({ net }, index) => ({ name: name(index), ...net })),
      };
      const metadata = { name: "guest" };
      const apiVersion = "kubevirt.io/v1";
      return isTemplate
        ? { apiVersion, kind: "VirtualMachine", metadata, spec: { runStrategy: "Always", template: { spec } } }
        : { apiVersion, kind: "VirtualMachineInstance", metadata, spec };
    });
}

const gates = ["Macvtap", "Passt", "PasstBinding", "NetworkBindingPlugins", "PortRangesSpec", "NetworkDevicesWithDRA"];
const permitted = JSON.stringify({
  apiVersion: "kubevirt.io/v1",
  kind: "KubeVirt",
  metadata: { name: "kubevirt" },
  spec: {
    configuration: {
      developerConfiguration: { featureGates: gates },
      network: { permitSlirpInterface: true, binding: { tap: { domainAttachmentType: "tap" } } },
    },
  },
});

type Outcome =
  | { readonly refused: readonly string[] }
  | { readonly fault: string }
  | { readonly nics: readonly string[] };

/** What becomes of a manifest; anything thrown that has no code is a defect. */
function outcomeOf(object: object, config?: string): Outcome {
  const judged = judgeTexts(
    [{ file: "a.json", text: JSON.stringify(object) }],
    config === undefined ? undefined : [{ file: "config.json", text: config }],
  );
  if (!isSound(judged)) {
    return { refused: judged.findings.flatMap(({ code, severity }) => (severity === "error" ? [code] : [])) };
  }
  const { results: plans, refusals } = planAll(judged);
  const [plan] = plans;
  const [refusal] = refusals;
  assert.equal(plans.length + refusals.length, 1);
  if (plan === undefined) {
    assert.ok(refusal !== undefined && Object.hasOwn(codes, refusal.code) && refusal.message !== "");
    return { fault: refusal.code };
  }
  const explained = ofInstances(judged, (request) => explainVmi(request));
  assert.deepEqual(explained.refusals, []);
  assert.deepEqual(
    explained.results[0]?.nics.map(({ name, claims }) => [
      name,
      claims.every(({ statement }) => /^\S.*\S$/.test(statement)),
    ]),
    plan.nics.map(({ name }) => [name, true]),
    "what is planned is explained",
  );
  for (const { guest } of plan.nics) {
    assert.match(guest.mac, /^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$/);
    assert.match(guest.pci, /^[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/);
    assert.ok(guest.mtu >= 1280 && guest.queues >= 1 && guest.queues <= 256);
  }
  const slots = plan.nics.map(({ guest }) => guest.pci);
  assert.equal(new Set(slots).size, slots.length, "two NICs at one PCI address");
  return { nics: plan.nics.map(({ binding }) => binding) };
}

test("what validate accepts plan plans, or refuses with a code", () => {
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(manifest(nics(4)), fc.boolean(), (object, open) => {
      const outcome = outcomeOf(object, open ? permitted : undefined);
      const kinds = "refused" in outcome ? ["refused"] : "fault" in outcome ? [outcome.fault] : outcome.nics;
      for (const kind of kinds) seen.set(kind, (seen.get(kind) ?? 0) + 1);
    }),
    { numRuns: 1500 },
  );
  for (const kind of ["refused", "masquerade", "bridge", "slirp", "sriov", "macvtap", "passt"]) {
    assert.ok((seen.get(kind) ?? 0) >= 10, `${kind} hardly comes up`);
  }
});

test("two NICs merge, or are refused with a code", () => {
  fc.assert(
    fc.property(
      manifest(
        fc.oneof(fc.tuple(primaryNic, secondaryNic), fc.tuple(primaryNic, primaryNic), fc.tuple(anyNic, anyNic)),
      ),
      (object) => {
        const outcome = outcomeOf(object, permitted);
        if ("nics" in outcome) assert.ok(outcome.nics.length <= 2);
        else if ("refused" in outcome) assert.ok(outcome.refused.length > 0);
      },
    ),
    { numRuns: 1000 },
  );
});

test("two NICs that want the same link of the pod are refused by the merge", () => {
  // The rules allow one pod network only (PB2003), so that no manifest comes this far.
  const spec = {
    domain: {
      devices: {
        interfaces: [
          { name: "a", masquerade: {} },
          { name: "b", masquerade: {} },
        ],
      },
    },
    networks: [
      { name: "a", pod: {} },
      { name: "b", pod: {} },
    ],
  };
  assert.throws(
    () => planVmi({ namespace: "default", name: "guest", hostName: "guest", spec }, typicalFacts),
    (thrown) => isFault(thrown, "PB4001") && thrown.data["first"] === "a" && thrown.data["second"] === "b",
  );
});

test("a template without a name of its own is planned under the one that it begins with", () => {
  const vm = {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachine",
    metadata: { generateName: "web-" },
    spec: {
      runStrategy: "Always",
      template: { spec: { domain: { devices: { autoattachPodInterface: false }, memory: { guest: "64Mi" } } } },
    },
  };
  const plan = (object: object) => planAll(judgeTexts([{ file: "a.json", text: JSON.stringify(object) }]));
  assert.deepEqual(
    plan(vm).results.map(({ vmi, nics }) => [vmi, nics]),
    [[{ namespace: "default", name: "web-xxxxx" }, []]],
  );
  const { memory: _, ...domain } = vm.spec.template.spec.domain;
  const template = { spec: { domain } };
  assert.deepEqual(
    plan({ ...vm, spec: { ...vm.spec, template } }).refusals.map(({ code, path }) => `${code} ${path}`),
    ["PB2401 spec.template.spec.domain"],
  );
});

test("what cannot be built is told at its place, and the others are planned", () => {
  const vmi = (name: string, model: string): string => `apiVersion: kubevirt.io/v1
kind: VirtualMachineInstance
metadata:
  name: ${name}
spec:
  domain:
    memory: {guest: 64Mi}
    devices:
      interfaces:
        - name: a
          bridge: {}
          model: ${model}
  networks: [{name: a, pod: {}}]
`;
  const text = `${vmi("one", 'e1000\n          pciAddress: "0000:00:1f.0"')}---\n${vmi("two", "virtio")}`;
  const { results: plans, refusals } = planAll(judgeTexts([{ file: "a.yaml", text }]));
  assert.deepEqual(
    plans.map(({ vmi: { name } }) => name),
    ["two"],
  );
  assert.deepEqual(
    refusals.map(({ code, path, line, column }) => `${line}:${column} ${code} ${path}`),
    ["13:11 PB5052 spec.domain.devices.interfaces[0].pciAddress"],
  );
});

test("a definition among the manifests says what its network's link is", () => {
  const vmi = `apiVersion: kubevirt.io/v1
kind: VirtualMachineInstance
metadata: {name: one, namespace: ours}
spec:
  domain:
    memory: {guest: 64Mi}
    devices: {interfaces: [{name: a, bridge: {}}, {name: b, bridge: {}}]}
  networks: [{name: a, multus: {networkName: lan}}, {name: b, multus: {networkName: theirs/lan}}]
`;
  const definition = (namespace: string, config: object): string => `apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: lan, namespace: ${namespace}}
spec: {config: '${JSON.stringify({ cniVersion: "1.0.0", name: "lan", ...config })}'}
`;
  const text = [
    vmi,
    definition("ours", { type: "bridge", mtu: 9000, ipam: { type: "host-local", subnet: "10.1.1.0/24" } }),
    definition("theirs", { type: "macvlan", master: "eth0" }),
  ].join("---\n");
  const { results } = planAll(judgeTexts([{ file: "a.yaml", text }]));
  assert.deepEqual(
    results[0]?.nics.map(({ guest, serve }) => [guest.mtu, serve.dhcp4?.clientAddress]),
    [
      [9000, "10.1.1.2"],
      [1500, undefined],
    ],
  );
  assert.match(results[0]?.pod.nft.join("") ?? "", /fwd to/);
});

const VMI = `apiVersion: kubevirt.io/v1
kind: VirtualMachineInstance
metadata: {name: one, namespace: ours}
spec:
  domain:
    memory: {guest: 64Mi}
    devices: {interfaces: [{name: a, masquerade: {}}]}
  networks: [{name: a, pod: {}}]
`;
const VM = `apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: two}
spec:
  runStrategy: Always
  template:
    spec:
      domain:
        memory: {guest: 64Mi}
        devices: {interfaces: [{name: a, masquerade: {}}]}
      networks: [{name: a, pod: {}}]
`;
const judgedAs = (text: string, config?: string) =>
  judgeTexts([{ file: "a.yaml", text }], config === undefined ? undefined : [{ file: "config.json", text: config }]);

test("a manifest that is refused keeps no other from being planned", () => {
  const judged = judgedAs(`${VMI.replace("masquerade", "masqerade")}---\n${VM}`);
  assert.equal(isSound(judged), false);
  const { results, refusals } = planAll(judged);
  assert.deepEqual([results.map(({ vmi: { name } }) => name), refusals], [["two"], []]);
});

test("slirp's model is its own, whatever is asked for (reference 5.4)", () => {
  const { results, refusals, notices } = planAll(judgedAs(VMI.replace("masquerade", "slirp"), permitted));
  assert.deepEqual([results.length, refusals, notices], [1, [], []]);
  assert.equal(results[0]?.nics[0]?.guest.model, "e1000");
});

test("a machine type that no architecture has is refused, one that a node may have is not", () => {
  const typed = (type: string) => planAll(judgedAs(VMI.replace("memory:", `machine: {type: ${type}}\n    memory:`)));
  assert.deepEqual(
    typed("foo").refusals.map(({ code, path }) => `${code} ${path}`),
    ["PB5050 spec.domain.machine.type"],
  );
  const foo = judgedAs(VMI.replace("memory:", "machine: {type: foo}\n    memory:"));
  assert.deepEqual(
    ofInstances(foo, (request) => explainVmi(request)).refusals.map(({ code }) => code),
    ["PB5050"],
  );
  for (const type of ["q35", "pc-q35-9.2", "pc-q35-rhel9.4.0", "virt"])
    assert.deepEqual(typed(type).refusals, [], type);
});

test("the name servers of a plan are those that the VMI asks for", () => {
  const dhcp = (more: string) =>
    planAll(judgedAs(VMI.replace("  networks:", `${more}  networks:`))).results[0]?.nics[0]?.serve.dhcp4;
  assert.deepEqual(dhcp("")?.searchDomains.slice(0, 1), ["ours.svc.cluster.local"]);
  const own = dhcp("  dnsPolicy: None\n  dnsConfig: {nameservers: [192.0.2.7], searches: [example.org]}\n");
  assert.deepEqual([own?.dnsServers, own?.searchDomains], [["192.0.2.7"], ["example.org"]]);
  assert.deepEqual(dhcp("  dnsPolicy: Default\n")?.dnsServers, ["192.0.2.53"]);
});

test("a VM's NIC keeps its MAC, a VMI's goes with its pod; an address that the guest's own network hides is told", () => {
  const said = (text: string) =>
    ofInstances(judgedAs(text), (request) => explainVmi(request)).results[0]?.nics[0]?.claims.map(
      ({ statement }) => statement,
    ) ?? [];
  assert.ok(
    said(VM).some((statement) => /that of the pod's link eth0; the VM keeps it over its restarts/.test(statement)),
  );
  assert.ok(!said(VMI).some((statement) => /restarts/.test(statement)));
  const hiding = said(VMI.replace("pod: {}", 'pod: {vmNetworkCIDR: "10.96.0.0/16"}')).join("\n");
  assert.match(hiding, /Out of its reach is the name server 10\.96\.0\.10/);
  assert.match(
    said(VMI.replace("pod: {}", 'pod: {vmNetworkCIDR: "10.244.0.0/24"}')).join("\n"),
    /the router 10\.244\.0\.1 and what else is in the pod's 10\.244\.0\.0\/24/,
  );
  assert.doesNotMatch(said(VMI).join("\n"), /Out of its reach/);
});

test("a guest's network that overlaps a typical pod's is planned, with a warning", () => {
  const { results, refusals, notices } = planAll(
    judgedAs(VMI.replace("pod: {}", 'pod: {vmNetworkCIDR: "10.244.0.0/24"}')),
  );
  assert.deepEqual([results.length, refusals], [1, []]);
  assert.deepEqual(
    notices.map(({ severity, code, path, line }) => `${severity} ${code} ${line} ${path}`),
    ["warning PB4003 8 spec.networks[0].pod.vmNetworkCIDR"],
  );
  assert.match(notices[0]?.message ?? "", /^On a typical pod vmNetworkCIDR "10\.244\.0\.0\/24"/);
});
