import assert from "node:assert/strict";
import { test } from "node:test";
import type { Stored } from "../api/stored.ts";
import type { VirtualMachineInstance } from "../api/vmi.ts";
import { launcherPod, nicsOf, type Plugins, pluginsOf } from "./launcher-pod.ts";
import { deviceAnnotations } from "./network-info.ts";
import { withClaims } from "./pod-resources.ts";

const plugins: Plugins = new Map([
  [
    "own",
    {
      networkAttachmentDefinition: "nets/own",
      domainAttachmentType: "tap",
      downwardAPI: "device-info",
      computeResourceOverhead: { requests: { memory: "16Mi" } },
    },
  ],
  ["unused", { sidecarImage: "x" }],
]);
const annotations = { "patchbay.io/binding-plugins": '{"own": {"sidecarImage": "forged"}}' };
const vmi: Stored<VirtualMachineInstance> = {
  apiVersion: "kubevirt.io/v1",
  kind: "VirtualMachineInstance",
  metadata: { name: "guest", namespace: "ns", uid: "u", resourceVersion: "1", annotations },
  spec: {
    domain: {
      memory: { guest: "64Mi" },
      devices: {
        interfaces: [
          { name: "one", binding: { name: "own" }, macAddress: "02:00:00:00:00:07" },
          { name: "two", binding: { name: "own" } },
          { name: "red", bridge: {} },
        ],
      },
    },
    networks: [
      { name: "one", multus: { networkName: "lan" } },
      { name: "two", pod: {} },
      { name: "red", multus: { networkName: "red" } },
    ],
  },
};
const pod = launcherPod(vmi, "node", "abc", plugins);

test("a plugin's definition follows its interface's own network, or stands alone, and is told the network's name", () => {
  const elements = JSON.parse(pod.metadata?.annotations?.["k8s.v1.cni.cncf.io/networks"] ?? "");
  const own = (logicNetworkName: string): object => ({
    name: "own",
    namespace: "nets",
    "cni-args": { logicNetworkName },
  });
  const [lan, ofLan, ofPod, red] = elements;
  assert.equal(elements.length, 4);
  assert.deepEqual([lan.name, lan.mac, red.name], ["lan", "02:00:00:00:00:07", "red"]);
  assert.deepEqual([ofLan, ofPod], [own("one"), own("two")]);
});

test("the pod keeps the registrations of the plugins that it uses, and takes no others' word for them", () => {
  const kept = pluginsOf(pod);
  assert.deepEqual([...kept.keys()], ["own"]);
  assert.equal(kept.get("own")?.domainAttachmentType, "tap");
  const forged = launcherPod({ ...vmi, spec: { domain: { devices: {} } } }, "node", "abc");
  assert.equal(pluginsOf(forged).size, 0);
  for (const text of ["{", "[]", '{"own": 1}', ""]) {
    assert.equal(pluginsOf({ metadata: { annotations: { "patchbay.io/binding-plugins": text } } }).size, 0);
  }
});

test("memory is asked for once a plugin, devices once a network, as requests and limits, and variables name them", () => {
  const claimed = new Map([
    ["one", "a/x"],
    ["red", "a/y"],
    ["sriov-net", "a/x"],
    ["plain", ""],
  ]);
  const [compute] = withClaims(pod, claimed).spec?.containers ?? [];
  assert.deepEqual(compute?.env, [
    { name: "KUBEVIRT_RESOURCE_NAME_one", value: "a/x" },
    { name: "KUBEVIRT_RESOURCE_NAME_red", value: "a/y" },
    { name: "KUBEVIRT_RESOURCE_NAME_sriov-net", value: "a/x" },
    { name: "KUBEVIRT_RESOURCE_NAME_plain", value: "" },
  ]);
  assert.deepEqual(compute?.resources, {
    requests: { memory: String((64 + 16) * 1024 * 1024), "a/x": "2", "a/y": "1" },
    limits: { "a/x": "2", "a/y": "1" },
  });
  const [without] = withClaims(pod, new Map([["plain", ""]])).spec?.containers ?? [];
  assert.deepEqual(without?.resources, pod.spec?.containers?.[0]?.resources);
  assert.equal(withClaims(pod, new Map()), pod);
});

test("the devices of networks are told where a plugin, or sriov, asks for them", () => {
  const nics = nicsOf(vmi, plugins);
  const [one] = nics;
  const deviceInfo = { type: "pci", version: "1.1.0", pci: { "pci-address": "0000:81:02.0" } };
  const networkStatus = [
    { name: "ns/lan", interface: one?.podInterface ?? "", mac: "02:00:00:00:00:07", "device-info": deviceInfo },
  ];
  const facts = {
    podUid: "u",
    links: [],
    routes: [],
    networkStatus,
    resolver: { nameservers: [], search: [], options: [] },
  };
  const told = (of: typeof nics): Readonly<Record<string, unknown>> =>
    Object.fromEntries(Object.entries(deviceAnnotations(of, facts)).map(([key, text]) => [key, JSON.parse(text)]));
  const interfaces = [{ network: "one", deviceInfo, mac: "02:00:00:00:00:07" }, { network: "two" }];
  assert.deepEqual(told(nics), { "kubevirt.io/network-info": { interfaces } });
  const handed = nics.slice(0, 2).map((nic) => ({ ...nic, binding: "sriov" }) as const);
  assert.deepEqual(told(handed), {
    "kubevirt.io/network-info": { interfaces },
    "kubevirt.io/network-pci-map": { one: "0000:81:02.0" },
  });
  assert.deepEqual(told(nics.slice(2)), {});
});

test("the pod names the claims of the guest's volumes, an ephemeral one for reading", () => {
  const persistentVolumeClaim = { claimName: "data" };
  const volumes = [
    { name: "own", persistentVolumeClaim },
    { name: "fixed", persistentVolumeClaim: { ...persistentVolumeClaim, readOnly: true } },
    { name: "scratch", ephemeral: { persistentVolumeClaim } },
    { name: "empty", emptyDisk: { capacity: "1Mi" } },
  ];
  const of = (name: string, readOnly: boolean) => ({ name, persistentVolumeClaim: { claimName: "data", readOnly } });
  const made = launcherPod({ ...vmi, spec: { ...vmi.spec, volumes } }, "node", "abc", plugins);
  assert.deepEqual(made.spec?.volumes, [of("own", false), of("fixed", true), of("scratch", true)]);
  assert.equal(pod.spec?.volumes, undefined);
});
