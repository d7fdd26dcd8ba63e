import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Interface } from "../api/interfaces.ts";
import type { VirtualMachineInstance } from "../api/vmi.ts";
import { admitVm, admitVmi, admitVmiUpdate } from "./admit.ts";
import { answerCase } from "./conformance.ts";
import { judge } from "./judge.ts";
import { readIp } from "./reading.ts";

interface Parts {
  readonly networks?: unknown;
  readonly interfaces?: unknown;
  readonly devices?: object;
  readonly domain?: object;
  readonly spec?: object;
}

function vmi({ networks, interfaces, devices, domain, spec }: Parts = {}) {
  return {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name: "a", namespace: "default" },
    spec: {
      domain: {
        devices: { ...(interfaces === undefined ? {} : { interfaces }), ...devices },
        resources: { requests: { memory: "64Mi" } },
        ...domain,
      },
      ...(networks === undefined ? {} : { networks }),
      ...spec,
    },
  };
}

const POD = [{ name: "default", pod: {} }];

/** What is wrong, as `code field`. */
function verdict(parts: Parts, configuration?: unknown): string[] {
  return judge("VirtualMachineInstance", vmi(parts), configuration).problems.map(
    ({ code, field }) => `${code} ${field}`,
  );
}

const gates = (...featureGates: string[]) => ({ developerConfiguration: { featureGates } });
const NIC = "spec.domain.devices.interfaces[0]";

test("S0.15 S1.10 S2.38 S3.24: the default interface follows the configuration", () => {
  const binding = (configuration?: unknown): unknown => {
    const { defaulted } = judge("VirtualMachineInstance", vmi(), configuration);
    return JSON.stringify(defaulted?.spec).match(/"interfaces":(\[.*?\])/)?.[1];
  };
  assert.equal(binding(), '[{"name":"default","bridge":{}}]');
  const network = { defaultNetworkInterface: "masquerade", permitBridgeInterfaceOnPodNetwork: false };
  assert.equal(binding({ network }), '[{"name":"default","masquerade":{}}]');
  assert.equal(binding({ network: null }), '[{"name":"default","bridge":{}}]');
  assert.deepEqual(verdict({}, { network: { permitBridgeInterfaceOnPodNetwork: false } }), ["PB2096 "]);
  assert.deepEqual(verdict({ devices: { autoattachPodInterface: false } }, { network }), []);
});

test("a virtual machine is judged by its template and stored as it is", () => {
  const spec = { runStrategy: "Always", template: { spec: vmi({ networks: [] }).spec } };
  const { problems, defaulted } = judge("VirtualMachine", {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachine",
    spec,
  });
  assert.deepEqual(problems, []);
  assert.deepEqual(JSON.stringify(defaulted?.spec).includes('"networks"'), false);
  const wrong = vmi({ networks: POD, interfaces: [{ name: "default", masquerade: {}, bootOrder: 0 }] }).spec;
  const other = { apiVersion: "kubevirt.io/v1", kind: "VirtualMachine", spec: { template: { spec: wrong } } };
  assert.deepEqual(
    judge("VirtualMachine", other).problems.map(({ code, field }) => `${code} ${field}`),
    ["PB2405 spec.running", "PB2046 spec.template.spec[0].bootOrder"],
  );
});

test("S2.3 S2.18: genie stands alone", () => {
  const interfaces = [
    { name: "a", bridge: {} },
    { name: "b", bridge: {} },
    { name: "c", bridge: {} },
  ];
  const genie = (name: string, networkName = "flannel") => ({ name, genie: { networkName } });
  assert.deepEqual(verdict({ networks: [genie("a"), genie("b"), genie("c")], interfaces }), []);
  assert.deepEqual(verdict({ networks: [genie("a"), genie("b", ""), genie("c")], interfaces }), [
    "PB2202 spec.networks[1]",
  ]);
  assert.deepEqual(verdict({ networks: [genie("a"), { name: "b", pod: {} }, genie("c")], interfaces }), [
    "PB2201 spec.networks[1]",
    "PB2201 spec.networks[2]",
  ]);
  const both = [{ name: "a", pod: {} }, { name: "b", multus: { networkName: "x" } }, genie("c")];
  assert.deepEqual(verdict({ networks: both, interfaces }), ["PB2201 spec.networks[2]"]);
});

