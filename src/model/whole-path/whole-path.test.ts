import assert from "node:assert/strict";
import { test } from "node:test";
import { completeManifests } from "../manifest/completion.ts";
import type { Finding } from "../manifest/finding.ts";
import { readManifests } from "../manifest/read.ts";
import { wholePathFindings } from "./whole-path.ts";

function found(text: string, configuration?: unknown): Finding[] {
  const { documents, findings } = readManifests(text, "a.yaml");
  assert.deepEqual(findings, []);
  return wholePathFindings(completeManifests(documents).documents, configuration);
}

/** `severity code line: what stands there` of each finding. */
function told(text: string, configuration?: unknown): string[] {
  const lines = text.split("\n");
  return found(text, configuration).map(
    ({ line, column, length, severity, code }) =>
      `${severity} ${code} ${line}: ${(lines[line - 1] ?? "").slice(column - 1, column - 1 + length)}`,
  );
}

const vmi = (name: string, nics: string, networks: string, kind = "VirtualMachineInstance"): string => {
  const spec = `{domain: {devices: {interfaces: [${nics}]}}, networks: [${networks}]}`;
  const whole = kind === "VirtualMachine" ? `{runStrategy: Always, template: {spec: ${spec}}}` : spec;
  return `---\napiVersion: kubevirt.io/v1\nkind: ${kind}\nmetadata: {${name}}\nspec: ${whole}\n`;
};

const nad = (metadata: string, config: string): string =>
  `---\napiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata: {${metadata}}\nspec:\n  config: '${config}'\n`;

const config = (type: string, more = ""): string => `{"cniVersion": "0.3.1", "name": "n", "type": "${type}"${more}}`;
const host = `, "ipam": {"type": "host-local", "subnet": "10.0.0.0/24"}`;
const on = (network: string, more = ""): string => `{name: x, multus: {networkName: ${network}${more}}}`;

test("S3.98: a definition that is not there is told, with the one that was meant", () => {
  const one = vmi("name: a", "{name: x, bridge: {}}", on("lan"));
  assert.deepEqual(told(one), ["info PB2701 5: lan"]);
  assert.deepEqual(told(one + nad("name: lan", config("bridge"))), []);
  assert.deepEqual(told(one + nad("name: lan, namespace: default", config("bridge"))), []);
  assert.deepEqual(
    told(
      vmi("name: a, namespace: b", "{name: x, bridge: {}}", on("lan")) +
        nad("name: lan, namespace: b", config("bridge")),
    ),
    [],
  );
  const [elsewhere] = found(one + nad("name: lan, namespace: b", config("bridge")));
  assert.equal(elsewhere?.severity, "warning");
  assert.match(elsewhere?.hint ?? "", /write "b\/lan"/);
  const [near] = found(one + nad("name: lam", config("bridge")));
  assert.match(near?.hint ?? "", /"lam"/);
  const [far] = found(
    vmi("name: a", "{name: x, bridge: {}}", on("c/lan")) + nad("name: lan, namespace: cc", config("bridge")),
  );
  assert.match(far?.hint ?? "", /write "cc\/lan"/);
  const absent = vmi("name: a", "{name: x, bridge: {}, state: absent}", on("lan"));
  assert.deepEqual(told(absent), []);
});

test("a VM's template counts as a VMI, and a definition that an operator makes as one", () => {
  const vm = vmi("name: a", "{name: x, sriov: {}}", on("net"), "VirtualMachine");
  assert.deepEqual(told(vm), ["info PB2701 5: net"]);
  const made = `---\napiVersion: sriovnetwork.openshift.io/v1\nkind: SriovNetwork\nmetadata: {name: net, namespace: o}\nspec: {networkNamespace: default}\n`;
  assert.deepEqual(told(vm + made), []);
});

test("the definition of a binding plugin must be there too", () => {
  const one = vmi("name: a", "{name: x, binding: {name: p}}", "{name: x, pod: {}}");
  const registered = { network: { binding: { p: { networkAttachmentDefinition: "o/passt" } } } };
  assert.deepEqual(told(one, registered), ["info PB2701 5: p"]);
  assert.deepEqual(told(one + nad("name: passt, namespace: o", config("passt")), registered), []);
  assert.deepEqual(told(one), []);
});

