import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { eventually, TestHost } from "../daemon.ts";
import { needs } from "../needs.ts";

/** A VMI on the pod network and on one definition. */
function vmi(name: string, networkName: string, more = ""): string {
  return `apiVersion: kubevirt.io/v1
kind: VirtualMachineInstance
metadata: {name: ${name}}
spec:
  domain:
    memory: {guest: 64Mi}
    devices:
      disks: [{name: root, disk: {bus: virtio}}]
      interfaces:
        - {name: default, masquerade: {}}
        - {name: lan, bridge: {}${more}}
  networks: [{name: default, pod: {}}, {name: lan, multus: {networkName: ${networkName}}}]
  volumes: [{name: root, containerDisk: {image: "nobody/has:1"}}]
`;
}

function definition(name: string, namespace: string, config: object): string {
  return `apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: ${name}, namespace: ${namespace}}
spec: {config: '${JSON.stringify({ cniVersion: "1.0.0", name, ...config })}'}
`;
}

test("validate --live tells what is missing in the cluster and on the host", { timeout: 280_000 }, async (t) => {
  if (!needs(t, "daemon", "kubectl")) return;
  const host = await TestHost.make(t);
  await host.up();
  const pool = join(host.dataDir, "pool");
  const found = async (manifest: string): Promise<readonly string[]> => {
    const { stdout, stderr, code } = await host.patchbay(["validate", "--live", "-f", "-", "-o", "json"], {
      input: manifest,
    });
    assert.ok(code === 0 || code === 1, stderr);
    const { findings }: { readonly findings: readonly Record<string, string>[] } = JSON.parse(stdout);
    return findings.map(({ severity, code: what, path, message }) => `${severity} ${what} ${path}: ${message}`);
  };
  const only = (findings: readonly string[], code: string): string => {
    const [one, ...more] = findings.filter((finding) => finding.includes(code));
    assert.ok(one !== undefined && more.length === 0, JSON.stringify(findings));
    return one;
  };

  await t.test("a definition that is nowhere, and one of another namespace", async () => {
    assert.match(only(await found(vmi("a", "lan")), "PB2701"), /^error PB2701 .*which is nowhere/);
    await host.kubectlOk(["create", "namespace", "other"]);
    await host.kubectlOk(["apply", "-f", "-"], definition("lan", "other", { type: "bridge", bridge: "br9" }));
    assert.match(only(await found(vmi("a", "lan")), "PB2701"), /^error PB2701/);
    assert.ok((await found(vmi("a", "other/lan"))).every((finding) => !finding.includes("PB2701")));
  });

  await t.test("a plugin's binary, a lower link and an image", async () => {
    await host.kubectlOk(["apply", "-f", "-"], definition("strange", "default", { type: "no-such-plugin" }));
    const findings = await found(vmi("a", "strange"));
    assert.match(only(findings, "PB3006"), /spec\.networks\[1\]: The CNI plugin "no-such-plugin"/);
    assert.match(only(findings, "PB5001"), /nobody\/has:1/);
    const macvlan = definition("up", "default", { type: "macvlan", master: "no-such-link" });
    assert.match(only(await found(`${vmi("a", "up")}---\n${macvlan}`), "PB3027"), /no-such-link/);
  });

  await t.test("a device that no node offers, and a macvtap's lower link", async () => {
    const map = (lower: string): string => `apiVersion: v1
kind: ConfigMap
metadata: {name: macvtap-deviceplugin-config}
data: {DP_MACVTAP_CONF: '[{"name": "data", "lowerDevice": "${lower}"}]'}
`;
    const macvtap = definition("taps", "default", { type: "macvtap" }).replace(
      "metadata: {",
      'metadata: {annotations: {k8s.v1.cni.cncf.io/resourceName: "macvtap.network.kubevirt.io/data"}, ',
    );
    await host.kubectlOk(["apply", "-f", "-"], macvtap);
    assert.match(only(await found(vmi("a", "taps")), "PB6121"), /^error .*spec\.networks\[1\].*no node offers it/);
    await host.kubectlOk(["apply", "-f", "-"], map("no-such-link"));
    assert.match(
      only(await found([vmi("a", "taps"), macvtap, map("no-such-link")].join("---\n")), "PB3027"),
      /"no-such-link", which this host does not have/,
    );
    await host.run(["ip", "link", "add", "low0", "type", "veth", "peer", "name", "low1"]);
    await host.kubectlOk(["apply", "-f", "-"], map("low0"));
    await eventually("the node to offer it", async () =>
      (await found(vmi("a", "taps"))).every((finding) => !/PB6121|PB3027/.test(finding)),
    );
  });

  await t.test("a pool that has given out all it has", async () => {
    const ipam = { type: "host-local", subnet: "10.1.1.0/30", dataDir: pool };
    await host.kubectlOk(["apply", "-f", "-"], definition("small", "default", { type: "bridge", ipam }));
    assert.ok((await found(vmi("a", "small"))).every((finding) => !finding.includes("PB3018")));
    await mkdir(join(pool, "small"), { recursive: true });
    await writeFile(join(pool, "small", "10.1.1.2"), "someone");
    assert.match(only(await found(vmi("a", "small")), "PB3018"), /spec\.networks\[1\]: .*1 of 1 are given out/);
  });

  await t.test("a MAC that a stored VM has, and the settings that hold there", async () => {
    await host.kubectlOk(
      ["apply", "-f", "-"],
      `apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: halted}
spec:
  runStrategy: Halted
  template:
    spec:
      domain:
        memory: {guest: 64Mi}
        devices: {interfaces: [{name: x, bridge: {}, macAddress: "02:00:00:00:00:aa"}]}
      networks: [{name: x, multus: {networkName: other/lan}}]
`,
    );
    const same = vmi("a", "other/lan", ', macAddress: "02-00-00-00-00-AA"');
    assert.match(only(await found(same), "PB2712"), /VirtualMachine default\/halted/);
    const passt = vmi("a", "other/lan").replace("masquerade: {}", "passtBinding: {}");
    assert.match(only(await found(passt), "PB2071"), /^error/);
    await host.kubectlOk(
      ["apply", "-f", "-"],
      `apiVersion: kubevirt.io/v1
kind: KubeVirt
metadata: {name: kubevirt}
spec: {configuration: {developerConfiguration: {featureGates: [PasstBinding]}}}
`,
    );
    assert.ok((await found(passt)).every((finding) => !finding.includes("PB2071")));
  });
});