test("genie, claims and port ranges are unknown to the KubeVirt that cases come from", () => {
  const object = vmi({
    networks: [{ name: "a", genie: { networkName: "x" } }],
    interfaces: [{ name: "a", bridge: {} }],
  });
  const answer = answerCase("x", "VirtualMachineInstance", object, {});
  assert.deepEqual([answer.allowed, answer.causes], [false, [{ type: "", field: "", code: "PB1002" }]]);
});

test("port ranges", () => {
  const judged = (portRanges: unknown, more: object = { masquerade: {} }, open = true): string[] =>
    verdict(
      { networks: POD, interfaces: [{ name: "default", portRanges, ...more }] },
      open ? gates("PortRangesSpec") : {},
    );
  const range = (start: number, end: number, protocol = "TCP") => ({ protocol, start, end });
  assert.deepEqual(judged([range(80, 90), range(91, 91), range(80, 90, "UDP")]), []);
  assert.deepEqual(judged([range(80, 90)], { masquerade: {} }, false), [`PB2073 ${NIC}.name`]);
  assert.deepEqual(judged([range(80, 90)], { bridge: {}, ports: [{ port: 80 }] }), [
    `PB2074 ${NIC}.name`,
    `PB2075 ${NIC}.name`,
  ]);
  assert.deepEqual(judged([range(0, 90), range(1, 65536), range(9, 8), { start: 1, end: 2 }]), [
    `PB2078 ${NIC}.portRanges[0].start`,
    `PB2079 ${NIC}.portRanges[1].end`,
    `PB2080 ${NIC}.portRanges[2].start`,
    `PB2077 ${NIC}.portRanges[3].protocol`,
  ]);
  assert.deepEqual(judged([range(85, 99), range(80, 90), range(1, 200)]), [
    `PB2081 ${NIC}.portRanges`,
    `PB2081 ${NIC}.portRanges`,
  ]);
  assert.deepEqual(judged(Array.from({ length: 11 }, (_, index) => range(index + 1, 0))), [`PB2076 ${NIC}.portRanges`]);
});

test("resource claims", () => {
  const network = (name: string, claimName: string, requestName: string) => ({
    name,
    resourceClaim: { claimName, requestName },
  });
  const interfaces = [
    { name: "a", sriov: {} },
    { name: "b", sriov: {} },
  ];
  const spec = { resourceClaims: [{ name: "nics" }] };
  const open = gates("NetworkDevicesWithDRA");
  assert.deepEqual(
    verdict({ networks: [network("a", "nics", "x"), network("b", "nics", "y")], interfaces, spec }, open),
    [],
  );
  assert.deepEqual(verdict({ networks: [network("a", "nics", "x"), network("b", "nics", "y")], interfaces, spec }), [
    "PB2082 spec.networks",
  ]);
  assert.deepEqual(
    verdict({ networks: [network("a", "nics", "x"), network("b", "nics", "x")], interfaces, spec }, open),
    ["PB2088 spec.networks[1]"],
  );
  assert.deepEqual(verdict({ networks: [network("a", "", ""), network("b", "other", "x")], interfaces, spec }, open), [
    "PB2085 spec.networks[0].resourceClaim.claimName",
    "PB2086 spec.networks[0].resourceClaim.requestName",
    "PB2087 spec.networks[1].resourceClaim.claimName",
  ]);
  const mixed = [network("a", "nics", "x"), { name: "b", multus: { networkName: "x" } }];
  assert.deepEqual(verdict({ networks: mixed, interfaces, spec }, open), ["PB2083 spec.networks"]);
  const bridged = [{ name: "a", bridge: {} }];
  assert.deepEqual(verdict({ networks: [network("a", "nics", "x")], interfaces: bridged, spec }, open), [
    "PB2084 spec.domain.devices.interfaces",
  ]);
});

