import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { completeManifests } from "../manifest/completion.ts";
import type { Finding } from "../manifest/finding.ts";
import { readManifests } from "../manifest/read.ts";
import { wholePathFindings } from "./whole-path.ts";

type Files = Readonly<Record<string, string>>;

function found(files: Files, links?: Readonly<Record<string, number>>): Finding[] {
  const read = Object.entries(files).map(([file, text]) => readManifests(text, file));
  assert.deepEqual(
    read.flatMap(({ findings }) => findings),
    [],
  );
  const { documents } = completeManifests(read.flatMap((manifests) => manifests.documents));
  return wholePathFindings(documents, undefined, {
    cniFiles: read.flatMap(({ cniFile }) => cniFile ?? []),
    ...(links === undefined ? {} : { links: new Map(Object.entries(links)) }),
  });
}

/** `file severity code line: what stands there` of each finding. */
function told(files: Files, links?: Readonly<Record<string, number>>): string[] {
  return found(files, links).map(({ file, line, column, length, severity, code }) => {
    const text = (files[file] ?? "").split("\n")[line - 1] ?? "";
    return `${file} ${severity} ${code} ${line}: ${text.slice(column - 1, column - 1 + length)}`;
  });
}

/** A definition with its configuration in a literal. */
const nad = (name: string, config: string, resource = ""): string => {
  const annotations = resource === "" ? "" : `, annotations: {k8s.v1.cni.cncf.io/resourceName: ${resource}}`;
  return `---\napiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata: {name: ${name}${annotations}}\nspec:\n  config: |\n${config.replace(/^/gm, "    ")}\n`;
};

/** A single plugin's configuration, a field a line. */
const config = (fields: Readonly<Record<string, unknown>>): string =>
  JSON.stringify({ cniVersion: "0.3.1", name: "n", ...fields }, undefined, 2);

const list = (...plugins: readonly object[]): string =>
  JSON.stringify({ cniVersion: "0.3.1", name: "n", plugins }, undefined, 2);

test("a configuration that cannot be read is told at its place within the definition", () => {
  const torn = '{\n  "cniVersion": "0.3.1"\n  "type": "bridge"\n}';
  assert.deepEqual(told({ a: nad("x", torn) }), ['a error PB3003 9: "']);
  const typeless = list({ type: "bridge" }, { type: 7 });
  assert.deepEqual(told({ a: nad("x", typeless) }), ["a error PB3004 15: 7"]);
  assert.deepEqual(told({ a: nad("x", config({ type: "bridge", cniVersion: "9.9" })) }), ['a error PB3005 8: "9.9"']);
  assert.deepEqual(told({ a: nad("x", "[]") }), ["a error PB3004 7: ["]);
  assert.deepEqual(told({ a: nad("x", config({ type: "bridge" })) }), []);
  const [one] = found({ a: nad("x", torn) });
  assert.match(one?.message ?? "", /^The CNI configuration of default\/x cannot be used: it is not valid JSON/);
  assert.equal(one?.path, "spec.config");
});

test("a file of a CNI folder is checked at its places", () => {
  assert.deepEqual(told({ "a.conf": '{"cniVersion": "1.0.0",\n"name": "n" "type": "bridge"}' }), [
    'a.conf error PB3003 2: "',
  ]);
  assert.deepEqual(told({ "a.conflist": '{\n\t"name": "n",\n\t"cniVersion": "1.0.0",\n\t"plugins": []\n}' }), [
    "a.conflist error PB3004 4: []",
  ]);
  assert.deepEqual(told({ "a.json": '{"name": "n", "type": "ptp", "mtv": 1500}' }), [
    'a.json warning PB3005 1: {"name": "n", "type": "ptp", "mtv": 1500}',
    'a.json warning PB2713 1: "mtv"',
  ]);
  const nameless = { "net.d/99-ovs.conf": '{"cniVersion": "0.3.1", "type": "ovs"}' };
  assert.deepEqual(told(nameless), ['net.d/99-ovs.conf warning PB1015 1: {"cniVersion": "0.3.1", "type": "ovs"}']);
  assert.match(found(nameless)[0]?.message ?? "", /taken to be called "99-ovs"/);
  assert.deepEqual(told({ "a.conf": "no = json" }), ["a.conf error PB3003 1: n"]);
});

