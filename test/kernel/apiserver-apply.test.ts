import assert from "node:assert/strict";
import { request } from "node:https";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { loadKubeconfig } from "../../src/client/kubeconfig.ts";
import { servedDefinitions } from "../../src/model/api/kinds.ts";
import type { KubeObject } from "../../src/model/api/resource.ts";
import { isJsonObject, type JsonObject, objectAt } from "../../src/model/json.ts";
import { makeFolder, type Sample, startSample, until } from "./apiserver-sample.ts";

const { folder, remove } = makeFolder();
let sample: Sample;

before(async () => {
  sample = await startSample(join(folder, "data"), {
    definitions: servedDefinitions,
    admission: async ({ object, name }) => ({
      allowed: true,
      object: name === "filled" ? filled(object) : object,
      warnings: [],
    }),
  });
});

after(async () => {
  await sample.stop();
  remove();
});

/** What an admission that fills defaults into a list makes of a VMI. */
function filled(object: KubeObject): KubeObject {
  const { networks = [], ...spec } = objectAt(object, "spec");
  const given = Array.isArray(networks) ? networks.filter(isJsonObject) : [];
  return { ...object, spec: { ...spec, networks: given.map((network) => ({ pod: {}, ...network })) } };
}

interface Answer {
  readonly code: number;
  readonly body: JsonObject;
  readonly warnings: string;
}

function call(method: string, path: string, type: string, body: unknown, agent?: string): Promise<Answer> {
  const { token = "" } = loadKubeconfig(sample.kubeconfig);
  const headers = {
    authorization: `Bearer ${token}`,
    "content-type": type,
    ...(agent === undefined ? {} : { "user-agent": agent }),
  };
  return new Promise((resolve, reject) => {
    const sent = request(`${sample.server.url}${path}`, { method, ca: sample.server.caPem, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        const value: unknown = JSON.parse(Buffer.concat(chunks).toString());
        const { warning = "" } = response.headers;
        resolve({ code: response.statusCode ?? 0, body: isJsonObject(value) ? value : {}, warnings: String(warning) });
      });
    });
    sent.on("error", reject);
    sent.end(typeof body === "string" ? body : JSON.stringify(body));
  });
}

const APPLY = "application/apply-patch+yaml";
const maps = "/api/v1/namespaces/default/configmaps";
const vmis = (version: string) => `/apis/kubevirt.io/${version}/namespaces/default/virtualmachineinstances`;

const apply = (path: string, manager: string, body: unknown, more = "") =>
  call("PATCH", `${path}?fieldManager=${manager}${more}`, APPLY, body);
const get = (path: string) => call("GET", path, "application/json", "");
const map = (name: string, data?: JsonObject): JsonObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name },
  ...(data === undefined ? {} : { data }),
});

interface Owner {
  readonly manager: string;
  readonly operation: string;
  readonly apiVersion: string;
  readonly time: string;
  readonly fieldsType: string;
  readonly fieldsV1: JsonObject;
  readonly subresource?: string;
}

const owners = ({ body }: Answer) => (objectAt(body, "metadata")["managedFields"] ?? []) as readonly Owner[];
const causes = ({ body }: Answer) => (objectAt(body, "details")["causes"] ?? []) as readonly JsonObject[];