test("kernel boot, boot loaders and launch security", () => {
  const boot = (kernelBoot: unknown): string[] => verdict({ domain: { firmware: { kernelBoot } }, ...SIMPLE });
  assert.deepEqual(boot({ container: { image: "x", kernelPath: "/boot/vmlinuz" } }), []);
  assert.deepEqual(boot({ kernelArgs: "quiet" }), ["PB2415 spec.domain.firmware.kernelBoot.kernelArgs"]);
  assert.deepEqual(boot({ container: {} }), [
    "PB2415 spec.domain.firmware.kernelBoot.container.image",
    "PB2415 spec.domain.firmware.kernelBoot.container",
  ]);
  for (const initrdPath of ["boot/initrd", "/", "/boot//", "/boot/../x", "/boot//x"]) {
    assert.deepEqual(boot({ container: { image: "x", initrdPath } }).length, 1, initrdPath);
  }
  const loader = (bootloader: object): string[] => verdict({ domain: { firmware: { bootloader } }, ...SIMPLE });
  assert.deepEqual(loader({ bios: {}, efi: { secureBoot: false } }), ["PB2411 spec.domain.firmware.bootloader"]);
  assert.deepEqual(loader({ efi: {} }), ["PB2412 spec.domain"]);
  const domain = { launchSecurity: { sev: { attestation: {} } } };
  assert.deepEqual(verdict({ domain, ...SIMPLE }, gates("WorkloadEncryptionSEV")), [
    "PB2410 spec.launchSecurity",
    "PB2413 spec.launchSecurity",
  ]);
});

const SIMPLE = { networks: POD, interfaces: [{ name: "default", masquerade: {} }] };

test("a volume that no disk or filesystem uses gets a disk, whose name is judged as any other's", () => {
  const source = { containerDisk: { image: "x" } };
  const volumes = [
    { name: "a", ...source },
    { name: "b", ...source },
    { name: "c", configMap: { name: "c" } },
  ];
  const devices = { disks: [{ name: "b", disk: { bus: "sata" } }], filesystems: [{ name: "c", virtiofs: {} }] };
  const object = vmi({ ...SIMPLE, devices, spec: { volumes } });
  const { problems, defaulted } = judge("VirtualMachineInstance", object);
  assert.deepEqual(problems, []);
  const { spec }: VirtualMachineInstance = JSON.parse(JSON.stringify(defaulted));
  assert.deepEqual(spec.domain.devices.disks, [...devices.disks, { name: "a" }]);
  assert.deepEqual(verdict({ ...SIMPLE, spec: { volumes: [{ name: "A", ...source }] } }), [
    "PB2426 spec.domain.devices.disks.domain.devices.disks[0].name",
  ]);

  const template = { spec: vmi({ ...SIMPLE, devices, spec: { volumes } }).spec };
  const vm = { apiVersion: "kubevirt.io/v1", kind: "VirtualMachine", spec: { runStrategy: "Always", template } };
  const kept = judge("VirtualMachine", vm);
  assert.deepEqual(kept.problems, []);
  assert.equal(JSON.stringify(kept.defaulted).includes('{"name":"a"}'), false);
});

test("disks, volumes and cloud-init data", () => {
  const judged = (disks: unknown[], volumes: unknown[]): string[] =>
    verdict({ ...SIMPLE, devices: { disks }, spec: { volumes } });
  const image = { containerDisk: { image: "x" } };
  assert.deepEqual(judged([{ name: "a", disk: {} }], [{ name: "a", ...image }]), []);
  const disks = [{ name: "A", disk: {}, cdrom: {} }, { name: "A" }];
  const volumes = [{ name: "b" }, { name: "b", ...image, emptyDisk: { capacity: "1Gi" } }];
  assert.deepEqual(judged(disks, volumes), [
    "PB2424 spec.volumes[0]",
    "PB2421 spec.volumes[1].name",
    "PB2424 spec.volumes[1]",
    "PB2425 spec.domain.devices.disks[0]",
    "PB2420 spec.domain.devices.disks[0].name",
    "PB2426 spec.domain.devices.disks.domain.devices.disks[0].name",
    "PB2422 spec.domain.devices.disks[1].name",
    "PB2420 spec.domain.devices.disks[1].name",
    "PB2426 spec.domain.devices.disks.domain.devices.disks[1].name",
    "PB2422 spec.domain.devices.disks[3].name",
  ]);
  const data = (cloudInitNoCloud: object): string[] => judged([{ name: "a" }], [{ name: "a", cloudInitNoCloud }]);
  assert.deepEqual(data({ userData: "ä".repeat(1024) }), []);
  assert.deepEqual(data({ userData: "ä".repeat(1025), userDataBase64: "?" }), [
    "PB2416 spec.volumes[0].cloudInitNoCloud",
    "PB2418 spec.volumes[0].cloudInitNoCloud.userDataBase64",
    "PB2417 spec.volumes[0].cloudInitNoCloud",
  ]);
  assert.deepEqual(data({ networkDataBase64: "YWJj\nZA==" }), []);
  assert.deepEqual(data({ networkDataSecretRef: { name: "" } }), ["PB2100 spec.volumes[0].cloudInitNoCloud"]);
});