test("a field that no plugin reads is told, with the one that was meant", () => {
  const misspelt = found({ a: nad("x", config({ type: "bridge", bridge: "br0", vlanId: 7 })) });
  assert.match(misspelt[0]?.hint ?? "", /"vlan"/);
  const text = nad("x", config({ type: "bridge", disableContainerInterface: true, MTU: 1400, _note: "" }));
  assert.deepEqual(told({ a: text }), ['a warning PB2713 11: "disableContainerInterface"']);
  assert.match(found({ a: text })[0]?.message ?? "", /Debian 12's bridge 1\.1\.1 ignores/);
  const ipam = { type: "host-local", subnet: "10.0.0.0/24", range: "10.0.0.5" };
  assert.deepEqual(told({ a: nad("x", config({ type: "macvlan", ipam })) }), ['a warning PB2713 14: "range"']);
  assert.deepEqual(told({ a: nad("x", config({ type: "elsewhere", anything: 1 })) }), []);
  const beside = '{"cniVersion": "1.0.0", "name": "n", "plugins": [{"type": "ptp"}], "mtu": 1400}';
  assert.deepEqual(told({ "a.conflist": beside }), ['a.conflist warning PB2713 1: "mtu"']);
});

test("an MTU must be a number that a link can have", () => {
  const mtu = (given: unknown, more: object = {}): string[] =>
    told({ a: nad("x", config({ type: "bridge", mtu: given, ...more })) }).map((one) => one.replace(/ \d+:/, ""));
  assert.deepEqual(mtu(1500), []);
  assert.deepEqual(mtu(0), []);
  assert.deepEqual(mtu("1500"), ['a error PB2711 "1500"']);
  assert.deepEqual(mtu(1500.5), ["a error PB2711 1500.5"]);
  assert.deepEqual(mtu(67), ["a warning PB2711 67"]);
  assert.deepEqual(mtu(70000), ["a warning PB2711 70000"]);
  const six = { ipam: { type: "host-local", ranges: [[{ subnet: "fd00::/64" }]] } };
  assert.deepEqual(mtu(1279, six), ["a warning PB2711 1279"]);
  assert.deepEqual(mtu(1280, six), []);
  assert.deepEqual(mtu(1279, { ipam: { type: "host-local", subnet: "10.0.0.0/24", routes: [{ dst: "::/0" }] } }), []);
});

test("an MTU must not be above that of the link below, or of the plugin before", () => {
  const chain = list({ type: "ptp", mtu: 1400 }, { type: "tuning", mtu: 1500 });
  assert.deepEqual(told({ a: nad("x", chain) }), ["a warning PB2710 17: 1500"]);
  assert.deepEqual(told({ a: nad("x", list({ type: "ptp" }, { type: "tuning", mtu: 1500 })) }), []);
  const bridges = {
    a: nad("x", config({ type: "bridge", bridge: "br0", mtu: 1500 })),
    b: nad("v", config({ type: "bridge", bridge: "br0", mtu: 9000 })),
    c: nad("z", config({ type: "macvlan", master: "br0", mtu: 9000 })),
    d: nad("w", config({ type: "bridge", bridge: "br1", mtu: 9000 })),
  };
  assert.deepEqual(told(bridges), ["b warning PB2710 12: 9000", "c warning PB2710 12: 9000"]);
  const policy = `apiVersion: sriovnetwork.openshift.io/v1\nkind: SriovNetworkNodePolicy\nmetadata: {name: p}\nspec: {mtu: 1500, nicSelector: {pfNames: ["eth0#0-3"]}}\n`;
  const lan = nad("x", config({ type: "vlan", master: "eth0", vlanId: 5, mtu: 9000 }));
  assert.deepEqual(told({ policy, lan }), ["lan warning PB2710 13: 9000"]);
  const state = `apiVersion: nmstate.io/v1\nkind: NodeNetworkConfigurationPolicy\nmetadata: {name: p}\nspec: {desiredState: {interfaces: [{name: eth0, mtu: 1500}]}}\n`;
  assert.deepEqual(told({ state, lan }), ["lan warning PB2710 13: 9000"]);
  assert.deepEqual(told({ lan }, { eth0: 1500 }), ["lan warning PB2710 13: 9000"]);
  assert.deepEqual(told({ lan }, { eth0: 9000 }), []);
  const mapping = `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata:\n  DP_MACVTAP_CONF: '[{"name": "fast", "lowerDevice": "eth0"}]'\n`;
  const macvtap = nad("x", config({ type: "macvtap", mtu: 9000 }), "macvtap.network.kubevirt.io/fast");
  assert.deepEqual(told({ mapping, macvtap }, { eth0: 1500 }), ["macvtap warning PB2710 11: 9000"]);
  assert.deepEqual(told({ macvtap }, { fast: 9000 }), []);
});

test("on the host itself the link below must be there", () => {
  const lan = nad("x", config({ type: "macvlan", master: "eth1" }));
  assert.deepEqual(told({ lan }), []);
  assert.deepEqual(told({ lan }, { eth1: 1500 }), []);
  assert.deepEqual(told({ lan }, { eth0: 1500 }), ['lan warning PB3027 11: "eth1"']);
  assert.deepEqual(told({ lan: nad("x", config({ type: "bridge", bridge: "br9" })) }, { eth0: 1500 }), []);
});

const genie = (name: string, types: readonly string[]): string => {
  const nics = types.map((_, index) => `{name: n${index}, bridge: {}}`).join(", ");
  const networks = types.map((type, index) => `{name: n${index}, genie: {networkName: ${type}}}`).join(", ");
  return `apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\nmetadata: {name: ${name}}\nspec:\n  domain: {devices: {interfaces: [${nics}]}}\n  networks: [${networks}]\n`;
};

test("S2.22: Genie's configuration must be the first of its folder", () => {
  const vmi = genie("a", ["ovs"]);
  const own = config({ type: "genie" });
  const ovs = config({ type: "ovs" });
  assert.deepEqual(told({ vmi }), ["vmi info PB2705 6: ovs"]);
  assert.deepEqual(told({ vmi, "d/99-ovs.conf": ovs }), ["vmi info PB2705 6: ovs"]);
  assert.deepEqual(told({ vmi, "d/00-genie.conf": own, "d/99-ovs.conf": ovs }), []);
  assert.deepEqual(told({ vmi, "d/zz-genie.conf": own, "d/99-ovs.conf": ovs }), [
    'd/zz-genie.conf error PB2704 4: "genie"',
  ]);
  // Capitals sort before small letters, and each folder is one by itself.
  assert.deepEqual(told({ vmi, "d/a-genie.conf": own, "d/B.conf": ovs }), ['d/a-genie.conf error PB2704 4: "genie"']);
  assert.deepEqual(told({ vmi, "d/a-genie.conf": own, "c/B.conf": ovs }), []);
  assert.deepEqual(told({ "d/zz-genie.conf": own, "d/99-ovs.conf": ovs }), []);
});

test("a genie network's type must be that of a configuration, where there are any", () => {
  const own = { "d/00-genie.conf": config({ type: "genie" }), "d/99-ovs.conf": config({ type: "ovs" }) };
  const vmi = genie("a", ["ovs", "ovz", "calico"]);
  assert.deepEqual(told({ vmi, ...own }), ["vmi warning PB2706 6: ovz", "vmi warning PB2706 6: calico"]);
  assert.match(found({ vmi, ...own })[0]?.hint ?? "", /"ovs"/);
});

test("whatever stands in the objects, it is read without a throw", () => {
  const spec = fc.record({
    domain: fc.record({ devices: fc.record({ interfaces: fc.array(fc.jsonValue()) }) }),
    networks: fc.jsonValue(),
  });
  const config = fc.oneof(
    fc.json(),
    fc.string(),
    fc
      .record({ type: fc.constantFrom("bridge", "macvlan"), mtu: fc.jsonValue(), ipam: fc.jsonValue() })
      .map((one) => JSON.stringify(one)),
  );
  fc.assert(
    fc.property(spec, config, fc.jsonValue(), (given, cni, metadata) => {
      const documents = [
        { apiVersion: "kubevirt.io/v1", kind: "VirtualMachineInstance", metadata, spec: given },
        {
          apiVersion: "k8s.cni.cncf.io/v1",
          kind: "NetworkAttachmentDefinition",
          metadata: { name: "n" },
          spec: { config: cni },
        },
        { apiVersion: "sriovnetwork.openshift.io/v1", kind: "SriovNetworkNodePolicy", metadata, spec: given },
      ];
      const read = readManifests(documents.map((one) => JSON.stringify(one)).join("\n---\n"), "a.yaml");
      const file = readManifests(cni, "a.conf");
      const completed = completeManifests(read.documents).documents;
      wholePathFindings(completed, given, {
        cniFiles: file.cniFile === undefined ? [] : [file.cniFile],
        links: new Map(),
      });
    }),
  );
});

test("S2.22: Genie and Multus exclude each other on a cluster", () => {
  const vmi = genie("a", ["ovs"]);
  const own = { "d/00-genie.conf": config({ type: "genie" }), "d/99-ovs.conf": config({ type: "ovs" }) };
  assert.deepEqual(told({ vmi, ...own, nad: nad("x", config({ type: "bridge" })) }), ["vmi warning PB2707 6: ovs"]);
  const multus = genie("b", ["x"]).replace("genie:", "multus:");
  assert.deepEqual(told({ vmi, ...own, multus }), ["multus info PB2701 6: x", "vmi warning PB2707 6: ovs"]);
  assert.deepEqual(told({ vmi, ...own, "d/50.conf": config({ type: "multus" }) }), ["vmi warning PB2707 6: ovs"]);
});

test("an ipam section for which a plugin refuses every pod is told at its place", () => {
  const ipam = (type: string, fields: object): string[] =>
    told({ a: nad("x", config({ type: "bridge", bridge: "br0", ipam: { type, ...fields } })) }).map((line) =>
      line.replace(/^a (\w+) PB2718 \d+: /, "$1 "),
    );
  const local = (fields: object): string[] => ipam("host-local", fields);
  const subnet = "10.1.1.0/24";
  for (const fine of [{ subnet }, { subnet, gateway: "10.1.1.254", routes: [{ dst: "0.0.0.0/0" }] }]) {
    assert.deepEqual(local(fine), []);
  }
  assert.deepEqual(local({ subnet: "10.1.1.5/24" }), ['error "10.1.1.5/24"']);
  assert.deepEqual(local({ subnet: "10.1.1.0" }), ['error "10.1.1.0"']);
  assert.deepEqual(local({ subnet: "10.1.1.0/31" }), ['error "10.1.1.0/31"']);
  assert.deepEqual(local({ subnet, rangeStart: "10.1.1.20", rangeEnd: "10.1.1.10" }), ['error "10.1.1.20"']);
  assert.deepEqual(local({ subnet, rangeEnd: "10.2.1.20" }), ['error "10.2.1.20"']);
  assert.deepEqual(local({ subnet, gateway: "10.2.1.1" }), ['warning "10.2.1.1"']);
  assert.deepEqual(local({ subnet, gateway: "x" }), ['error "x"']);
  assert.deepEqual(local({ ranges: [[{ subnet }, { subnet: "10.1.1.128/25" }]] }), ['error "10.1.1.128/25"']);
  assert.deepEqual(local({ ranges: [[{ subnet }, { subnet: "fd00::/64" }]] }), ['error "fd00::/64"']);
  assert.deepEqual(local({ ranges: [[{ subnet }], [{ subnet: "fd00::/64" }]] }), []);
  assert.equal(local({}).length, 1);
  assert.equal(local({ ranges: [] }).length, 1);
  assert.equal(local({ ranges: [{ subnet }] }).length, 1);
  assert.equal(local({ ranges: [[]] }).length, 1);
  assert.deepEqual(local({ subnet, routes: [{ dst: "10.9.0.1" }] }), ['error "10.9.0.1"']);
  assert.deepEqual(ipam("static", { addresses: [{ address: "10.1.1.5" }] }), ['error "10.1.1.5"']);
  assert.deepEqual(ipam("static", { addresses: [{ address: "10.1.1.5/24", gateway: "10.2.1.1" }] }), [
    'warning "10.2.1.1"',
  ]);
  assert.deepEqual(ipam("whereabouts", { ipRanges: [{ range: subnet, range_start: "10.1.2.1" }] }), [
    'error "10.1.2.1"',
  ]);
  assert.deepEqual(ipam("whereabouts", { range: "10.1.1.5/24", gateway: "10.1.1.1" }), []);
  assert.deepEqual(ipam("dhcp", {}), []);
});