describe("an apply", () => {
  test("creates with 201, changes with 200, and writes nothing where nothing changes", async () => {
    const first = await apply(`${maps}/a1`, "one", "apiVersion: v1\nkind: ConfigMap\ndata:\n  a: '1'\n");
    assert.equal(first.code, 201, JSON.stringify(first.body));
    const [owner, ...others] = owners(first);
    assert.deepEqual(others, []);
    assert.match(owner?.time ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.deepEqual(
      { ...owner, time: "" },
      {
        manager: "one",
        operation: "Apply",
        apiVersion: "v1",
        time: "",
        fieldsType: "FieldsV1",
        fieldsV1: { "f:data": { "f:a": {} } },
      },
    );
    const again = await apply(`${maps}/a1`, "one", map("a1", { a: "1" }));
    assert.deepEqual([again.code, again.body], [200, first.body]);
    const changed = await apply(`${maps}/a1`, "one", map("a1", { b: "2" }));
    assert.deepEqual([changed.code, changed.body["data"]], [200, { b: "2" }]);
  });

  test("writes nothing where admission fills in what it filled in before", async () => {
    const vmi = {
      apiVersion: "kubevirt.io/v1",
      kind: "VirtualMachineInstance",
      metadata: { name: "filled" },
      spec: { domain: { devices: {} }, networks: [{ name: "a" }] },
    };
    const first = await apply(`${vmis("v1")}/filled`, "one", vmi);
    assert.deepEqual(objectAt(first.body, "spec")["networks"], [{ pod: {}, name: "a" }]);
    // The next second: a time that is written would differ.
    await until(
      "the next second",
      () => !new Date().toISOString().startsWith((owners(first)[0]?.time ?? "").slice(0, 19)),
    );
    const again = await apply(`${vmis("v1")}/filled`, "one", vmi);
    assert.deepEqual([again.code, again.body], [200, first.body]);
  });

  test("needs a manager, a form that is taken, and a whole identity", async () => {
    const path = `${maps}/a2`;
    const nobody = await call("PATCH", path, APPLY, map("a2"));
    assert.equal(nobody.code, 422);
    assert.equal(
      nobody.body["message"],
      'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
    );
    assert.equal((await apply(path, "x".repeat(129), map("a2"))).code, 422);
    assert.equal((await apply(path, "a%00b", map("a2"))).code, 422);
    const cbor = await call("PATCH", `${path}?fieldManager=x`, "application/apply-patch+cbor", "x");
    assert.equal(cbor.code, 415);
    assert.match(String(cbor.body["message"]), /accepted media types include: .*application\/apply-patch\+yaml/);
    const forced = await call("PATCH", `${path}?force=true`, "application/merge-patch+json", {});
    assert.match(String(forced.body["message"]), /force: Forbidden: may not be specified for non-apply patch/);
    assert.equal((await apply(path, "x", { data: {} })).code, 400);
    assert.equal((await apply(path, "x", { ...map("a2"), apiVersion: "v2" })).code, 400);
    assert.equal((await apply(path, "x", map("other"))).code, 400);
    assert.equal((await apply(path, "x", "a: [")).code, 400);
    assert.equal((await apply(path, "x", "- a")).code, 400);
    const owned = await apply(path, "x", { ...map("a2"), metadata: { name: "a2", managedFields: [] } });
    assert.deepEqual([owned.code, causes(owned)[0]?.["field"]], [422, "metadata.managedFields"]);
    assert.equal((await get(path)).code, 404);
  });

  test("that is a dry run stores nothing", async () => {
    assert.equal((await apply(`${maps}/a3`, "one", map("a3", { a: "1" }), "&dryRun=All")).code, 201);
    assert.equal((await get(`${maps}/a3`)).code, 404);
    const stored = await apply(`${maps}/a3`, "one", map("a3", { a: "1" }));
    const dry = await apply(`${maps}/a3`, "one", map("a3", { a: "2" }), "&dryRun=All");
    assert.deepEqual(dry.body["data"], { a: "2" });
    assert.deepEqual((await get(`${maps}/a3`)).body, stored.body);
  });

  test("counts the changes of kinds that Kubernetes counts them of", async () => {
    const generation = async (path: string) => objectAt((await get(path)).body, "metadata")["generation"];
    await apply(`${maps}/counted`, "one", map("counted", { a: "1" }));
    await apply(`${maps}/counted`, "one", map("counted", { a: "2" }));
    assert.equal(await generation(`${maps}/counted`), undefined);
    const slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    const identity = { apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", metadata: { name: "counted" } };
    for (const port of [80, 81]) {
      const slice = { ...identity, addressType: "IPv4", endpoints: [], ports: [{ name: "web", port }] };
      const applied = await apply(`${slices}/counted`, "one", slice);
      assert.ok(applied.code < 300, JSON.stringify(applied.body));
    }
    assert.equal(await generation(`${slices}/counted`), 2);
  });

  test("that conflicts answers 409 with who and what; force moves the field", async () => {
    await apply(`${maps}/a4`, "one", map("a4", { a: "1", b: "1" }));
    const refused = await apply(`${maps}/a4`, "two", map("a4", { a: "2", c: "2" }));
    assert.deepEqual(
      [refused.code, refused.body["reason"], refused.body["message"], causes(refused)],
      [
        409,
        "Conflict",
        'Apply failed with 1 conflict: conflict with "one": .data.a',
        [{ reason: "FieldManagerConflict", message: 'conflict with "one"', field: ".data.a" }],
      ],
    );
    const forced = await apply(`${maps}/a4`, "two", map("a4", { a: "2", c: "2" }), "&force=true");
    assert.deepEqual(forced.body["data"], { a: "2", b: "1", c: "2" });
    assert.deepEqual(
      owners(forced).map(({ manager, fieldsV1 }) => [manager, fieldsV1]),
      [
        ["one", { "f:data": { "f:b": {} } }],
        ["two", { "f:data": { "f:a": {}, "f:c": {} } }],
      ],
    );
  });

  test("of which too much is wrong is told how much, in an answer that can be read", async () => {
    const fields = (value: string) =>
      Object.fromEntries(Array.from({ length: 2_000 }, (_, index) => [`a-key-that-is-not-short-${index}`, value]));
    await apply(`${maps}/many`, "one", map("many", fields("1")));
    const conflicts = await apply(`${maps}/many`, "two", map("many", fields("2")));
    assert.equal(conflicts.code, 409);
    assert.match(String(conflicts.body["message"]), /^Apply failed with 2000 conflicts: .*\n- 1900 more fields$/s);
    const labelled = { ...map("many"), metadata: { name: "many", labels: fields("no label!") } };
    const refused = await apply(`${maps}/many`, "one", labelled);
    assert.equal(refused.code, 422);
    for (const answer of [conflicts, refused]) {
      assert.equal(causes(answer).at(-1)?.["message"], "1900 more causes are not listed here");
      assert.ok(JSON.stringify(answer.body).length < 64 * 1024);
    }
    await call("DELETE", `${maps}/many`, "application/json", "");
  });

  test("for a version of the object that is not the present one is refused, for one uid of none too", async () => {
    await apply(`${maps}/a5`, "one", map("a5"));
    const stale = { ...map("a5"), metadata: { name: "a5", resourceVersion: "1" } };
    assert.equal((await apply(`${maps}/a5`, "one", stale)).code, 409);
    const absent = { ...map("a6"), metadata: { name: "a6", uid: "u" } };
    assert.equal((await apply(`${maps}/a6`, "one", absent)).code, 409);
  });

  test("by many at once loses nothing", async () => {
    const names = Array.from({ length: 12 }, (_, index) => `m${index}`);
    const answers = await Promise.all(names.map((name) => apply(`${maps}/a7`, name, map("a7", { [name]: "1" }))));
    assert.deepEqual(answers.map(({ code }) => code).toSorted(), [...names.slice(1).map(() => 200), 201]);
    const after = await get(`${maps}/a7`);
    assert.deepEqual(after.body["data"], Object.fromEntries(names.map((name) => [name, "1"])));
    assert.equal(owners(after).length, 12);
  });
});

describe("owners of fields", () => {
  test("are kept for every kind of write, by fieldManager or by the program's name", async () => {
    const path = `${maps}/b1`;
    await call("POST", `${maps}`, "application/json", map("b1", { a: "1", b: "1", c: "1" }), "maker/v1 (linux)");
    await call("PATCH", path, "application/merge-patch+json", { data: { a: "2" } }, "merger/v1");
    const step = [{ op: "replace", path: "/data/b", value: "2" }];
    await call("PATCH", `${path}?fieldManager=steps`, "application/json-patch+json", step, "merger/v1");
    await call("PATCH", path, "application/strategic-merge-patch+json", { data: { d: "2" } }, "strategist/v1");
    const { body } = await get(path);
    const put = { ...body, data: { ...objectAt(body, "data"), c: "2" } };
    const after = await call("PUT", path, "application/json", put, "putter/v1");
    const told = owners(after).map(({ manager, operation, fieldsV1 }) => [
      manager,
      operation,
      objectAt(fieldsV1, "f:data"),
    ]);
    assert.deepEqual(Object.fromEntries(told.map(([manager, ...rest]) => [manager, rest])), {
      maker: ["Update", {}],
      merger: ["Update", { "f:a": {} }],
      steps: ["Update", { "f:b": {} }],
      strategist: ["Update", { "f:d": {} }],
      putter: ["Update", { "f:c": {} }],
    });
  });

  test("can be taken away from all, and then an apply finds what was there before", async () => {
    const path = `${maps}/b2`;
    await apply(path, "one", map("b2", { a: "1" }));
    const cleared = await call("PATCH", path, "application/merge-patch+json", { metadata: { managedFields: [{}] } });
    assert.deepEqual(owners(cleared), []);
    const kept = await call("PATCH", path, "application/merge-patch+json", { data: { b: "1" } });
    assert.deepEqual(owners(kept), []);
    const refused = await apply(path, "one", map("b2", { b: "2" }));
    assert.equal(causes(refused)[0]?.["message"], 'conflict with "before-first-apply" using v1');
  });

  test("of a Secret's words are those of its data, but where they are applied", async () => {
    const secrets = "/api/v1/namespaces/default/secrets";
    const secret = (name: string, stringData: object) => ({
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name },
      stringData,
    });
    const told = (answer: Answer) => owners(answer).map(({ manager, fieldsV1 }) => [manager, fieldsV1]);
    const made = await call("POST", secrets, "application/json", secret("b5", { a: "1" }), "maker/v1");
    assert.deepEqual(told(made), [["maker", { "f:data": { ".": {}, "f:a": {} }, "f:type": {} }]]);
    const more = { stringData: { b: "2" } };
    const merged = await call("PATCH", `${secrets}/b5`, "application/merge-patch+json", more, "merger/v1");
    assert.deepEqual(merged.body["data"], { a: "MQ==", b: "Mg==" });
    assert.deepEqual(told(merged), [
      ["maker", { "f:data": { ".": {}, "f:a": {} }, "f:type": {} }],
      ["merger", { "f:data": { "f:b": {} } }],
    ]);
    const applied = await apply(`${secrets}/b6`, "one", secret("b6", { a: "1" }));
    assert.deepEqual([applied.body["data"], applied.body["type"]], [{ a: "MQ==" }, "Opaque"]);
    assert.deepEqual(told(applied), [["one", { "f:stringData": { "f:a": {} } }]]);
  });

  test("of what a PUT makes are those of a creation; it makes what Kubernetes' own PUT does", async () => {
    const leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    const lease = {
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: { name: "b7" },
      spec: { holderIdentity: "a" },
    };
    const put = (path: string, body: object) => call("PUT", path, "application/json", body, "maker/v1");
    const versioned = { ...lease, metadata: { name: "b7", resourceVersion: "1" } };
    assert.equal((await put(`${leases}/b7`, versioned)).code, 404);
    assert.equal((await put(`${leases}/b8`, lease)).code, 400);
    const made = await put(`${leases}/b7`, lease);
    const whose = owners(made).map(({ manager, operation }) => `${manager} ${operation}`);
    assert.deepEqual([made.code, whose], [201, ["maker Update"]]);
    assert.equal((await put(`${leases}/b7`, lease)).code, 422, "what is there is replaced as it was read only");
    assert.equal((await put(`${maps}/b7`, map("b7", {}))).code, 404);
  });

  test("are refused where a client spoils them", async () => {
    const path = `${maps}/b3`;
    await apply(path, "one", map("b3", { a: "1" }));
    const wrong = { metadata: { managedFields: [{ manager: "x", operation: "Take", apiVersion: "v1" }] } };
    const refused = await call("PATCH", path, "application/merge-patch+json", wrong);
    assert.deepEqual([refused.code, causes(refused)[0]?.["field"]], [422, "metadata.managedFields[0].operation"]);
  });

  test("of a status are apart from those of the object", async () => {
    const vmi = { apiVersion: "kubevirt.io/v1", kind: "VirtualMachineInstance", metadata: { name: "b4" } };
    const spec = { domain: { devices: {} } };
    const made = await apply(`${vmis("v1")}/b4`, "user", { ...vmi, spec, status: { phase: "Running" } });
    assert.deepEqual([made.code, made.body["status"]], [201, undefined], JSON.stringify(made.body));
    const status = await apply(`${vmis("v1")}/b4/status`, "agent", { ...vmi, spec: {}, status: { phase: "Running" } });
    assert.equal(status.code, 200, JSON.stringify(status.body));
    assert.deepEqual(
      owners(status).map(({ manager, subresource, fieldsV1 }) => [manager, subresource, fieldsV1]),
      [
        ["agent", "status", { "f:status": { "f:phase": {} } }],
        ["user", undefined, { "f:spec": { "f:domain": { "f:devices": {} } } }],
      ],
    );
    const refused = await apply(`${vmis("v1")}/b4/status`, "other", { ...vmi, status: { phase: "Failed" } });
    assert.match(String(refused.body["message"]), /conflict with "agent" with subresource "status": \.status\.phase/);
    assert.equal((await apply(`${vmis("v1")}/none/status`, "agent", { ...vmi, metadata: {} })).code, 404);
    // Who applies is the same in every version of the kind.
    const older = await apply(`${vmis("v1alpha3")}/b4`, "user", { ...vmi, apiVersion: "kubevirt.io/v1alpha3", spec });
    assert.equal(older.code, 200, JSON.stringify(older.body));
    assert.equal(owners(older).length, 2);
  });
});

describe("lists", () => {
  test("of Kubernetes' kinds merge by their keys, and of KubeVirt's go as one", async () => {
    const pods = "/api/v1/namespaces/default/pods/c1";
    const pod = (containers: unknown) => ({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "c1" },
      spec: { containers },
    });
    const first = [{ name: "web", image: "web:1", ports: [{ containerPort: 80 }] }];
    assert.equal((await apply(pods, "one", pod(first))).code, 201);
    const second = [
      { name: "side", image: "side:1" },
      { name: "web", ports: [{ containerPort: 80, protocol: "UDP" }], env: [{ name: "A", value: "1" }] },
    ];
    const both = await apply(pods, "two", pod(second));
    assert.deepEqual(objectAt(both.body, "spec")["containers"], [
      { name: "side", image: "side:1" },
      {
        name: "web",
        image: "web:1",
        ports: [
          { containerPort: 80, protocol: "TCP" },
          { containerPort: 80, protocol: "UDP" },
        ],
        env: [{ name: "A", value: "1" }],
      },
    ]);
    const left = await apply(pods, "two", pod([{ name: "web" }]));
    assert.deepEqual(objectAt(left.body, "spec")["containers"], [
      { name: "web", image: "web:1", ports: [{ containerPort: 80, protocol: "TCP" }] },
    ]);
    const twice = await apply(pods, "two", pod([{ name: "web" }, { name: "web" }]));
    assert.deepEqual([twice.code, causes(twice)[0]?.["field"]], [422, "spec.containers"]);

    const vmi = (networks: unknown) => ({
      apiVersion: "kubevirt.io/v1",
      kind: "VirtualMachineInstance",
      metadata: { name: "c2" },
      spec: { domain: { devices: {} }, networks },
    });
    assert.equal((await apply(`${vmis("v1")}/c2`, "one", vmi([{ name: "a", pod: {} }]))).code, 201);
    const refused = await apply(`${vmis("v1")}/c2`, "two", vmi([{ name: "b", pod: {} }]));
    assert.deepEqual(
      causes(refused).map(({ field }) => field),
      [".spec.networks"],
    );
  });

  test("of users' kinds merge as their schema says", async () => {
    const items = {
      type: "object",
      required: ["name"],
      properties: { name: { type: "string" }, count: { type: "integer" } },
    };
    const keyed = { type: "array", items, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"] };
    const set = { type: "array", items: { type: "string" }, "x-kubernetes-list-type": "set" };
    const plain = { type: "array", items: { type: "string" } };
    const fixed = { type: "object", additionalProperties: { type: "string" }, "x-kubernetes-map-type": "atomic" };
    const spec = { type: "object", properties: { keyed, set, plain, fixed } };
    const names = { plural: "orders", kind: "Order" };
    const version = {
      name: "v1",
      served: true,
      storage: true,
      schema: { openAPIV3Schema: { type: "object", properties: { spec } } },
    };
    const crd = {
      apiVersion: "apiextensions.k8s.io/v1",
      kind: "CustomResourceDefinition",
      metadata: { name: "orders.shop.test" },
      spec: { group: "shop.test", scope: "Namespaced", names, versions: [version] },
    };
    const made = await apply("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/orders.shop.test", "me", crd);
    assert.equal(made.code, 201, JSON.stringify(made.body));
    const path = "/apis/shop.test/v1/namespaces/default/orders/o1";
    const order = (given: JsonObject) => ({
      apiVersion: "shop.test/v1",
      kind: "Order",
      metadata: { name: "o1" },
      spec: given,
    });
    await apply(path, "one", order({ keyed: [{ name: "a", count: 1 }], set: ["x"] }));
    const both = await apply(
      path,
      "two",
      order({ keyed: [{ name: "b" }], set: ["y"], plain: ["p"], fixed: { a: "1" } }),
    );
    assert.deepEqual(both.body["spec"], {
      keyed: [{ name: "a", count: 1 }, { name: "b" }],
      set: ["x", "y"],
      plain: ["p"],
      fixed: { a: "1" },
    });
    const refused = await apply(path, "one", order({ plain: ["q"], fixed: { b: "1" } }));
    assert.deepEqual(
      causes(refused)
        .map(({ field }) => field)
        .toSorted(),
      [".spec.fixed", ".spec.plain"],
    );
    const unknown = await apply(path, "one", order({ plains: ["q"] }));
    assert.match(unknown.warnings, /unknown field \\"spec\.plains\\" \(did you mean \\"plain\\"\?\)/);
    assert.deepEqual([unknown.code, objectAt(unknown.body, "spec")["plains"]], [200, undefined]);
    const strict = await apply(path, "one", order({ plains: ["q"] }), "&fieldValidation=Strict");
    assert.equal(strict.code, 400);
    assert.match((await apply(path, "one", order({ plains: [] }), "&fieldValidation=Ignore")).warnings, /^$/);
  });
});