test("addresses are read as KubeVirt reads them", () => {
  const answer = answerCase(
    "x",
    "VirtualMachineInstance",
    vmi({
      networks: [{ name: "default", pod: { vmNetworkCIDR: "010.001.000.009/024", vmIPv6NetworkCIDR: "FD10::/64" } }],
      interfaces: [{ name: "default", masquerade: {}, dhcpOptions: { ntpServers: ["::ffff:001.2.3.4", "x"] } }],
    }),
    {},
  );
  assert.deepEqual(answer.defaulted?.networks, [
    { name: "default", pod: { vmNetworkCIDR: "10.1.0.9/24", vmIPv6NetworkCIDR: "FD10::/64" } },
  ]);
  assert.deepEqual(answer.defaulted?.interfaces?.[0]?.dhcpOptions, { ntpServers: ["1.2.3.4", "x"] });
  const dnsConfig = { nameservers: ["010.010.000.005", "FD10::0:00005"], searches: ["example.org"] };
  const admitted = admitVmi(vmi({ spec: { dnsPolicy: "None", dnsConfig } }));
  assert.ok(admitted.allowed);
  const { spec }: VirtualMachineInstance = JSON.parse(JSON.stringify(admitted.object));
  assert.deepEqual(spec.dnsConfig, { nameservers: ["10.10.0.5", "fd10::5"], searches: ["example.org"] });
  for (const [text, read] of [
    ["00001::00000:1", "1::1"],
    ["::0ffff:1.2.3.4", "1.2.3.4"],
    ["0:0:0:0:0:0:0:00000", "::"],
    ["1::0fffff", "1::0fffff"],
    ["1:::2", "1:::2"],
    ["0:00", "0:00"],
  ] as const) {
    assert.equal(readIp(text), read);
  }
});

test("admission answers with the object or with every cause", () => {
  const good = admitVmi({ ...vmi(), status: { phase: "Pending" } });
  assert.ok(good.allowed);
  assert.deepEqual(good.object["status"], { phase: "Pending" });
  assert.deepEqual(good.warnings, []);
  const bad = admitVmi(vmi({ networks: POD, interfaces: [{ name: "default", masquerade: {}, model: "e100" }] }));
  assert.ok(!bad.allowed);
  assert.equal(bad.status, 422);
  assert.deepEqual(
    bad.causes.map(({ reason, field }) => `${reason} ${field}`),
    [`FieldValueNotSupported ${NIC}.model`],
  );
  assert.match(bad.message, /^PB2043: .*Did you mean "e1000"\?/);
  const voided = admitVmi(vmi(), { network: { defaultNetworkInterface: "Masquerade" } });
  assert.match(voided.warnings[0] ?? "", /^PB2304: /);
  assert.ok(!admitVm(vmi()).allowed);
});

test("a probe's port is a number of 32 bits or a name", () => {
  const probed = (port: unknown): string[] =>
    verdict({ ...SIMPLE, spec: { readinessProbe: { httpGet: { port } }, livenessProbe: { tcpSocket: { port } } } });
  assert.deepEqual(probed(0), []);
  assert.deepEqual(probed(2 ** 31 - 1), []);
  assert.deepEqual(probed("http"), []);
  assert.deepEqual(probed(2 ** 31), ["PB1005 ", "PB1005 "]);
  assert.deepEqual(probed(-(2 ** 31) - 1), ["PB1005 ", "PB1005 "]);
  assert.deepEqual(probed(1.5), ["PB1003 ", "PB1003 "]);
  assert.deepEqual(probed(null), ["PB1003 ", "PB1003 "]);
});

test("a VMI's spec stays as it is", () => {
  const old = vmi(SIMPLE);
  const reordered = {
    ...old,
    spec: Object.fromEntries(Object.entries(old.spec).reverse()),
    status: { phase: "Running" },
  };
  assert.ok(admitVmiUpdate(old, reordered).allowed);
  assert.ok(!admitVmiUpdate(old, vmi()).allowed);
});

