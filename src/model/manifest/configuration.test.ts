import assert from "node:assert/strict";
import { test } from "node:test";
import { configurationAmong } from "./configuration.ts";
import { readManifests } from "./read.ts";

/** What is said of a configuration, as `line:column code path (hint)`. */
function said(text: string): string[] {
  const { documents } = readManifests(text, "a.yaml");
  return configurationAmong(documents).findings.map(
    ({ line, column, code, severity, path, expected, hint }) =>
      `${line}:${column} ${severity === "warning" && expected !== "" ? "" : severity}${code} ${path} (${hint})`,
  );
}

const kubeVirt = (configuration: string): string =>
  `apiVersion: kubevirt.io/v1\nkind: KubeVirt\nmetadata: {name: kubevirt}\nspec:\n  configuration:\n${configuration}`;
const configMap = (data: string): string =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kubevirt-config}\ndata:\n${data}`;

test("a value that voids the configuration is shown itself, with the word that was meant", () => {
  const rest = "Correct this value; all others hold then.";
  assert.deepEqual(said(kubeVirt("    network:\n      defaultNetworkInterface: Masquerade\n")), [
    `7:32 PB2304 spec.configuration.network.defaultNetworkInterface (Did you mean "masquerade"? ${rest})`,
  ]);
  assert.deepEqual(said(kubeVirt("    network: {permitSlirpInterface: maybe}\n")), [
    `6:37 PB2304 spec.configuration.network.permitSlirpInterface (${rest})`,
  ]);
  assert.deepEqual(said(configMap("  default-network-interface: bridg\n")), [
    `5:30 PB2304 data.default-network-interface (Did you mean "bridge"? ${rest})`,
  ]);
  assert.deepEqual(said(configMap('  permitSlirpInterface: "yes"\n')), [
    `5:25 PB2304 data.permitSlirpInterface (${rest})`,
  ]);
});

test("gates with other capitals or letters are told with the right ones, and others are left alone", () => {
  const gates = (list: string): string[] => said(kubeVirt(`    developerConfiguration: {featureGates: [${list}]}\n`));
  const at = (column: number, code: string, index: number, hint: string): string =>
    `6:${column} ${code} spec.configuration.developerConfiguration.featureGates[${index}] (${hint})`;
  assert.deepEqual(gates("macvtap, Paast"), [
    at(45, "PB2305", 0, 'Write "Macvtap".'),
    at(54, "PB2306", 1, 'Did you mean "Passt"?'),
  ]);
  assert.deepEqual(gates("hotplugnics, NetworkBindingPlugin"), [
    at(45, "PB2305", 0, 'Write "HotplugNICs".'),
    at(58, "PB2306", 1, 'Did you mean "NetworkBindingPlugins"?'),
  ]);
  const fine = "Macvtap, HotplugNICs, LiveMigration, HostDevicesWithDRA, VolumeMigration, GPU, Snapshot, CPUManager, 7";
  assert.deepEqual(gates(fine.replace(", 7", "")), []);
  assert.deepEqual(said(configMap('  feature-gates: "SRIOV,MacvtapAndMore, passt"\n')), [
    '5:18 PB2305 data.feature-gates (Write "Passt".)',
  ]);
});

test("keys of the ConfigMap that nothing reads are told, and KubeVirt's others are left alone", () => {
  const data = '  permitBridgeInterfaceOnPodNetworks: "false"\n  smbios: x\n  default-cpu-model: y\n  Colour: red\n';
  assert.deepEqual(said(configMap(data)), [
    '5:3 PB2308 data.permitBridgeInterfaceOnPodNetworks (Did you mean "permitBridgeInterfaceOnPodNetwork"?)',
    "8:3 PB2308 data.Colour (Remove it.)",
  ]);
});

test("settings of binding plugins that come to nothing are told", () => {
  const plugin = (settings: string): string[] =>
    said(kubeVirt(`    network:\n      binding:\n        lan: ${settings}\n`)).map((line) =>
      line.replace(/^8:\d+ PB2307 spec\.configuration\.network\.binding\.lan\./, ""),
    );
  for (const fine of [
    "{}",
    "{domainAttachmentType: tap, migration: {}}",
    "{domainAttachmentType: managedTap, migration: {method: link-refresh}, downwardAPI: device-info}",
    "{networkAttachmentDefinition: kube-system/lan, sidecarImage: 'localhost:5000/a/b-c:v1.2'}",
    "{networkAttachmentDefinition: lan, sidecarImage: quay.io/kubevirt/network-slirp-binding:20230830_638c60fc8}",
    "{computeResourceOverhead: {requests: {memory: 200Mi}}}",
  ]) {
    assert.deepEqual(plugin(fine), [], fine);
  }
  assert.deepEqual(plugin("{domainAttachmentType: managedtap}"), ['domainAttachmentType (Did you mean "managedTap"?)']);
  assert.deepEqual(plugin("{domainAttachmentType: bridge}"), [
    "domainAttachmentType (Write one of tap, managedTap, or nothing.)",
  ]);
  assert.deepEqual(plugin("{migration: {method: linkRefresh}}"), ['migration.method (Did you mean "link-refresh"?)']);
  assert.deepEqual(plugin("{downwardAPI: deviceinfo}"), ['downwardAPI (Did you mean "device-info"?)']);
  for (const name of ["a/b/c", "Lan", "/lan", "a/", "a b"]) {
    assert.equal(plugin(`{networkAttachmentDefinition: ${name}}`).length, 1, name);
  }
  for (const image of ["'a b'", "'quay.io/Kube/Virt:1'", "'http://quay.io/x'"]) {
    assert.equal(plugin(`{sidecarImage: ${image}}`).length, 1, image);
  }
  assert.deepEqual(
    plugin("{computeResourceOverhead: {requests: {cpu: 1}, limits: {memory: 1Gi}}}").map((line) => line.split(" ")[0]),
    ["computeResourceOverhead.requests.cpu", "computeResourceOverhead.limits.memory"],
  );
});
