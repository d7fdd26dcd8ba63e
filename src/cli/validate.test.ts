import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isFault } from "../model/fault.ts";
import { isColoured, isSound, judgeManifests } from "./judged-manifests.ts";

const folder = mkdtempSync(join(tmpdir(), "patchbay-validate-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

function written(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const VMI = `apiVersion: kubevirt.io/v1
kind: VirtualMachineInstance
metadata:
  name: a
spec:
  domain:
    devices:
      interfaces:
        - name: default
          masquerade: {}
          ports:
            - name: HTTP
              protocol: tcp
    resources:
      requests:
        memory: 64Mi
  networks:
    - name: default
      pod: {}
`;

const DEFINITION = `---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: x, annotations: {k8s.v1.cni.cncf.io/resourceName: a/b}}
spec: {config: '{"cniVersion": "0.3.1", "name": "x", "type": "macvtap"}'}
`;

async function found(files: string[], config?: string): Promise<string[]> {
  const { findings } = judgeManifests(files, config);
  return findings.map(
    ({ file, line, column, code, path }) => `${file.slice(folder.length + 1)}:${line}:${column} ${code} ${path}`,
  );
}

test("what the schema and the rules find stands in the order of the file, each once", async () => {
  const path = written("vmi.yaml", VMI);
  assert.deepEqual(await found([path]), [
    "vmi.yaml:12:15 PB1004 spec.domain.devices.interfaces[0].ports[0].port",
    "vmi.yaml:12:21 PB2042 spec.domain.devices.interfaces[0].ports[0].name",
    "vmi.yaml:13:25 PB2040 spec.domain.devices.interfaces[0].ports[0].protocol",
  ]);
});

test("S2.44 S3.41: the configuration comes from a resource, from the older ConfigMap, or from the documents themselves", async () => {
  const macvtap = written(
    "macvtap.yaml",
    `${VMI.replace(/masquerade: \{\}[\s\S]*tcp\n/, "macvtap: {}\n").replace("pod: {}", "multus: {networkName: x}")}${DEFINITION}`,
  );
  const field = "PB2023 spec.domain.devices.interfaces[0].name";
  assert.deepEqual(await found([macvtap]), [`macvtap.yaml:9:17 ${field}`]);
  const kubeVirt = (gate: string, more = ""): string =>
    `apiVersion: kubevirt.io/v1\nkind: KubeVirt\nmetadata: {name: kubevirt}\nspec:\n  configuration:\n    developerConfiguration: {featureGates: [${gate}]}\n${more}`;
  const resource = written("kubevirt.yaml", kubeVirt("Macvtap"));
  assert.deepEqual(await found([macvtap], resource), []);
  assert.deepEqual(await found([macvtap, resource]), []);
  const lower = written("lower.yaml", kubeVirt("macvtap"));
  assert.deepEqual(await found([macvtap], lower), [
    "lower.yaml:6:45 PB2305 spec.configuration.developerConfiguration.featureGates[0]",
    `macvtap.yaml:9:17 ${field}`,
  ]);
  const configMap = `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kubevirt-config}\ndata:\n  feature-gates: "SRIOV,MacvtapAndMore"\n`;
  assert.deepEqual(await found([macvtap], written("map.yaml", configMap)), []);
  const bridge = written("bridge.yaml", VMI.replace(/masquerade: \{\}[\s\S]*tcp\n/, "bridge: {}\n"));
  const forbidding = `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kubevirt-config}\ndata:\n  permitBridgeInterfaceOnPodNetwork: "false"\n`;
  assert.deepEqual(await found([bridge]), []);
  assert.deepEqual(await found([bridge], written("forbidding.yaml", forbidding)), [
    "bridge.yaml:9:17 PB2022 spec.domain.devices.interfaces[0].name",
  ]);
  const voided = written("void.yaml", kubeVirt("Macvtap", "    network: {defaultNetworkInterface: Bridge}\n"));
  assert.deepEqual(await found([macvtap], voided), [
    `macvtap.yaml:9:17 ${field}`,
    "void.yaml:7:40 PB2304 spec.configuration.network.defaultNetworkInterface",
  ]);
});

test("folders are read, warnings do not fail, and what cannot be read is a fault", async () => {
  const inner = join(folder, "inner");
  mkdirSync(inner);
  writeFileSync(join(inner, "a.yaml"), "apiVersion: apps/v1\nkind: Deployment\n");
  writeFileSync(join(inner, "b.json"), "{}");
  writeFileSync(join(inner, "notes.txt"), "{");
  assert.deepEqual(await found([inner]), ["inner/a.yaml:2:7 PB1009 kind", "inner/b.json:1:1 PB1008 kind"]);
  const warned = judgeManifests([join(inner, "a.yaml")], undefined);
  assert.equal(isSound(warned), true);
  assert.throws(
    () => judgeManifests([join(folder, "none.yaml")], undefined),
    (thrown) => isFault(thrown, "PB1000"),
  );
});

test("CNI configurations are read from their files, and from folders where they look like ones", async () => {
  const net = join(folder, "net.d");
  mkdirSync(net);
  const conf = (name: string, text: string): string => written(`net.d/${name}`, text);
  conf("00-genie.conf", '{"cniVersion": "0.3.1", "name": "genie", "type": "genie"}');
  conf("10-lan.conflist", '{"cniVersion": "0.3.1", "name": "lan", "plugins": [{"type": "ovs"}, {"typ": "tuning"}]}');
  conf("20-lan.json", '{"cniVersion": "0.3.1", "name": "lan", "type": "bridge", "mtv": 1400}');
  const nginx = conf("nginx.conf", "worker_processes 1;\n");
  assert.deepEqual(await found([net]), [
    "net.d/10-lan.conflist:1:69 PB3004 plugins[1].type",
    "net.d/20-lan.json:1:58 PB2713 mtv",
  ]);
  assert.deepEqual(await found([nginx]), ["net.d/nginx.conf:1:1 PB3003 "]);
  const { documents, cniFiles } = judgeManifests([net], undefined);
  assert.deepEqual([documents.length, cniFiles.length], [0, 3]);
});

function patchbay(args: readonly string[], input = ""): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, "main.ts"), ...args], {
    input,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "" },
  });
  return { status, stdout, stderr };
}