test("links of a running VMI go up and down; what else its interfaces say stays", () => {
  const withNic = (nic: object) => vmi({ ...SIMPLE, interfaces: [{ name: "default", ...nic }] });
  const bridge = withNic({ bridge: {} });
  assert.ok(admitVmiUpdate(bridge, withNic({ bridge: {}, state: "down" })).allowed);
  assert.ok(admitVmiUpdate(withNic({ bridge: {}, state: "down" }), bridge).allowed);
  const refusals = [
    [withNic({ bridge: {}, state: "absent" }), /PB2093/],
    [withNic({ bridge: {}, state: "Down" }), /PB2052/],
    [withNic({ bridge: {}, state: "down", model: "e1000" }), /PB2093/],
    [withNic({ masquerade: {}, state: "down" }), /PB2093/],
  ] as const;
  for (const [next, code] of refusals) {
    const answer = admitVmiUpdate(bridge, next);
    assert.ok(!answer.allowed);
    assert.match(answer.message, code);
  }
  const handedOver = admitVmiUpdate(withNic({ sriov: {} }), withNic({ sriov: {}, state: "down" }));
  assert.ok(!handedOver.allowed);
  assert.match(handedOver.message, /PB2056/);
});

test("no object makes it throw", () => {
  const word = fc.constantFrom(
    "default",
    "red",
    "",
    "a b",
    "TCP",
    "tcp",
    "bridge",
    "absent",
    "virtio",
    "02:00:00:00:00:00",
  );
  const value = fc.oneof(word, fc.integer(), fc.constant({}), fc.constant([]), fc.constant(null), fc.boolean());
  const key = (...keys: string[]) => fc.constantFrom(...keys);
  const nic = fc.dictionary(
    key(
      "name",
      "masquerade",
      "bridge",
      "slirp",
      "passt",
      "macvtap",
      "binding",
      "ports",
      "state",
      "macAddress",
      "bootOrder",
      "portRanges",
    ),
    value,
  );
  const network = fc.dictionary(key("name", "pod", "multus", "genie", "resourceClaim"), value);
  fc.assert(
    fc.property(
      fc.array(nic, { maxLength: 3 }),
      fc.array(network, { maxLength: 3 }),
      fc.jsonValue(),
      (interfaces, networks, other) => {
        for (const configuration of [{}, other, gates("Passt", "Macvtap", "PortRangesSpec")]) {
          judge("VirtualMachineInstance", vmi({ interfaces, networks }), configuration);
          judge("VirtualMachine", { spec: { template: { spec: vmi({ interfaces, networks }).spec } } }, configuration);
          judge("VirtualMachineInstance", other, configuration);
          judge("VirtualMachine", { spec: other }, configuration);
        }
      },
    ),
  );
});

test("an object with its defaults is accepted again and gets no others", () => {
  const binding = fc.constantFrom("masquerade", "bridge", "sriov");
  fc.assert(
    fc.property(fc.uniqueArray(fc.stringMatching(/^[a-z]{1,5}$/), { maxLength: 4 }), binding, (names, name) => {
      const networks = names.map((network, index) =>
        index === 0 && name === "masquerade"
          ? { name: network, pod: {} }
          : { name: network, multus: { networkName: "x" } },
      );
      const interfaces = names.map((nic, index) => ({
        name: nic,
        [index > 0 && name === "masquerade" ? "bridge" : name]: {},
      }));
      const first = judge("VirtualMachineInstance", vmi({ networks, interfaces }));
      assert.deepEqual(first.problems, []);
      assert.deepEqual(judge("VirtualMachineInstance", first.defaulted).defaulted, first.defaulted);
    }),
  );
});

