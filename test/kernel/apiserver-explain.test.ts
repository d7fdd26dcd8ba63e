import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { definitions, servedDefinitions } from "../../src/model/api/kinds.ts";
import { isJsonObject, type JsonObject, objectAt } from "../../src/model/json.ts";
import { kubectlVersions } from "../kubectls.ts";
import { needs } from "../needs.ts";
import { makeFolder, type Sample, startSample } from "./apiserver-sample.ts";
import { makeKubectl } from "./kubectl-run.ts";

const { folder, remove } = makeFolder();
let sample: Sample;

before(async () => {
  sample = await startSample(join(folder, "data"), { definitions: servedDefinitions });
});

after(async () => {
  await sample.stop();
  remove();
});

interface Answer {
  readonly code: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

function get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  const token = readFileSync(join(sample.folder, "pki/token"), "utf8").trim();
  return new Promise((resolve, reject) => {
    const all = { authorization: `Bearer ${token}`, ...headers };
    request(`${sample.server.url}${path}`, { ca: sample.server.caPem, headers: all }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () =>
        resolve({
          code: response.statusCode ?? 0,
          text: Buffer.concat(chunks).toString(),
          headers: response.headers,
        }),
      );
    })
      .on("error", reject)
      .end();
  });
}

/** Every reference below a value. */
function referencesOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(referencesOf);
  if (!isJsonObject(value)) return [];
  return Object.entries(value).flatMap(([key, field]) =>
    key === "$ref" && typeof field === "string" ? [field] : referencesOf(field),
  );
}

function at(document: unknown, reference: string): unknown {
  return reference
    .slice(2)
    .split("/")
    .reduce((value: unknown, key) => (isJsonObject(value) ? value[key] : undefined), document);
}

const fullManifest = `
apiVersion: kubevirt.io/v1
kind: VirtualMachineInstance
metadata: {name: checked, creationTimestamp: null, labels: {app: web}}
spec:
  domain:
    devices:
      disks: [{name: root, disk: {bus: virtio}}]
      interfaces: [{name: default, masquerade: {}, ports: [{port: 80}]}]
    resources: {requests: {memory: 64Mi, cpu: 1}}
  networks: [{name: default, pod: {}}]
  volumes: [{name: root, containerDisk: {image: "patchbay/guest:latest"}}]
  readinessProbe: {tcpSocket: {port: 80}}
---
apiVersion: kubevirt.io/v1
kind: KubeVirt
metadata: {name: kubevirt}
spec: {configuration: {network: {defaultNetworkInterface: masquerade}, migrations: {parallelMigrationsPerCluster: 5}}}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: net}
spec: {config: '{"cniVersion":"0.3.1","type":"bridge"}'}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: checked}
data: {a: "1"}
binaryData: {b: "AA=="}
`;

const coreManifest = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, name: http}, {port: 443, nodePort: 30443, name: https}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: ["10.0.0.1"]}, {addresses: ["10.0.0.2"]}]
ports: [{port: 80}]
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: lock}
spec: {holderIdentity: me, leaseDurationSeconds: 15, renewTime: "2026-01-01T00:00:00.123456Z"}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  volumes: [{name: a, emptyDir: {}}, {name: b, emptyDir: {}}]
  containers:
  - {name: one, image: "one:1", ports: [{containerPort: 80}], volumeMounts: [{name: a, mountPath: /a}]}
  - {name: two, image: "two:1"}