test("two networks on one definition are told at the second", () => {
  const nics = "{name: x, bridge: {}}, {name: y, bridge: {}}";
  const two = vmi("name: a", nics, `${on("lan")}, {name: y, multus: {networkName: default/lan}}`);
  assert.deepEqual(told(two + nad("name: lan", config("bridge"))), ["warning PB2703 5: default/lan"]);
});

test("S2.16 S3.9: a default network needs addresses from a plugin that brings none itself", () => {
  const one = vmi("name: a", "{name: x, bridge: {}}", on("lan", ", default: true"));
  assert.deepEqual(told(one + nad("name: lan", config("bridge"))), ["warning PB2708 5: true"]);
  assert.deepEqual(told(one + nad("name: lan", config("bridge", `, "ipam": {}`))), ["warning PB2708 5: true"]);
  assert.deepEqual(told(one + nad("name: lan", config("bridge", host))), []);
  assert.deepEqual(told(one + nad("name: lan", config("calico"))), []);
});

test("S3.97: a binding must go with the link that the plugin makes", () => {
  const at = (binding: string, definition: string): string[] =>
    told(vmi("name: a", `{name: x, ${binding}: {}}`, on("lan")) + definition).map((one) => one.replace(/ 5: .*/, ""));
  assert.deepEqual(at("bridge", nad("name: lan", config("macvlan"))), ["warning PB2709"]);
  assert.deepEqual(at("bridge", nad("name: lan", config("ipvlan"))), ["warning PB2709"]);
  assert.deepEqual(at("bridge", nad("name: lan", config("bridge"))), []);
  assert.deepEqual(at("sriov", nad("name: lan", config("bridge"))), ["warning PB2715"]);
  assert.deepEqual(at("macvtap", nad("name: lan", config("bridge"))), ["warning PB2715"]);
  assert.deepEqual(at("sriov", nad("name: lan", config("sriov"))), ["warning PB2714"]);
  assert.deepEqual(at("macvtap", nad("name: lan", config("macvtap"))), ["warning PB2714"]);
  const resource = 'name: lan, annotations: {"k8s.v1.cni.cncf.io/resourceName": a/b}';
  assert.deepEqual(at("sriov", nad(resource, config("sriov"))), []);
  assert.deepEqual(at("sriov", nad(resource, config("host-device"))), []);
  assert.deepEqual(at("macvtap", nad(resource, config("macvtap"))), []);
  assert.deepEqual(at("sriov", nad("name: lan", config("elsewhere"))), ["warning PB2714"]);
  assert.deepEqual(at("bridge", nad(resource, config("sriov"))), ["warning PB2715"]);
  const network = `---\napiVersion: sriovnetwork.openshift.io/v1\nkind: SriovNetwork\nmetadata: {name: lan}\nspec: {resourceName: fast}\n`;
  assert.deepEqual(at("bridge", network), ["warning PB2715"]);
  assert.deepEqual(at("macvtap", network), ["warning PB2715"]);
  assert.deepEqual(at("sriov", network), []);
});

test("settings that no virtual function can have are told where they stand", () => {
  const of = (more: string): string[] => told(nad("name: lan", config("sriov", more)));
  assert.deepEqual(of(`, "vlan": 100, "spoofchk": "on", "link_state": "auto", "max_tx_rate": 0`), []);
  assert.deepEqual(of(`, "vlan": 5000`), ["error PB3004 6: 5000"]);
  assert.deepEqual(of(`, "spoofchk": "of"`), [`error PB3004 6: "of"`]);
  assert.deepEqual(of(`, "max_tx_rate": "7"`), [`error PB3004 6: ${config("sriov", `, "max_tx_rate": "7"`)}`]);
});