test("what is unwise is advice, not a problem", () => {
  const interfaces = [
    {
      name: "default",
      masquerade: {},
      model: "e1000",
      macAddress: "03:00:00:00:00:01",
      ports: [{ port: 80 }, { port: 80, protocol: "TCP" }],
    },
    { name: "red", bridge: {}, model: "e1000", macAddress: "03-00-00-00-00-01" },
  ];
  const networks = [...POD, { name: "red", multus: { networkName: "x" } }];
  const { problems, advice } = judge(
    "VirtualMachineInstance",
    vmi({ networks, interfaces, devices: { networkInterfaceMultiqueue: true } }),
  );
  assert.deepEqual(problems, []);
  assert.deepEqual(
    advice.map(({ code, field }) => `${code} ${field}`),
    [
      `PB2502 ${NIC}.macAddress`,
      "PB2502 spec.domain.devices.interfaces[1].macAddress",
      "PB2501 spec.domain.devices.interfaces[1].macAddress",
      `PB2503 ${NIC}.ports[1]`,
      "PB2504 spec.domain.devices.networkInterfaceMultiqueue",
    ],
  );
});

test("run strategies", () => {
  const run = (spec: object, configuration?: unknown): string[] =>
    judge(
      "VirtualMachine",
      { ...vmi(), kind: "VirtualMachine", spec: { ...spec, template: { spec: vmi(SIMPLE).spec } } },
      configuration,
    ).problems.map(({ code, field }) => `${code} ${field}`);
  assert.deepEqual(run({ running: true }), []);
  assert.deepEqual(run({ running: true, runStrategy: "x" }), ["PB2405 spec.running", "PB2406 spec.runStrategy"]);
  assert.deepEqual(run({ runStrategy: "WaitAsReceiver" }), ["PB2406 spec.runStrategy"]);
  assert.deepEqual(run({ runStrategy: "WaitAsReceiver" }, gates("DecentralizedLiveMigration")), []);
});

test("network data that are broken are too long as well where what comes before the break is", () => {
  const broken = (networkDataBase64: string): string[] =>
    verdict({
      networks: POD,
      interfaces: [{ name: "default", masquerade: {} }],
      devices: { disks: [{ name: "c" }] },
      spec: { volumes: [{ name: "c", cloudInitNoCloud: { networkDataBase64 } }] },
    }).map((line) => line.replace("spec.volumes[0].cloudInitNoCloud", "C"));
  const full = "QUFB".repeat(683);
  assert.deepEqual(broken(full), ["PB2098 C"]);
  assert.deepEqual(broken(`${full}Q`), ["PB2099 C.networkDataBase64", "PB2098 C"]);
  assert.deepEqual(broken(`!${full}`), ["PB2099 C.networkDataBase64"]);
  assert.deepEqual(broken(`${"QUFB".repeat(682)}!`), ["PB2099 C.networkDataBase64"]);
  // What follows the padding is in the way, and what the padding ends is read.
  assert.deepEqual(broken(`${"QUFB".repeat(682)}QUE=x`), ["PB2099 C.networkDataBase64"]);
  assert.deepEqual(broken(`${"QUFB".repeat(682)}QUFBQQ==x`), ["PB2099 C.networkDataBase64", "PB2098 C"]);
});

test("an index that the guest's ACPI tells of no NIC is advice: on bus 0, behind another root bus, in a function but the first", () => {
  const nic = (name: string, acpiIndex: number, pciAddress?: string, model?: string): Interface => ({
    name,
    bridge: {},
    acpiIndex,
    ...(pciAddress === undefined ? {} : { pciAddress }),
    ...(model === undefined ? {} : { model }),
  });
  const advised = (...interfaces: readonly Interface[]): readonly string[] => {
    const networks = interfaces.map(({ name }) => ({ name, multus: { networkName: name } }));
    const { problems, advice } = judge("VirtualMachineInstance", vmi({ networks, interfaces }));
    assert.deepEqual(problems, []);
    return advice.map(({ code, field }) => `${code} ${field.split(".").slice(-2).join(".")}`);
  };
  assert.deepEqual(
    advised(
      nic("own", 1),
      nic("behind", 2, undefined, "e1000"),
      nic("root", 3, "0000:00:10.0"),
      nic("port", 4, "0000:03:00.0"),
      nic("function", 5, "0000:03:00.1"),
      nic("far", 6, "0000:81:00.0", "e1000e"),
      nic("bridge", 7, "0000:92:04.0", "rtl8139"),
      nic("none", 0, "0000:00:11.0"),
    ),
    [2, 4, 5, 6].map((index) => `PB2510 interfaces[${index}].acpiIndex`),
  );
  assert.deepEqual(advised(nic("bad", 1, "0000:00:1f.0")), [], "what cannot be placed is said elsewhere");
});