`;

/** Taken by KubeVirt's webhook alone: its schema asks for the fields that are missing, as this one does. */
const lackingFields = new Set(["dhcp-private-option-missing-value", "plugin-empty-object"]);

for (const version of kubectlVersions) {
  describe(`kubectl ${version}`, () => {
    const kubectl = makeKubectl(version, join(folder, version), () => sample.kubeconfig);
    after(() => kubectl.stop());

    test("explains this project's fields in this project's words", async (t) => {
      if (!needs(t, "kubectls")) return;
      const interfaces = await kubectl.ok(["explain", "vmi.spec.domain.devices.interfaces"]);
      assert.match(interfaces, /KIND: +VirtualMachineInstance\nVERSION: +(?:kubevirt\.io\/)?v1\n/);
      assert.match(interfaces, /: interfaces <\[\]Object>/);
      assert.match(interfaces, /NICs; more than 256 are refused/);
      assert.match(interfaces, / +macAddress\t<string>\n +MAC of the NIC, six octets/);
      assert.match(interfaces, / +name\t<string> -required-\n/);
      const port = await kubectl.ok(["explain", "vm.spec.template.spec.domain.devices.interfaces.ports.port"]);
      assert.match(port, /port <integer>[\s\S]*Number, 1 to 65535;/);
      assert.match(await kubectl.ok(["explain", "vm.spec.template.metadata.labels"]), /Words to select objects by\./);
      const memory = await kubectl.ok(["explain", "vmi.spec.domain.memory.guest"]);
      assert.match(memory, /What the guest sees, in bytes\./);
    });

    test("S0.23 S1.4: explains every kind, whole", async (t) => {
      if (!needs(t, "kubectls")) return;
      for (const { plural, group, version: of, kind } of definitions) {
        const apiVersion = group === "" ? of : `${group}/${of}`;
        const text = await kubectl.ok(["explain", plural, "--recursive", `--api-version=${apiVersion}`]);
        assert.match(text, new RegExp(`KIND: +${kind}\\n`));
        assert.match(text, /^ +metadata\t<\w+>\n(?:.*\n)*? +ownerReferences\t<\[\]\w+>\n +apiVersion\t<string>/m);
      }
      const whole = await kubectl.ok(["explain", "vmi", "--recursive"]);
      assert.match(whole, /^ +interfaces\t<\[\]Object>(?: -required-)?\n +acpiIndex\t<integer>\n/m);
      assert.match(await kubectl.ok(["explain", "cm.data"]), /Values that are UTF-8 text\./);
    });

    test("takes manifests that are right, and refuses unknown fields by their place", async (t) => {
      if (!needs(t, "kubectls")) return;
      await kubectl.ok(["apply", "-f", "-"], fullManifest);
      await kubectl.ok(["apply", "-f", "-"], fullManifest.replace("port: 80", "port: 81").replace('"1"', '"2"'));
      const odd = await kubectl.run(["apply", "-f", "-"], fullManifest.replace("masquerade: {}", "masquerede: {}"));
      assert.equal(odd.code, 1);
      assert.match(odd.err, /unknown field "(?:masquerede"|spec\.domain\.devices\.interfaces\[0\]\.masquerede")/);
      await kubectl.ok(["delete", "-f", "-"], fullManifest);
    });

    test("takes older manifests, says so, and shows their objects in the version of today", async (t) => {
      if (!needs(t, "kubectls")) return;
      const [today = ""] = fullManifest.split("---");
      const { code, err } = await kubectl.run(
        ["apply", "-f", "-"],
        today.replace("kubevirt.io/v1", "kubevirt.io/v1alpha3"),
      );
      assert.equal(code, 0, err);
      assert.match(err, /Warning: kubevirt\.io\/v1alpha3 is deprecated: use kubevirt\.io\/v1/);
      assert.equal(await kubectl.ok(["get", "vmi", "checked", "-o", "jsonpath={.apiVersion}"]), "kubevirt.io/v1");
      await kubectl.ok(["apply", "-f", "-"], today);
      await kubectl.ok(["delete", "-f", "-"], today);
    });

    test("takes every manifest that KubeVirt takes, as far as its shape goes", async (t) => {
      if (!needs(t, "kubectls")) return;
      const cases = readFileSync(join(import.meta.dirname, "../conformance/admission-cases.jsonl"), "utf8")
        .trim()
        .split("\n")
        .map((line): { id: string; object: JsonObject; expect: { allowed: boolean } } => JSON.parse(line))
        .filter(({ id, expect }) => expect.allowed && !lackingFields.has(id))
        .map(({ object }, index) => ({
          ...object,
          metadata: { ...objectAt(object, "metadata"), name: `case-${index}` },
        }));
      assert.ok(cases.length > 100);
      // Who knows unknown fields: kubectl itself, or the server that it asks.
      const judge = version === "1.20" ? "client" : "server";
      const documents = cases.map((object) => JSON.stringify(object)).join("\n");
      const created = await kubectl.ok(["create", "-f", "-", `--dry-run=${judge}`, "-o", "name"], documents);
      assert.equal(created.trim().split("\n").length, cases.length);
    });

    test("merges and shows Kubernetes' own kinds as its users know them", async (t) => {
      if (!needs(t, "kubectls")) return;
      await kubectl.ok(["apply", "-f", "-"], coreManifest);
      const changed = coreManifest
        .replace(", {port: 443, nodePort: 30443, name: https}", ", {port: 8443, nodePort: 30443, name: https}")
        .replace("10.0.0.2", "10.0.0.3")
        .replace('\n  - {name: two, image: "two:1"}', "")
        .replace("one:1", "one:2")
        .replace(", {name: b, emptyDir: {}}", ", {name: c, emptyDir: {}}");
      const { code, err } = await kubectl.run(["apply", "-f", "-"], changed);
      // No word of patches that cannot be made by OpenAPI, either.
      assert.deepEqual([code, err], [0, ""]);
      const pod = ["get", "po", "web", "-o", "jsonpath={.spec.containers[*].image} {.spec.volumes[*].name}"];
      assert.deepEqual((await kubectl.ok(pod)).split(" ").toSorted(), ["a", "c", "one:2"]);
      assert.match(
        await kubectl.ok(["get", "svc", "-o", "wide"]),
        /^NAME +TYPE +CLUSTER-IP +EXTERNAL-IP +PORT\(S\) +AGE +SELECTOR\nweb +ClusterIP +<none> +<none> +80\/TCP,8443:30443\/TCP +\d+s +app=web\n$/,
      );
      assert.match(
        await kubectl.ok(["get", "endpointslices"]),
        /^NAME +ADDRESSTYPE +PORTS +ENDPOINTS +AGE\nweb-1 +IPv4 +80 +10\.0\.0\.1,10\.0\.0\.3 /,
      );
      const create = ["create", "service"];
      await kubectl.ok([...create, "clusterip", "direct", "--tcp=80:8080"]);
      await kubectl.ok([...create, "clusterip", "headless", "--clusterip=None"]);
      await kubectl.ok([...create, "nodeport", "outside", "--tcp=81:http", "--node-port=30081"]);
      await kubectl.ok([...create, "externalname", "elsewhere", "--external-name=example.org"]);
      const shown = await kubectl.ok([
        "get",
        "svc",
        "-o",
        "jsonpath={range .items[*]}{.metadata.name} {.spec}{'\\n'}{end}",
      ]);
      assert.match(shown, /^direct .*"port":80,"protocol":"TCP","targetPort":8080.*"selector":\{"app":"direct"\}/m);
      assert.match(shown, /^headless .*"clusterIP":"None"/m);
      assert.match(
        shown,
        /^outside .*"nodePort":30081,"port":81,"protocol":"TCP","targetPort":"http".*"type":"NodePort"/m,
      );
      assert.match(shown, /^elsewhere .*"externalName":"example\.org".*"type":"ExternalName"/m);
      await kubectl.ok(["delete", "svc", "direct", "headless", "outside", "elsewhere"]);
      assert.match(await kubectl.ok(["get", "lease"]), /^NAME +HOLDER +AGE\nlock +me /);
      assert.match(await kubectl.ok(["get", "po"]), /^NAME +READY +STATUS +RESTARTS +AGE\nweb +0\/1 +Pending +0 /);
      assert.match(await kubectl.ok(["describe", "svc", "web"]), /Type: +ClusterIP/);
      await kubectl.ok(["delete", "-f", "-"], coreManifest);
    });
  });
}

describe("OpenAPI", () => {
  test("v3 has an index of documents that may be kept, and says where one has gone", async () => {
    const index: unknown = JSON.parse((await get("/openapi/v3")).text);
    assert.ok(isJsonObject(index));
    const paths = objectAt(index, "paths");
    assert.ok(Object.hasOwn(paths, "api/v1") && Object.hasOwn(paths, "apis/kubevirt.io/v1"));
    for (const [part, entry] of Object.entries(paths)) {
      assert.ok(isJsonObject(entry));
      const url = String(entry["serverRelativeURL"]);
      assert.match(url, new RegExp(`^/openapi/v3/${part}\\?hash=[0-9A-F]{32}$`));
      const { code, text, headers } = await get(url);
      assert.equal(code, 200);
      assert.match(String(headers["cache-control"]), /immutable/);
      const document: unknown = JSON.parse(text);
      const references = referencesOf(document);
      assert.ok(references.length > 0);
      for (const reference of references) assert.ok(isJsonObject(at(document, reference)), reference);
      const again = await get(url, { "if-none-match": String(headers["etag"]) });
      assert.deepEqual([again.code, again.text], [304, ""]);
      const stale = await get(`/openapi/v3/${part}?hash=00`);
      assert.deepEqual([stale.code, stale.headers["location"]], [301, url]);
    }
    assert.equal((await get("/openapi/v3/apis/nobody.io/v1")).code, 404);
  });

  test("v2 names every kind with its group, version and kind, and refers to nothing that is not there", async () => {
    const { code, text } = await get("/openapi/v2", { accept: "application/json" });
    assert.equal(code, 200);
    const document: unknown = JSON.parse(text);
    assert.ok(isJsonObject(document));
    for (const reference of referencesOf(document)) assert.ok(isJsonObject(at(document, reference)), reference);
    const schemas = objectAt(document, "definitions");
    const vmi = schemas["io.kubevirt.v1.VirtualMachineInstance"] as JsonObject;
    const gvk = { group: "kubevirt.io", kind: "VirtualMachineInstance", version: "v1" };
    assert.deepEqual(vmi["x-kubernetes-group-version-kind"], [gvk]);
    assert.ok(isJsonObject(schemas["io.k8s.api.core.v1.ConfigMap"]));
    assert.ok(isJsonObject(schemas["io.cncf.cni.k8s.v1.NetworkAttachmentDefinition"]));
    assert.ok(!text.includes('"nullable"') && !text.includes('"anyOf"'));
  });

  test("is refused in forms that it does not have", async () => {
    assert.equal((await get("/openapi/v2", { accept: "text/html" })).code, 406);
    const protobuf = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";
    assert.equal((await get("/openapi/v3/api/v1", { accept: protobuf })).code, 406);
  });
});