test("a manifest on stdin is completed, and told of plainly in a pipe", () => {
  const { status, stdout } = patchbay(["validate", "-f", "-"], "kind: VM\nspec: {domain: {devices: {}}}\n");
  assert.equal(status, 0);
  assert.ok(!stdout.includes("\u001b"));
  const [first, place] = stdout.split("\n");
  assert.equal(first, "warning PB1011: a document is only part of a VMI");
  assert.equal(place, "  --> stdin:1:7");
  assert.match(stdout, /^2 warnings$/m);
  const broken = patchbay(["validate", "-f", "-"], "kind: VM\nspec: {domain: {devises: {}}}\n");
  assert.equal(broken.status, 1);
  assert.match(broken.stdout, /did you mean "devices"\?/);
});

test("of what has no end only the beginning is read", () => {
  const { status, stdout } = patchbay(["validate", "-f", "/dev/zero", "-o", "json"]);
  assert.equal(status, 1);
  const { findings } = JSON.parse(stdout) as { readonly findings: readonly Record<string, unknown>[] };
  assert.deepEqual(
    findings.map(({ code, file }) => `${file} ${code}`),
    ["/dev/zero PB1006"],
  );
  const cases = `${"\n".repeat(10 * 1024 * 1024)}{"id": "far", "object": {"kind": "VirtualMachine"}}`;
  assert.match(patchbay(["validate", "--cases", "-"], cases).stdout, /^\{"id":"far",/);
});

test("what no machine could be is told as well, though every rule holds", () => {
  const vm = (more: string): string => `apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: a}
spec:
  runStrategy: Always
${more}  template:
    spec:
      domain:
        devices:
          interfaces: [{name: a, masquerade: {}, pciAddress: "0000:00:1f.0"}]
      networks: [{name: a, pod: {}}]
`;
  const sized = patchbay(["validate", "-f", "-"], vm("  instancetype: {name: small}\n"));
  assert.equal(sized.status, 1);
  assert.match(sized.stdout, /^error PB5052: .*\n {2}--> stdin:11:50$/m);
  const unsized = patchbay(["validate", "-f", "-"], vm(""));
  assert.match(unsized.stdout, /^error PB2401: /m);
});

test("findings as JSON, and as SARIF with a rule for each", () => {
  const args = ["validate", "-f", written("three.yaml", VMI), "-o"];
  const json = patchbay([...args, "json"]);
  const { findings } = JSON.parse(json.stdout) as { readonly findings: readonly Record<string, unknown>[] };
  assert.equal(json.status, 1);
  assert.deepEqual(Object.keys(findings[0] ?? {}), [
    "code",
    "severity",
    "path",
    "file",
    "line",
    "column",
    "message",
    "expected",
    "hint",
  ]);
  const sarif = patchbay([...args, "sarif"]);
  assert.equal(sarif.status, 1);
  const [run] = JSON.parse(sarif.stdout).runs;
  const results: readonly Record<string, unknown>[] = run.results;
  assert.deepEqual(
    results.map(({ ruleId }) => ruleId),
    findings.map(({ code }) => code),
  );
  for (const { id, help } of run.tool.driver.rules) assert.ok(help.markdown.startsWith(`# ${id}: `));
  assert.equal(patchbay([...args, "xml"]).status, 2);
});

test("colours are for terminals that have them", () => {
  assert.equal(isColoured({ isTTY: true }, { TERM: "xterm" }), true);
  assert.equal(isColoured({ isTTY: true }, { NO_COLOR: "" }), true);
  assert.equal(isColoured({ isTTY: true }, { NO_COLOR: "1" }), false);
  assert.equal(isColoured({ isTTY: true }, { TERM: "dumb" }), false);
  assert.equal(isColoured({}, { TERM: "xterm" }), false);
});

test("a file that is named for the configuration and holds none is refused", () => {
  const vmi = written("sound.yaml", VMI);
  const other = written("other.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kubevirt-confg}\n");
  assert.throws(
    () => judgeManifests([vmi], other),
    (thrown) => isFault(thrown, "PB1000") && /no configuration in \S+other\.yaml/.test(thrown.message),
  );
  const bare = written("bare.yaml", "apiVersion: kubevirt.io/v1\nkind: KubeVirt\nmetadata: {name: kubevirt}\n");
  assert.equal(judgeManifests([vmi], bare).configures, true);
});

test("plan says where there is nothing to plan, and is JSON all the same", () => {
  const definition = written("definition.yaml", DEFINITION);
  const launcher = join(import.meta.dirname, "../../patchbay");
  for (const command of ["plan", "explain"]) {
    const { status, stdout, stderr } = spawnSync(launcher, [command, "-f", definition, "-o", "json"], {
      encoding: "utf8",
    });
    assert.deepEqual([status, stdout], [0, "[]\n"]);
    assert.match(stderr, new RegExp(`no VirtualMachineInstance to ${command} in \\S+definition\\.yaml`));
  }
});