test("MACs, indexes and names that come to nothing are advice with a cure", () => {
  const interfaces = [
    { name: "default", masquerade: {}, macAddress: "00-00-00-00-00-00", acpiIndex: 16_384 },
    { name: "a", bridge: {}, acpiIndex: 7 },
    { name: "b", bridge: {}, acpiIndex: 7 },
    { name: "c", bridge: {}, acpiIndex: -1 },
    { name: "d", bridge: {}, acpiIndex: 16_383 },
  ];
  const names = ["Net_One", "ns/net/extra", "/net", "ns/net.v1"];
  const networks = [...POD, ...names.map((networkName, index) => ({ name: "abcd"[index], multus: { networkName } }))];
  const { problems, advice } = judge("VirtualMachineInstance", vmi({ networks, interfaces }));
  assert.deepEqual(problems, []);
  const at = (index: number, field: string): string => `spec.domain.devices.interfaces[${index}].${field}`;
  assert.deepEqual(
    advice.map(({ code, field, cure = "" }) => `${code} ${field} ${/"(.*)"/.exec(cure)?.[1] ?? ""}`.trim()),
    [
      `PB2507 ${at(0, "macAddress")}`,
      `PB2505 ${at(0, "acpiIndex")}`,
      `PB2506 ${at(2, "acpiIndex")}`,
      `PB2505 ${at(3, "acpiIndex")}`,
      "PB2508 spec.networks[1].multus.networkName net-one",
      "PB2508 spec.networks[2].multus.networkName ns/net",
      "PB2508 spec.networks[3].multus.networkName net",
    ],
  );
});

test("what 1.1.1 does not know is not known wherever its rules hold", () => {
  const object = vmi({ networks: POD, interfaces: [{ name: "default", passtBinding: {} }] });
  const answer = (network: object): unknown => {
    const configuration = { network, ...gates("PasstBinding") };
    return answerCase("x", "VirtualMachineInstance", object, configuration).causes;
  };
  assert.deepEqual(answer({}), []);
  assert.deepEqual(answer({ defaultNetworkInterface: "slirp" }), [{ type: "", field: "", code: "PB1002" }]);
});

test("how guests start and what backs their disks", () => {
  const probe = { livenessProbe: { exec: { command: ["true"] } } };
  assert.deepEqual(verdict({ spec: { startStrategy: "Paused" } }), []);
  assert.deepEqual(verdict({ spec: { startStrategy: "Running" } }), ["PB2414 spec.startStrategy"]);
  assert.deepEqual(verdict({ spec: { startStrategy: "Paused", ...probe } }), ["PB2414 spec.startStrategy"]);
  assert.deepEqual(verdict({ spec: { architecture: "amd64" } }), []);
  assert.deepEqual(verdict({ spec: { architecture: "arm64" } }), ["PB2430 spec.architecture"]);
  assert.deepEqual(verdict({ spec: { architecture: "arm64" } }, gates("MultiArchitecture")), []);

  const disk = (target: object, source: object = { emptyDisk: { capacity: "1Gi" } }): string[] =>
    verdict({ devices: { disks: [{ name: "c", ...target }] }, spec: { volumes: [{ name: "c", ...source }] } });
  const at = "spec.domain.devices.disks[0]";
  for (const bus of ["virtio", "sata", "scsi", "usb"]) assert.deepEqual(disk({ disk: { bus } }), [], bus);
  assert.deepEqual(disk({ cdrom: { bus: "sata", readonly: true } }), []);
  assert.deepEqual(disk({ cdrom: { bus: "virtio" } }), [`PB2434 ${at}.cdrom.bus`]);
  assert.deepEqual(disk({ disk: { bus: "ide" } }), [`PB2434 ${at}.disk.bus`]);
  assert.deepEqual(disk({ disk: { bus: "sata", readonly: true } }), [`PB2434 ${at}.disk.bus`]);
  assert.deepEqual(disk({ lun: { bus: "scsi" } }), [`PB2432 ${at}.lun`]);
  assert.deepEqual(disk({ lun: {} }, { persistentVolumeClaim: { claimName: "x" } }), []);
  assert.deepEqual(disk({}, { dataVolume: { name: "" } }), ["PB2431 spec.volumes[0].name"]);
  assert.deepEqual(disk({}, { configMap: {} }), ["PB2431 spec.volumes[0].configMap.name"]);
  assert.deepEqual(disk({}, { secret: { secretName: "" } }), ["PB2431 spec.volumes[0].secret.secretName"]);
  assert.deepEqual(disk({}, { serviceAccount: {} }), ["PB2431 spec.volumes[0].serviceAccount.serviceAccountName"]);
  const image = (path: string): string[] => disk({}, { containerDisk: { image: "x", path } });
  assert.deepEqual(image("/disk/a.qcow2"), []);
  assert.deepEqual(image("disk/a.qcow2"), ["PB2433 spec.volumes[0].containerDisk"]);
  assert.deepEqual(image("/disk/../a"), ["PB2433 spec.volumes[0].containerDisk"]);
});

