import assert from "node:assert/strict";
import { test } from "node:test";
import { readManifests } from "../manifest/read.ts";
import { wholePathFindings } from "./whole-path.ts";

const resource = (name: string): string => `macvtap.network.kubevirt.io/${name}`;
const manifest = (allocatable: string): string => `
apiVersion: kubevirt.io/v1
kind: VirtualMachineInstance
metadata: {name: a, namespace: default}
spec: {domain: {devices: {interfaces: [{name: x, macvtap: {}}]}}, networks: [{name: x, multus: {networkName: lan}}]}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: lan, namespace: default, annotations: {k8s.v1.cni.cncf.io/resourceName: "${resource("data")}"}}
spec: {config: '{"cniVersion": "0.3.1", "name": "lan", "type": "macvtap"}'}
${allocatable}`;
const node = (counts: string): string =>
  `---\napiVersion: v1\nkind: Node\nmetadata: {name: n}\nstatus: {allocatable: {${counts}}}\n`;
const found = (text: string, wanted = "PB6121") =>
  wholePathFindings(readManifests(text, "a.yaml").documents, undefined).filter(({ code }) => code === wanted);

test("a resource that no node offers is told at the network, with what is meant or how it comes about", () => {
  assert.deepEqual(found(manifest("")), [], "nobody knows the nodes");
  assert.deepEqual(found(manifest(node(`${resource("data")}: "2"`))), []);
  const [missing] = found(manifest(node(`cpu: "2"`)));
  assert.equal(missing?.path, "spec.networks[0].multus.networkName");
  assert.match(missing.message, /default\/lan claims a device of .*\/data for each pod, and no node offers it\.$/);
  assert.match(missing.hint, /^Add "data" to DP_MACVTAP_CONF/);
  const [near] = found(manifest(node(`${resource("dota")}: "2"`)));
  assert.equal(near?.hint, `Did you mean "${resource("dota")}"?`);
  const [none] = found(manifest(node(`${resource("data")}: "0"`)));
  assert.match(none?.message ?? "", /no node has a device of it\.$/);
});

test("a guest that claims more devices of a resource than any node has is told at the network that gets none", () => {
  const more = "networks: [{name: x, multus: {networkName: lan}}, {name: z, multus: {networkName: lan}}]}";
  const two = (count: string): string =>
    manifest(node(`${resource("data")}: "${count}"`))
      .replace("[{name: x, macvtap: {}}]", "[{name: x, macvtap: {}}, {name: z, macvtap: {}}]")
      .replace(/networks: .*/, more);
  assert.deepEqual(found(two("2"), "PB6122"), []);
  const [late, ...others] = found(two("1"), "PB6122");
  assert.deepEqual(others, []);
  assert.equal(late?.path, "spec.networks[1].multus.networkName");
  assert.match(late.message, /^The network z claims one device of .*\/data too many: no node has more than 1\.$/);
  assert.deepEqual(found(two("1")), []);
});

test("the definition that an SriovNetwork makes claims a device of its resource", () => {
  const network =
    "---\napiVersion: sriovnetwork.openshift.io/v1\nkind: SriovNetwork\nmetadata: {name: lan, namespace: ops}\nspec: {resourceName: fast, networkNamespace: default}\n";
  const [vmi = ""] = manifest("").split("---");
  const [missing] = found(vmi + network + node('openshift.io/fest: "2"'));
  assert.match(missing?.message ?? "", /default\/lan claims a device of openshift\.io\/fast/);
  assert.equal(missing?.hint, 'Did you mean "openshift.io/fest"?');
  assert.deepEqual(found(vmi + network + node('openshift.io/fast: "2"')), []);
});