test("S3.11 S3.12: bridge on a macvlan or ipvlan works here and nowhere else, on an ipvlan without ARP nowhere", () => {
  const of = (type: string, more?: string): string => {
    const text = vmi("name: a", "{name: x, bridge: {}}", on("lan")) + nad("name: lan", config(type, more));
    const [finding] = found(text).filter(({ code }) => code === "PB2709");
    return `${finding?.message} ${finding?.hint}`;
  };
  assert.match(of("macvlan"), /5483.*Here it works/);
  assert.match(of("ipvlan"), /7001.*Here it works/);
  assert.match(of("ipvlan", ',"mode":"l3"'), /7001.*mode l3 it is refused here too \(PB4009\)/);
});

test("a MAC may be used once on a network, unless it stays inside the pod or is the same VM's", () => {
  const nic = (binding: string): string => `{name: x, ${binding}: {}, macAddress: 02-00-00-00-00-AA}`;
  const other = vmi("name: b", "{name: x, bridge: {}, macAddress: '02:00:00:00:00:aa'}", "{name: x, pod: {}}");
  const pair = (first: string): string[] => told(first + other);
  assert.deepEqual(pair(vmi("name: a", nic("bridge"), "{name: x, pod: {}}")), [
    "warning PB2712 10: '02:00:00:00:00:aa'",
  ]);
  assert.deepEqual(pair(vmi("name: a", nic("masquerade"), "{name: x, pod: {}}")), []);
  assert.deepEqual(pair(vmi("name: b", nic("bridge"), "{name: x, pod: {}}", "VirtualMachine")), []);
  const lan = nad("name: lan", config("bridge"));
  assert.deepEqual(pair(vmi("name: a", nic("bridge"), on("lan")) + lan), []);
  const both = vmi("name: a", nic("bridge"), on("lan")) + vmi("name: c", nic("bridge"), on("default/lan")) + lan;
  assert.deepEqual(told(both), ["warning PB2712 10: 02-00-00-00-00-AA"]);
});

test("what is no object of a run, or malformed, is passed over", () => {
  assert.deepEqual(told("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"), []);
  assert.deepEqual(told("apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\nspec: 7\n"), []);
  assert.deepEqual(told(vmi("name: a", "7, {name: x, bridge: 7}, {name: [x]}", "null, {name: x, multus: 7}")), []);
  const malformed = "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata: {name: a}\nspec: ";
  assert.deepEqual(told(`${malformed}{config: 7}\n`), []);
  assert.deepEqual(told(`${malformed}{}\n`), ["info PB2702 4: spec"]);
});

test("S3.63: in a service mesh the primary NIC is masquerade, and leaves the proxy its ports", () => {
  const pod = "{name: x, pod: {}}";
  const meshed = (nic: string, network = pod, asks = '"true"', kind = "VirtualMachineInstance"): string =>
    kind === "VirtualMachine"
      ? vmi("name: a", nic, network, kind).replace(
          "template: {",
          `template: {metadata: {annotations: {sidecar.istio.io/inject: ${asks}}}, `,
        )
      : vmi(`name: a, annotations: {sidecar.istio.io/inject: ${asks}}`, nic, network);
  const ports = "{name: x, masquerade: {}, ports: [{port: 80}, {port: 15006}]}";
  assert.deepEqual(told(meshed("{name: x, bridge: {}}")), ["warning PB2716 5: bridge"]);
  assert.deepEqual(told(meshed("{name: x, bridge: {}}", pod, '"TRUE"', "VirtualMachine")), [
    "warning PB2716 5: bridge",
  ]);
  assert.deepEqual(told(meshed(ports)), ["warning PB2717 5: 15006"]);
  for (const asks of ['"false"', "true"]) assert.deepEqual(told(meshed(ports, pod, asks)), []);
  assert.deepEqual(told(meshed("{name: x, masquerade: {}}")), []);
  const two = meshed(
    "{name: x, masquerade: {}}, {name: y, bridge: {}}",
    `${pod}, {name: y, multus: {networkName: lan}}`,
  );
  assert.deepEqual(told(two + nad("name: lan", config("bridge"))), []);
});