test("nothing in metadata, broken amounts and old spellings of addresses are read as KubeVirt reads them", () => {
  const object = { ...vmi({ domain: { resources: { requests: { memory: "64Mi", cpu: 0.5 } } } }), status: null };
  const metadata = { name: "a", labels: null, annotations: { a: null }, creationTimestamp: null };
  assert.deepEqual(judge("VirtualMachineInstance", { ...object, metadata }).problems, []);
  assert.deepEqual(verdict({ domain: { resources: { requests: { memory: "64Mi", cpu: -0.5 } } } }), [
    "PB2427 spec.domain.resources.requests.cpu",
  ]);
  assert.deepEqual(verdict({ domain: { cpu: { cores: 0.5 } } }), ["PB1003 "]);
  const networks = [{ name: "default", pod: { vmNetworkCIDR: "::ffff:010.1.2.03/0120" } }];
  const { defaulted } = judge(
    "VirtualMachineInstance",
    vmi({ networks, interfaces: [{ name: "default", bridge: {} }] }),
  );
  assert.match(JSON.stringify(defaulted), /"vmNetworkCIDR":"10\.1\.2\.3\/120"/);
});

test("a cure names what was meant, where it can be told", () => {
  const meant = (parts: Parts): (string | undefined)[] => {
    const { problems, advice } = judge("VirtualMachineInstance", vmi(parts));
    return [...problems, ...advice].map(({ cure = "" }) => /^Did you mean "(.*?)"\?/.exec(cure)?.[1]);
  };
  const nic = (more: object): (string | undefined)[] =>
    meant({ networks: POD, interfaces: [{ name: "default", bridge: {}, ...more }] });
  assert.deepEqual(nic({ macAddress: "020000123456" }), ["02:00:00:12:34:56"]);
  assert.deepEqual(nic({ macAddress: "2:0:0:12:34:5a" }), ["02:00:00:12:34:5a"]);
  assert.deepEqual(nic({ macAddress: "02 00 00 12 34 56 " }), ["02:00:00:12:34:56"]);
  assert.deepEqual(nic({ macAddress: "hello" }), [undefined]);
  assert.deepEqual(nic({ macAddress: "01:00:5e:00:00:01" }), ["02:00:5e:00:00:01"]);
  assert.deepEqual(nic({ pciAddress: "81:00.1" }), ["0000:81:00.1"]);
  assert.deepEqual(nic({ model: "virtoi" }), ["virtio"]);
  assert.deepEqual(nic({ state: "Down" }), ["down"]);
  assert.deepEqual(nic({ ports: [{ name: "Web_Server", port: 80 }] }), ["web-server"]);
  assert.deepEqual(nic({ ports: [{ name: "a-very-long-name-of-a-port", port: 80 }] }), ["a-very-long-nam"]);
  assert.deepEqual(meant({ networks: [{ name: "my.net", pod: {} }], interfaces: [{ name: "my.net", bridge: {} }] }), [
    "my-net",
  ]);
  assert.deepEqual(meant({ spec: { hostname: "My_Host" } }), ["my-host"]);
  assert.deepEqual(meant({ spec: { hostname: "___" } }), [undefined]);
  assert.deepEqual(meant({ spec: { subdomain: "Lab.Example_" } }), ["lab.example"]);
  assert.deepEqual(meant({ spec: { dnsConfig: { searches: ["Example.org."] } } }), ["example.org"]);
  assert.deepEqual(meant({ spec: { evictionStrategy: "liveMigrate" } }), ["LiveMigrate"]);
});