/** A VM on a network whose image is `image`. */
function vm(name: string, image: string, network: string): string {
  return `apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: ${name}}
spec:
  runStrategy: Halted
  template:
    spec:
      domain:
        memory: {guest: 64Mi}
        devices:
          disks: [{name: root, disk: {bus: virtio}}]
          interfaces: [{name: x, bridge: {}}]
      networks: [{name: x, ${network}}]
      volumes: [{name: root, containerDisk: {image: "${image}"}}]
`;
}

test("what the host lacks is told at admission, of creations, updates and dry runs", {
  timeout: 280_000,
}, async (t) => {
  if (!needs(t, "daemon", "kubectl")) return;
  const host = await TestHost.make(t);
  await host.up();
  const pool = join(host.dataDir, "pool");
  /** The warnings of an apply, which succeeds. */
  const warned = async (manifest: string, ...more: readonly string[]): Promise<readonly string[]> => {
    const { code, stderr } = await host.kubectl(["apply", "-f", "-", ...more], manifest);
    assert.equal(code, 0, stderr);
    return stderr.split("\n").filter((line) => line.startsWith("Warning: "));
  };
  const told = (warnings: readonly string[], code: string): string[] => warnings.filter((line) => line.includes(code));
  const forgotten = async (manifest: string): Promise<void> =>
    void (await host.kubectlOk(["delete", "--ignore-not-found", "-f", "-"], manifest));
  /** The same with one of this code: a host that is late holds nothing up, and is asked anew. */
  const heard = (
    code: string,
    manifest: string,
    more: readonly string[] = [],
    before = (): Promise<void> => forgotten(manifest),
  ): Promise<readonly string[]> =>
    eventually(`a warning ${code}`, async () => {
      const warnings = await warned(manifest, ...more);
      if (told(warnings, code).length > 0) return warnings;
      await before();
      return false;
    });
  const ipam = { type: "host-local", subnet: "10.1.1.0/30", dataDir: pool };
  await host.kubectlOk(["apply", "-f", "-"], definition("strange", "default", { type: "no-such-plugin" }));
  await host.kubectlOk(["apply", "-f", "-"], definition("up", "default", { type: "macvlan", master: "eth77" }));
  await host.kubectlOk(["apply", "-f", "-"], definition("small", "default", { type: "bridge", ipam }));

  await t.test("an image and a plugin, in a dry run as well, which stores nothing", async () => {
    for (const how of [["--dry-run=server"], []]) {
      const warnings = await heard("PB5001", vmi("a", "strange"), how);
      const [image, ...others] = told(warnings, "PB5001");
      assert.match(image ?? "", /nobody\/has:1 is not in the store\. Bring it with/);
      assert.deepEqual(others, []);
      const [plugin] = told(warnings, "PB3006");
      assert.match(plugin ?? "", /PB3006: spec\.networks\[1\]: The CNI plugin "no-such-plugin"/);
    }
    assert.equal((await host.kubectl(["get", "vmi", "a", "-o", "name"])).code, 0);
  });

  await t.test("a lower link, until it is there", async () => {
    const [link] = told(await heard("PB3027", vm("b", "nobody/has:1", "multus: {networkName: up}")), "PB3027");
    assert.match(link ?? "", /default\/up builds on the link "eth77", which this host does not have\. .+/);
    await host.run(["ip", "link", "add", "eth77", "type", "veth", "peer", "name", "eth78"]);
    assert.deepEqual(told(await warned(vm("c", "nobody/has:1", "multus: {networkName: up}")), "PB3027"), []);
  });

  await t.test("a pool that is exhausted, when a VM is changed to it", async () => {
    assert.deepEqual(told(await warned(vm("d", "nobody/has:1", "multus: {networkName: up}")), "PB3018"), []);
    await mkdir(join(pool, "small"), { recursive: true });
    await writeFile(join(pool, "small", "10.1.1.2"), "someone");
    const small = vm("d", "nobody/has:1", "multus: {networkName: small}");
    const [full] = told(
      await heard(
        "PB3018",
        small,
        [],
        async () => void (await warned(vm("d", "nobody/has:1", "multus: {networkName: up}"))),
      ),
      "PB3018",
    );
    assert.match(full ?? "", /PB3018: spec\.template\.spec\.networks\[0\]: .*1 of 1 are given out\. Delete VMs/);
  });

  await t.test("nothing of what is there, and nothing where the spec stays as it is", async () => {
    assert.deepEqual(told(await warned(vm("e", "nobody/has:1", "pod: {}")), "PB3"), []);
    assert.deepEqual(
      await warned(vm("e", "nobody/has:1", "pod: {}").replace("name: e}", "name: e, labels: {a: b}}")),
      [],
    );
  });
});
