import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, mkdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { request } from "node:https";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { checkServerIdentity, connect } from "node:tls";
import { pino } from "pino";
import { writeMessage } from "../../src/apiserver/protobuf.ts";
import { startApiServer } from "../../src/apiserver/server.ts";
import { makeKubeClient } from "../../src/client/client.ts";
import { loadKubeconfig } from "../../src/client/kubeconfig.ts";
import type { KubeObject } from "../../src/model/api/resource.ts";
import { isApiError } from "../../src/model/api/status.ts";
import { isFault } from "../../src/model/fault.ts";
import {
  allowAll,
  configMap,
  configMaps,
  makeFolder,
  namespaces,
  pods,
  type Sample,
  sampleDefinitions,
  startSample,
  until,
  widget,
  widgets,
} from "./apiserver-sample.ts";

const { folder, remove } = makeFolder();
let sample: Sample;

before(async () => {
  sample = await startSample(folder, {
    admission: async (asked) => {
      if (asked.name === "forbidden") {
        return { allowed: false, status: 403, reason: "Forbidden", message: "not this one", causes: [], warnings: [] };
      }
      if (asked.name === "invalid" && asked.operation === "CREATE") {
        const causes = [{ reason: "FieldValueInvalid", field: "spec.size", message: "Invalid value: too odd" }];
        return { allowed: false, status: 422, reason: "Invalid", message: "", causes, warnings: ["and a warning"] };
      }
      const mutated = asked.name === "mutated" ? { ...asked.object, spec: { size: "defaulted" } } : asked.object;
      return { allowed: true, object: mutated, warnings: asked.name === "warned" ? ['mind the "gap" ✓'] : [] };
    },
  });
});

after(async () => {
  await sample.stop();
  remove();
});

const ref = (name: string) => ({ namespace: "default", name });

interface Answer {
  readonly code: number;
  readonly body: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** One request as any HTTP client would send it. */
function raw(
  method: string,
  path: string,
  options: { token?: string | null; body?: string | Buffer; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const token = options.token === undefined ? readFileSync(join(folder, "pki/token"), "utf8").trim() : options.token;
  return new Promise((resolve, reject) => {
    const call = request(
      `${sample.server.url}${path}`,
      {
        method,
        ca: sample.server.caPem,
        headers: {
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...(options.body === undefined ? {} : { "content-type": "application/json" }),
          ...options.headers,
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          const json = (response.headers["content-type"] ?? "").startsWith("application/json");
          resolve({
            code: response.statusCode ?? 0,
            body: json ? JSON.parse(text) : { text },
            headers: response.headers,
          });
        });
      },
    );
    call.on("error", reject);
    call.end(options.body);
  });
}

describe("the door", () => {
  test("is shut to whoever has no token, or another one, on every path", async () => {
    for (const token of [null, "x", "", "Bearer"]) {
      for (const path of ["/readyz", "/version", "/api/v1/configmaps", "/nowhere"]) {
        const { code, body, headers } = await raw("GET", path, { token });
        assert.equal(code, 401);
        assert.equal(headers["www-authenticate"], "Bearer");
        assert.deepEqual(body, {
          kind: "Status",
          apiVersion: "v1",
          metadata: {},
          status: "Failure",
          message: "Unauthorized",
          reason: "Unauthorized",
          code: 401,
        });
      }
    }
    assert.deepEqual((await raw("GET", "/readyz")).body, { text: "ok" });
  });

  test("has its keys in files that only the owner reads", () => {
    for (const path of [
      "kubeconfig",
      "pki/ca.key",
      "pki/server.key",
      "pki/token",
      "store.db",
      "store.db-wal",
      "lock.db",
    ]) {
      assert.equal(statSync(join(folder, path)).mode & 0o777, 0o600, path);
    }
    for (const path of [".", "pki"]) assert.equal(statSync(join(folder, path)).mode & 0o777, 0o700, path);
  });

  test("answers to all names of the loopback with a certificate of its CA", async () => {
    const { port, caPem } = sample.server;
    for (const name of ["localhost", "127.0.0.1", "::1"]) {
      const socket = connect({
        host: "127.0.0.1",
        port,
        ca: caPem,
        checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
      });
      await once(socket, "secureConnect");
      assert.equal(socket.authorized, true, name);
      socket.destroy();
    }
  });

  test("stores no object that patches made larger than two bodies, and the one before stays", async () => {
    await sample.client.create(configMaps, configMap("growing"));
    const ref = { namespace: "default", name: "growing" };
    const grow = (key: string) =>
      sample.client.patch(configMaps, ref, "merge", { data: { [key]: "x".repeat(2.5 * 1024 * 1024) } });
    await grow("one");
    const { metadata } = await grow("two");
    await assert.rejects(grow("three"), (thrown) => isApiError(thrown, "RequestEntityTooLarge"));
    assert.equal((await sample.client.get(configMaps, ref)).metadata.resourceVersion, metadata.resourceVersion);
    await sample.client.delete(configMaps, ref);
  });

  test("takes no more fields than it can go through without keeping others waiting", async () => {
    const data = (from: number, count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${from + index}`, ""]));
    const tooMany = (thrown: unknown) =>
      isApiError(thrown, "RequestEntityTooLarge") && /fields and list elements/.test(thrown.message);
    await assert.rejects(sample.client.create(configMaps, configMap("many", data(0, 50_000))), tooMany);
    await sample.client.create(configMaps, configMap("many", data(0, 30_000)));
    const more = sample.client.patch(configMaps, ref("many"), "merge", { data: data(30_000, 30_000) });
    await assert.rejects(more, tooMany);
    const { data: held } = (await sample.client.get(configMaps, ref("many"))) as { data?: object };
    assert.equal(Object.keys(held ?? {}).length, 30_000);
    await sample.client.delete(configMaps, ref("many"));
  });

  test("refuses bodies that are too large, too deep, no JSON, or reach for a prototype", async () => {
    const path = "/api/v1/namespaces/default/configmaps";
    const large = await raw("POST", path, { body: Buffer.alloc(3 * 1024 * 1024 + 1, 32) });
    assert.deepEqual([large.code, large.body["reason"]], [413, "RequestEntityTooLarge"]);
    const deep = await raw("POST", path, { body: `{"a":${"[".repeat(5_000)}${"]".repeat(5_000)}}` });
    assert.equal(deep.code, 400);
    assert.match(String(deep.body["message"]), /nested deeper/);
    assert.equal((await raw("POST", path, { body: "{" })).code, 400);
    for (const number of ["1e999", "[-1e999]"]) {
      const infinite = await raw("POST", path, { body: `{"metadata":{"name":"p"},"x":${number}}` });
      assert.equal(infinite.code, 400);
      assert.match(String(infinite.body["message"]), /a number that is too large/);
    }
    const polluting = await raw("POST", path, { body: '{"metadata":{"name":"p"},"__proto__":{"x":1}}' });
    assert.equal(polluting.code, 400);
    const xml = await raw("POST", path, { body: "<a/>", headers: { "content-type": "text/xml" } });
    assert.equal(xml.code, 415);
    const yaml = await raw("POST", path, {
      body: "metadata: {name: from-yaml}\ndata: {a: b}",
      headers: { "content-type": "application/yaml" },
    });
    assert.equal(yaml.code, 201);
  });

  test("refuses a whole number that it would round, wherever it stands", async () => {
    const path = "/api/v1/namespaces/default/configmaps";
    const said = "the body is refused: x-any.id is 9007199254740993, which is not kept exactly";
    const written = '{"metadata":{"name":"exact"},"x-any":{"id":9007199254740993}}';
    for (const type of ["application/json", "application/yaml"]) {
      const { code, body } = await raw("POST", path, { body: written, headers: { "content-type": type } });
      assert.deepEqual([code, body["reason"]], [400, "BadRequest"]);
      assert.ok(String(body["message"]).startsWith(said), JSON.stringify(body));
    }
    const exact = written.replace("9007199254740993", "9007199254740991");
    assert.equal((await raw("POST", `${path}?dryRun=All`, { body: exact })).code, 201);
  });

  test("refuses options of a write that are none as Kubernetes does", async () => {
    const path = "/api/v1/namespaces/default/configmaps";
    for (const [method, at, option, message] of [
      ["POST", path, "dryRun=Some", 'dryRun: Unsupported value: []string{"Some"}: supported values: "All"'],
      [
        "PUT",
        `${path}/none`,
        "fieldValidation=Loose",
        'fieldValidation: Unsupported value: "Loose": supported values: "", "Ignore", "Strict", "Warn"',
      ],
      [
        "DELETE",
        `${path}/none`,
        "propagationPolicy=Some",
        'propagationPolicy: Unsupported value: "Some": supported values: "Foreground", "Background", "Orphan", "nil"',
      ],
    ] as const) {
      const body = '{"metadata":{"name":"none"}}';
      const { code, body: refused } = await raw(method, `${at}?${option}`, method === "DELETE" ? {} : { body });
      const kind = { POST: "CreateOptions", PUT: "UpdateOptions", DELETE: "DeleteOptions" }[method];
      assert.deepEqual([code, refused["message"]], [422, `${kind}.meta.k8s.io "" is invalid: ${message}`]);
    }
  });

  test("takes in protobuf no more, and no other names, than in JSON", async () => {
    const entry = (key: string) => {
      const said = writeMessage([[1, key]]);
      return [2, said] as const;
    };
    const post = (keys: readonly string[]) => {
      const metadata = writeMessage([[1, "wired"]]);
      const type = [
        [1, "v1"],
        [2, "ConfigMap"],
      ] as const;
      const content = writeMessage([
        [1, writeMessage(type)],
        [2, writeMessage([[1, metadata], ...keys.map(entry)])],
      ]);
      return raw("POST", "/api/v1/namespaces/default/configmaps?dryRun=All", {
        body: Buffer.concat([Buffer.from("k8s\0", "latin1"), content]),
        headers: { "content-type": "application/vnd.kubernetes.protobuf" },
      });
    };
    assert.equal((await post(["a"])).code, 201);
    assert.equal((await post(["__proto__"])).code, 400);
    assert.equal((await post(Array.from({ length: 50_000 }, (_, index) => `k${index}`))).code, 413);
  });

  test("indents what people read, and what is asked for so", async () => {
    const token = readFileSync(join(folder, "pki/token"), "utf8").trim();
    const textOf = async (path: string, agent?: string): Promise<string> => {
      const headers = { authorization: `Bearer ${token}`, ...(agent === undefined ? {} : { "user-agent": agent }) };
      const call = request(`${sample.server.url}${path}`, { ca: sample.server.caPem, headers }).end();
      const [response] = await once(call, "response");
      return Buffer.concat(await response.toArray()).toString();
    };
    const path = "/api/v1/namespaces/default";
    const plain = await textOf(path);
    assert.doesNotMatch(plain, /\n./);
    const pretty = JSON.stringify(JSON.parse(plain), null, 2);
    assert.equal(await textOf(path, "curl/7.88.1"), pretty);
    assert.equal(await textOf(`${path}?pretty=true`), pretty);
    assert.equal(await textOf(`${path}?pretty=false`, "curl/7.88.1"), plain);
    assert.match(await textOf("/api/v1/namespaces/none", "Mozilla/5.0 (X11)"), /^\{\n {2}"kind": "Status",\n/);
  });

  test("answers paths and methods that lead nowhere", async () => {
    assert.equal((await raw("GET", "/api/v1/nothings")).code, 404);
    assert.equal((await raw("GET", "/apis/example.io/v2")).code, 404);
    assert.equal((await raw("GET", "/api/v1/namespaces/default/configmaps/a/b/c")).code, 404);
    assert.equal((await raw("GET", "/api/v1/configmaps/%zz")).code, 400);
    assert.equal((await raw("PUT", "/api/v1/configmaps", { body: "{}" })).code, 405);
    assert.equal((await raw("GET", "/api/v1/pods", { headers: { accept: "text/html" } })).code, 406);
  });
});

describe("objects", () => {
  test("get a uid, a time, a generation and a resourceVersion; status is for its subresource", async () => {
    const made = await sample.client.create(widgets, { ...widget("one"), status: { phase: "Mine" } });
    assert.match(made.metadata.uid ?? "", /^[0-9a-f-]{36}$/);
    assert.match(made.metadata.creationTimestamp ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.equal(made.metadata.generation, 1);
    assert.equal(made["status"], undefined);
    assert.deepEqual(await sample.client.get(widgets, ref("one")), made);

    const asked = await sample.client.update(widgets, { ...made, spec: { size: "small" }, status: { phase: "No" } });
    assert.equal(asked.metadata.generation, 2);
    assert.equal(asked["status"], undefined);

    const told = await sample.client.updateStatus(widgets, { ...asked, spec: { size: "x" }, status: { phase: "Up" } });
    assert.equal(told.metadata.generation, 2);
    assert.deepEqual([told["spec"], told["status"]], [{ size: "small" }, { phase: "Up" }]);

    const patched = await sample.client.patchStatus(widgets, ref("one"), "merge", { status: { phase: "Down" } });
    assert.deepEqual([patched["spec"], patched["status"]], [{ size: "small" }, { phase: "Down" }]);

    const labelled = await sample.client.patch(widgets, ref("one"), "merge", { metadata: { labels: { a: "b" } } });
    assert.equal(labelled.metadata.generation, 2);
    const same = await sample.client.patch(widgets, ref("one"), "merge", { metadata: { labels: { a: "b" } } });
    assert.equal(same.metadata.resourceVersion, labelled.metadata.resourceVersion);
  });

  test("of which two writers race: one is refused with 409", async () => {
    const made = await sample.client.create(widgets, widget("raced"));
    const writes = await Promise.allSettled(
      ["red", "blue"].map((colour) => sample.client.update(widgets, { ...made, spec: { size: "large", colour } })),
    );
    const refused = writes.filter((write) => write.status === "rejected");
    assert.equal(refused.length, 1);
    assert.ok(isApiError(refused[0]?.reason, "Conflict"));
    assert.equal(refused[0].reason.httpStatus, 409);
    assert.match(
      refused[0].reason.message,
      /^Operation cannot be fulfilled on widgets\.example\.io "raced": the object/,
    );
  });

  test("that many patch at once lose no patch", async () => {
    await sample.client.create(configMaps, configMap("busy"));
    const names = Array.from({ length: 10 }, (_, index) => `key${index}`);
    await Promise.all(
      names.map((name) => sample.client.patch(configMaps, ref("busy"), "merge", { data: { [name]: "1" } })),
    );
    const { data } = await sample.client.get<KubeObject & { data: object }>(configMaps, ref("busy"));
    assert.deepEqual(Object.keys(data).toSorted(), names);
  });

  test("keep what only the API decides", async () => {
    const made = await sample.client.create(configMaps, configMap("fixed"));
    const forged = { ...made.metadata, creationTimestamp: "2000-01-01T00:00:00Z", generation: 99 };
    const updated = await sample.client.update(configMaps, { ...made, metadata: forged, data: { a: "b" } });
    assert.equal(updated.metadata.creationTimestamp, made.metadata.creationTimestamp);
    assert.equal(updated.metadata.generation, 2);
    await assert.rejects(
      sample.client.update(configMaps, { ...updated, metadata: { ...updated.metadata, uid: "another" } }),
      (thrown) => isApiError(thrown, "Conflict"),
    );
  });

  test("say nothing of themselves by empty texts", async () => {
    const empty = { uid: "", resourceVersion: "", generateName: "" };
    const made = await sample.client.create(configMaps, {
      ...configMap("bare"),
      metadata: { name: "bare", namespace: "default", ...empty },
    });
    assert.equal(made.metadata.generateName, undefined);
    const metadata = { ...made.metadata, ...empty };
    const updated = await sample.client.update(configMaps, { ...made, metadata, data: { a: "b" } });
    assert.deepEqual([updated.metadata.uid, updated["data"]], [made.metadata.uid, { a: "b" }]);
    await sample.client.delete(configMaps, ref("bare"));
  });

  test("are replaced as they were read only, but for kinds that Kubernetes replaces whatever is there", async () => {
    const made = await sample.client.create(widgets, widget("read-first"));
    const path = "/apis/example.io/v1/namespaces/default/widgets/read-first";
    for (const resourceVersion of [undefined, "", "0"]) {
      const body = JSON.stringify({ ...made, metadata: { ...made.metadata, resourceVersion } });
      for (const at of [path, `${path}/status`, `${path}?dryRun=All`]) {
        const { code, body: refused } = await raw("PUT", at, { body });
        const message = "Invalid value: 0x0: must be specified for an update";
        const field = "metadata.resourceVersion";
        assert.equal(code, 422);
        assert.equal(refused["message"], `widgets.example.io "read-first" is invalid: ${field}: ${message}`);
        const causes = [{ reason: "FieldValueInvalid", message, field }];
        assert.deepEqual(refused["details"], { name: "read-first", group: "example.io", kind: "widgets", causes });
      }
    }
    const unversioned = JSON.stringify({ metadata: { resourceVersion: null }, spec: { size: "small" } });
    const headers = { "content-type": "application/merge-patch+json" };
    assert.equal((await raw("PATCH", path, { body: unversioned, headers })).code, 422);
    assert.equal((await raw("PUT", path.replace("read-first", "nobody"), { body: "{}" })).code, 404);
    assert.deepEqual(await sample.client.get(widgets, ref("read-first")), made);
    const replaced = await sample.client.update(widgets, { ...made, spec: { size: "small" } });
    assert.deepEqual(replaced["spec"], { size: "small" });
    await sample.client.delete(widgets, ref("read-first"));

    await sample.client.create(configMaps, configMap("whatever"));
    const blind = configMap("whatever", { a: "b" });
    for (const resourceVersion of [undefined, "0"]) {
      const metadata = { ...blind.metadata, ...(resourceVersion === undefined ? {} : { resourceVersion }) };
      const { data } = await sample.client.update<KubeObject & { data?: object }>(configMaps, { ...blind, metadata });
      assert.deepEqual(data, { a: "b" });
    }
    await sample.client.delete(configMaps, ref("whatever"));
  });

  test("are named by the server when they ask for it", async () => {
    const body = JSON.stringify({ metadata: { generateName: "gen-" } });
    const { code, body: made } = await raw("POST", "/api/v1/namespaces/default/configmaps", { body });
    assert.equal(code, 201);
    assert.match(String((made["metadata"] as { name: string }).name), /^gen-[a-z0-9]{5}$/);
    for (const generateName of ["gen!", "-gen", "gen.-", "Gen-"]) {
      const { code: refused, body: status } = await raw("POST", "/api/v1/namespaces/default/configmaps", {
        body: JSON.stringify({ metadata: { generateName } }),
      });
      const { causes } = (status["details"] ?? {}) as { causes?: { field: string }[] };
      assert.deepEqual([refused, causes?.map(({ field }) => field)], [422, ["metadata.generateName"]]);
    }
  });

  test("that cannot be are refused with Kubernetes' reasons and causes", async () => {
    const create = (object: KubeObject) => sample.client.create(widgets, object);
    const refusal = async (work: Promise<unknown>) => {
      try {
        await work;
      } catch (thrown) {
        assert.ok(isApiError(thrown), String(thrown));
        return thrown.status;
      }
      throw new Error("the call was not refused");
    };
    const nameless = await refusal(create(widget("Not A Name")));
    assert.deepEqual([nameless.code, nameless.reason], [422, "Invalid"]);
    assert.equal(nameless.details?.causes?.[0]?.field, "metadata.name");

    const typed = await refusal(create({ ...widget("typed"), spec: { size: 3, parts: [1] } }));
    assert.deepEqual([typed.code, typed.details?.kind, typed.details?.group], [422, "Widget", "example.io"]);
    assert.deepEqual(
      typed.details?.causes?.map(({ field, reason }) => [field, reason]),
      [
        ["spec.size", "FieldValueTypeInvalid"],
        ["spec.parts[0]", "FieldValueTypeInvalid"],
      ],
    );

    const missing = await refusal(create({ ...widget("missing"), spec: {} }));
    assert.deepEqual(
      missing.details?.causes?.map(({ field, reason }) => [field, reason]),
      [["spec.size", "FieldValueRequired"]],
    );

    await create(widget("twice"));
    const twice = await refusal(create(widget("twice")));
    assert.deepEqual([twice.code, twice.reason], [409, "AlreadyExists"]);
    assert.equal(twice.message, 'widgets.example.io "twice" already exists');

    const absent = await refusal(sample.client.get(widgets, ref("absent")));
    assert.deepEqual(absent, {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: 'widgets.example.io "absent" not found',
      reason: "NotFound",
      details: { name: "absent", group: "example.io", kind: "widgets" },
      code: 404,
    });

    const described = (size: number) => create(widget("noted", "large", { annotations: { a: "é".repeat(size) } }));
    const noted = await refusal(described(128 * 1024));
    assert.deepEqual(
      noted.details?.causes?.map(({ field, reason }) => [field, reason]),
      [["metadata.annotations", "FieldValueTooLong"]],
    );
    await described(128 * 1024 - 1);

    const amount = { metadata: { name: "p", namespace: "default" }, apiVersion: "v1", kind: "Pod" };
    const resources = { requests: { cpu: "9".repeat(100_000) } };
    const container = { name: "c", image: "i", resources };
    const costly = await refusal(sample.client.create(pods, { ...amount, spec: { containers: [container] } }));
    assert.equal(costly.details?.causes?.[0]?.field, "spec.containers[0].resources.requests.cpu");

    const nowhere = await refusal(create(widget("a", "large", { namespace: "nowhere" })));
    assert.deepEqual([nowhere.code, nowhere.message], [404, 'namespaces "nowhere" not found']);

    const forbidden = await refusal(create(widget("forbidden")));
    assert.deepEqual([forbidden.code, forbidden.reason], [403, "Forbidden"]);
    assert.equal(forbidden.message, 'widgets.example.io "forbidden" is forbidden: not this one');

    const owner = { apiVersion: "v1", kind: "Pod", name: "p", controller: true };
    const owners = ["a", "b"].map((uid) => ({ ...owner, uid }));
    const owned = await refusal(create(widget("owned", "large", { ownerReferences: owners })));
    assert.match(owned.message ?? "", /Only one reference can have Controller set to true\. .* Pod p and Pod p/);
    const finalized = await refusal(create(widget("finalized", "large", { finalizers: ["no name!"] })));
    assert.match(finalized.message ?? "", /metadata\.finalizers: Invalid value: \["no name!"\]/);

    const invalid = await refusal(create(widget("invalid")));
    assert.equal(invalid.message, 'Widget.example.io "invalid" is invalid: spec.size: Invalid value: too odd');
  });

  test("with unknown fields: refused, warned of, or taken, as asked", async () => {
    const odd = { ...widget("odd"), spec: { size: "large", colur: "red" } };
    await assert.rejects(sample.client.create(widgets, odd, { fieldValidation: "Strict" }), (thrown) => {
      assert.ok(isApiError(thrown, "BadRequest"));
      assert.match(thrown.message, /strict decoding error: unknown field "spec\.colur" \(did you mean "colour"\?\)/);
      return true;
    });
    const warned: string[] = [];
    const hear = { dryRun: true, warnings: (texts: readonly string[]) => warned.push(...texts) };
    await sample.client.create(widgets, odd, { ...hear, fieldValidation: "Warn" });
    assert.deepEqual(warned, ['unknown field "spec.colur" (did you mean "colour"?)']);
    await sample.client.create(widgets, odd, { ...hear, fieldValidation: "Ignore" });
    assert.equal(warned.length, 1);
  });

  test("with fields that are named twice: refused, warned of, or the last is taken, as asked", async () => {
    const path = "/api/v1/namespaces/default/configmaps?dryRun=All&fieldValidation=";
    const json = '{"metadata":{"name":"twice"},"data":{"a":"1","a":"2"}}';
    const yaml = "metadata: {name: twice}\ndata:\n  a: '1'\n  a: '2'\n";
    const words = { json: 'duplicate field "data.a"', yaml: 'line 4: key "a" already set in map' };
    for (const [form, body] of Object.entries({ json, yaml })) {
      const post = (mode: string) =>
        raw("POST", `${path}${mode}`, { body, headers: { "content-type": `application/${form}` } });
      const said = words[form === "json" ? "json" : "yaml"];
      const strict = await post("Strict");
      assert.deepEqual([strict.code, strict.body["reason"]], [400, "BadRequest"]);
      assert.equal(
        strict.body["message"],
        `ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: ${said}`,
      );
      const warned = await post("Warn");
      assert.deepEqual([warned.code, warned.body["data"]], [201, { a: "2" }]);
      assert.equal(warned.headers["warning"], `299 - "${said.replaceAll('"', '\\"')}"`);
      const ignored = await post("Ignore");
      assert.deepEqual([ignored.code, ignored.body["data"], ignored.headers["warning"]], [201, { a: "2" }, undefined]);
    }
    const patch = await raw("PATCH", "/api/v1/namespaces/default?fieldValidation=Strict", {
      body: '{"metadata":{"labels":{"a":"1","a":"2"}}}',
      headers: { "content-type": "application/merge-patch+json" },
    });
    assert.equal(patch.code, 400);
    assert.match(String(patch.body["message"]), /duplicate field "metadata\.labels\.a"/);
  });

  test("that are refused carry every warning that was found before", async () => {
    const unknown = '299 - "unknown field \\"spec.colur\\" (did you mean \\"colour\\"?)"';
    const path = "/apis/example.io/v1/namespaces/default/widgets";
    const odd = (name: string, size: unknown = "large") =>
      JSON.stringify({ ...widget(name), spec: { size, colur: "red" } });
    const post = async (body: string) => {
      const { body: status, headers } = await raw("POST", path, { body });
      return [status["reason"], headers["warning"]];
    };
    assert.deepEqual(await post(odd("ill-typed", 3)), ["Invalid", unknown]);
    assert.deepEqual(await post(odd("invalid")), ["Invalid", `${unknown}, 299 - "and a warning"`]);
    assert.deepEqual(await post(odd("forbidden")), ["Forbidden", unknown]);
    await sample.client.create(widgets, widget("there"));
    assert.deepEqual(await post(odd("there")), ["AlreadyExists", unknown]);
    for (const [type, query, reason] of [
      ["merge-patch", "", "Invalid"],
      ["apply-patch", "?fieldManager=other", "Conflict"],
    ] as const) {
      const headers = { "content-type": `application/${type}+${reason === "Conflict" ? "yaml" : "json"}` };
      const { body, headers: told } = await raw("PATCH", `${path}/there${query}`, { body: odd("there", 3), headers });
      assert.deepEqual([body["reason"], told["warning"]], [reason, unknown]);
    }
    await sample.client.delete(widgets, ref("there"));
  });

  test("are changed and warned of by admission", async () => {
    assert.deepEqual((await sample.client.create(widgets, widget("mutated")))["spec"], { size: "defaulted" });
    const warned: string[] = [];
    await sample.client.create(widgets, widget("warned"), { warnings: (texts) => warned.push(...texts) });
    assert.deepEqual(warned, ['mind the "gap" ✓']);
  });

  test("on dry run are answered and not stored", async () => {
    const dry = await sample.client.create(widgets, widget("dry"), { dryRun: true });
    assert.ok(dry.metadata.uid);
    await assert.rejects(sample.client.get(widgets, ref("dry")), (thrown) => isApiError(thrown, "NotFound"));
    await sample.client.create(widgets, widget("dry"));
    const patched = await sample.client.patch(widgets, ref("dry"), "merge", { spec: { size: "s" } }, { dryRun: true });
    assert.deepEqual(patched["spec"], { size: "s" });
    await sample.client.delete(widgets, ref("dry"), { dryRun: true });
    assert.deepEqual((await sample.client.get(widgets, ref("dry")))["spec"], { size: "large" });
  });

  test("that wait for finalizers are shown on a dry run of their deletion as they would be", async () => {
    const path = "/apis/example.io/v1/namespaces/default/widgets/held-dry";
    const made = await sample.client.create(widgets, widget("held-dry", "large", { finalizers: ["example.io/held"] }));
    const { code, body } = await raw("DELETE", `${path}?dryRun=All&propagationPolicy=Foreground`);
    const shown = body as unknown as KubeObject;
    assert.equal(code, 200);
    assert.match(shown.metadata.deletionTimestamp ?? "", /^\d{4}-/);
    assert.deepEqual([shown.kind, shown.metadata.uid, shown.metadata.generation], ["Widget", made.metadata.uid, 2]);
    assert.deepEqual(await sample.client.get(widgets, ref("held-dry")), made);
    await sample.client.patch(widgets, ref("held-dry"), "merge", { metadata: { finalizers: null } });
    const { body: free } = await raw("DELETE", `${path}?dryRun=All`);
    assert.deepEqual([free["kind"], free["status"]], ["Status", "Success"]);
    await sample.client.delete(widgets, ref("held-dry"));

    const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: "full" } };
    await sample.client.create(namespaces, namespace);
    await sample.client.create(configMaps, { ...configMap("in"), metadata: { name: "in", namespace: "full" } });
    const { body: full } = await raw("DELETE", "/api/v1/namespaces/full?dryRun=All");
    assert.deepEqual([full["kind"], full["status"]], ["Namespace", { phase: "Terminating" }]);
    assert.deepEqual((await sample.client.get(namespaces, { name: "full" }))["status"], { phase: "Active" });
    await sample.client.delete(namespaces, { name: "full" });
  });

  test("grow on dry run no larger than they are stored", async () => {
    await sample.client.create(configMaps, configMap("grows"));
    const grow = (key: string, dryRun: boolean) =>
      sample.client.patch(configMaps, ref("grows"), "merge", { data: { [key]: "x".repeat(2_900_000) } }, { dryRun });
    for (const key of ["a", "b"]) await grow(key, false);
    for (const dryRun of [true, false]) {
      await assert.rejects(grow("c", dryRun), (thrown) => isApiError(thrown, "RequestEntityTooLarge"));
    }
    await sample.client.delete(configMaps, ref("grows"));
  });

  test("take the patches of their kind", async () => {
    await sample.client.create(widgets, widget("patched"));
    const json = [
      { op: "test", path: "/spec/size", value: "large" },
      { op: "add", path: "/spec/parts", value: ["a"] },
      { op: "add", path: "/spec/parts/-", value: "b" },
    ];
    assert.deepEqual((await sample.client.patch(widgets, ref("patched"), "json", json))["spec"], {
      size: "large",
      parts: ["a", "b"],
    });
    await assert.rejects(sample.client.patch(widgets, ref("patched"), "strategic", {}), (thrown) =>
      isApiError(thrown, "UnsupportedMediaType"),
    );
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "p", namespace: "default" } };
    await sample.client.create(pods, { ...pod, spec: { containers: [{ name: "a", image: "1" }] } });
    const merged = await sample.client.patch(pods, ref("p"), "strategic", { spec: { containers: [{ name: "b" }] } });
    assert.deepEqual(merged["spec"], { containers: [{ name: "a", image: "1" }, { name: "b" }] });
  });
});

describe("lists", () => {
  test("are narrowed by labels and fields, and come in pages", async () => {
    const labels = (index: number) => ({ set: "paged", parity: index % 2 === 0 ? "even" : "odd" });
    await Promise.all(
      Array.from({ length: 25 }, (_, index) =>
        sample.client.create(widgets, widget(`page-${String(index).padStart(2, "0")}`, "m", { labels: labels(index) })),
      ),
    );
    const all = await sample.client.list(widgets, { namespace: "default", labelSelector: "set=paged", limit: 7 });
    assert.deepEqual(
      all.items.map(({ metadata }) => metadata.name),
      Array.from({ length: 25 }, (_, index) => `page-${String(index).padStart(2, "0")}`),
    );
    const odd = await sample.client.list(widgets, { labelSelector: "set in (paged),parity!=even" });
    assert.equal(odd.items.length, 12);
    const one = await sample.client.list(widgets, { namespace: "default", fieldSelector: "metadata.name=page-03" });
    assert.deepEqual(
      one.items.map(({ metadata }) => metadata.name),
      ["page-03"],
    );
    assert.equal((await sample.client.list(widgets, { fieldSelector: "spec.size=m" })).items.length, 25);
    const first = await raw("GET", "/apis/example.io/v1/widgets?limit=2");
    const metadata = first.body["metadata"] as { continue: string; remainingItemCount: number };
    assert.ok(metadata.remainingItemCount > 20);
    assert.equal((await raw("GET", "/apis/example.io/v1/widgets?limit=2&continue=nonsense")).code, 400);
    assert.equal((await raw("GET", "/apis/example.io/v1/widgets?resourceVersion=999999")).code, 504);
    const labelled = await raw("DELETE", "/apis/example.io/v1/namespaces/default/widgets?labelSelector=parity%3Dodd");
    assert.equal(labelled.code, 200);
    assert.equal((await sample.client.list(widgets, { labelSelector: "set=paged" })).items.length, 13);
  });
});

describe("deletion", () => {
  test("waits for finalizers, and takes no new ones meanwhile", async () => {
    await sample.client.create(widgets, widget("held", "large", { finalizers: ["example.io/a"] }));
    await sample.client.delete(widgets, ref("held"));
    const held = await sample.client.get(widgets, ref("held"));
    assert.ok(held.metadata.deletionTimestamp);
    assert.equal(held.metadata.generation, 2);
    const more = { metadata: { finalizers: ["example.io/a", "example.io/b"] } };
    await assert.rejects(sample.client.patch(widgets, ref("held"), "merge", more), (thrown) =>
      isApiError(thrown, "Invalid"),
    );
    await sample.client.patch(widgets, ref("held"), "merge", { metadata: { finalizers: null } });
    await assert.rejects(sample.client.get(widgets, ref("held")), (thrown) => isApiError(thrown, "NotFound"));
  });

  test("keeps to its preconditions", async () => {
    const made = await sample.client.create(widgets, widget("guarded"));
    await assert.rejects(sample.client.delete(widgets, ref("guarded"), { uid: "another" }), (thrown) =>
      isApiError(thrown, "Conflict"),
    );
    await sample.client.delete(widgets, ref("guarded"), { uid: made.metadata.uid ?? "" });
  });

  const owner = (made: KubeObject, blockOwnerDeletion = false) => ({
    ownerReferences: [
      {
        apiVersion: made.apiVersion,
        kind: made.kind,
        name: made.metadata.name,
        uid: made.metadata.uid ?? "",
        blockOwnerDeletion,
      },
    ],
  });
  const isGone = (name: string) => () =>
    sample.client.get(widgets, ref(name)).then(
      () => false,
      (thrown: unknown) => isApiError(thrown, "NotFound"),
    );

  test("in the background takes dependents with it, over several generations", async () => {
    const made = await sample.client.create(widgets, widget("owner"));
    const child = await sample.client.create(widgets, widget("child", "large", owner(made)));
    await sample.client.create(widgets, widget("grandchild", "large", owner(child)));
    await sample.client.delete(widgets, ref("owner"), { propagationPolicy: "Background" });
    await until("the end of the grandchild", isGone("grandchild"));
    assert.ok(await isGone("child")());
  });

  test("leaves what has another owner, without the reference", async () => {
    const [one, two] = await Promise.all([
      sample.client.create(widgets, widget("owner-1")),
      sample.client.create(widgets, widget("owner-2")),
    ]);
    const both = [...owner(one).ownerReferences, ...owner(two).ownerReferences];
    await sample.client.create(widgets, widget("shared", "large", { ownerReferences: both }));
    await sample.client.delete(widgets, ref("owner-1"));
    await until("the reference to go", async () => {
      const shared = await sample.client.get(widgets, ref("shared"));
      return shared.metadata.ownerReferences?.length === 1;
    });
  });

  test("in the foreground waits for dependents that hold it up; orphan leaves them", async () => {
    const made = await sample.client.create(widgets, widget("front"));
    await sample.client.create(
      widgets,
      widget("slow", "large", { ...owner(made, true), finalizers: ["example.io/a"] }),
    );
    await sample.client.delete(widgets, ref("front"), { propagationPolicy: "Foreground" });
    await until("the dependent to be deleted", async () => {
      const slow = await sample.client.get(widgets, ref("slow"));
      return slow.metadata.deletionTimestamp !== undefined;
    });
    assert.equal(await isGone("front")(), false);
    await sample.client.patch(widgets, ref("slow"), "merge", { metadata: { finalizers: null } });
    await until("the end of the owner", isGone("front"));

    const parent = await sample.client.create(widgets, widget("parent"));
    await sample.client.create(widgets, widget("orphan", "large", owner(parent)));
    await sample.client.delete(widgets, ref("parent"), { propagationPolicy: "Orphan" });
    await until("the end of the parent", isGone("parent"));
    assert.equal((await sample.client.get(widgets, ref("orphan"))).metadata.ownerReferences, undefined);
  });

  test("in the foreground leaves what another owner keeps, and takes grandchildren before children", async () => {
    const [one, two] = await Promise.all([
      sample.client.create(widgets, widget("front-1")),
      sample.client.create(widgets, widget("front-2")),
    ]);
    const both = [...owner(one, true).ownerReferences, ...owner(two, true).ownerReferences];
    await sample.client.create(widgets, widget("kept", "large", { ownerReferences: both }));
    const child = await sample.client.create(widgets, widget("front-child", "large", owner(one, true)));
    const held = { ...owner(child, true), finalizers: ["example.io/a"] };
    await sample.client.create(widgets, widget("front-grandchild", "large", held));
    await sample.client.delete(widgets, ref("front-1"), { propagationPolicy: "Foreground" });
    await until("the grandchild to be deleted", async () => {
      const { metadata } = await sample.client.get(widgets, ref("front-grandchild"));
      return metadata.deletionTimestamp !== undefined;
    });
    assert.deepEqual([await isGone("front-child")(), await isGone("front-1")()], [false, false]);
    await sample.client.patch(widgets, ref("front-grandchild"), "merge", { metadata: { finalizers: null } });
    await until("the end of the owner", isGone("front-1"));
    assert.ok(await isGone("front-child")());
    const { metadata } = await sample.client.get(widgets, ref("kept"));
    assert.deepEqual(
      [metadata.deletionTimestamp, metadata.ownerReferences],
      [undefined, owner(two, true).ownerReferences],
    );
  });

  test("in the foreground ends with a dependent that is let go, and in a circle of owners", async () => {
    const made = await sample.client.create(widgets, widget("waits"));
    const held = { ...owner(made, true), finalizers: ["example.io/a"] };
    await sample.client.create(widgets, widget("let-go", "large", held));
    await sample.client.delete(widgets, ref("waits"), { propagationPolicy: "Foreground" });
    await until("the dependent to be deleted", async () => {
      const { metadata } = await sample.client.get(widgets, ref("let-go"));
      return metadata.deletionTimestamp !== undefined;
    });
    await sample.client.patch(widgets, ref("let-go"), "merge", { metadata: { ownerReferences: null } });
    await until("the end of the owner", isGone("waits"));

    const first = await sample.client.create(widgets, widget("circle-1"));
    const second = await sample.client.create(widgets, widget("circle-2", "large", owner(first, true)));
    const third = await sample.client.create(widgets, widget("circle-3", "large", owner(second, true)));
    await sample.client.patch(widgets, ref("circle-1"), "merge", { metadata: owner(third, true) });
    await sample.client.delete(widgets, ref("circle-1"), { propagationPolicy: "Foreground" });
    for (const name of ["circle-1", "circle-2", "circle-3"]) await until(`the end of ${name}`, isGone(name));
  });

  test("says by its policy what becomes of dependents: a later one anew, and none as the object's finalizers do", async () => {
    const child = async (made: KubeObject, name: string) => {
      await sample.client.create(
        widgets,
        widget(name, "large", { ...owner(made, true), finalizers: ["example.io/a"] }),
      );
    };
    const impatient = await sample.client.create(widgets, widget("impatient"));
    await child(impatient, "holds-up");
    await sample.client.delete(widgets, ref("impatient"), { propagationPolicy: "Foreground" });
    await sample.client.delete(widgets, ref("impatient"));
    assert.equal(await isGone("impatient")(), false);
    await sample.client.delete(widgets, ref("impatient"), { propagationPolicy: "Background" });
    await until("the end of the owner", isGone("impatient"));

    const free = { metadata: { finalizers: null } };
    const lenient = await sample.client.create(widgets, widget("lenient", "large", { finalizers: ["orphan"] }));
    await child(lenient, "stays");
    await sample.client.delete(widgets, ref("lenient"));
    await until("the end of the owner", isGone("lenient"));
    const { metadata } = await sample.client.get(widgets, ref("stays"));
    assert.deepEqual([metadata.deletionTimestamp, metadata.ownerReferences], [undefined, undefined]);
    for (const name of ["holds-up", "stays"]) await sample.client.patch(widgets, ref(name), "merge", free);
    await sample.client.delete(widgets, ref("stays"));
  });

  test("takes what names an owner that is not there", async () => {
    const made = await sample.client.create(widgets, widget("short"));
    await sample.client.delete(widgets, ref("short"));
    await sample.client.create(widgets, widget("late", "large", owner(made)));
    await until("the end of it", isGone("late"));
  });

  test("takes what names an owner of another namespace, and nothing of no namespace that names one of any", async () => {
    const namespace = (name: string, extra: Partial<KubeObject["metadata"]> = {}): KubeObject => ({
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name, ...extra },
    });
    const made = await sample.client.create(widgets, widget("at-home"));
    await sample.client.create(namespaces, namespace("abroad"));
    await sample.client.create(namespaces, namespace("of-none", owner(made, true)));
    const away = { namespace: "abroad", name: "away" };
    await sample.client.create(widgets, widget("away", "large", { ...owner(made), ...away }));
    await until("the end of it", () =>
      sample.client.get(widgets, away).then(
        () => false,
        (thrown: unknown) => isApiError(thrown, "NotFound"),
      ),
    );
    assert.equal(await isGone("at-home")(), false);
    await sample.client.create(widgets, widget("with-it", "large", owner(made, true)));
    await sample.client.delete(widgets, ref("at-home"), { propagationPolicy: "Foreground" });
    await until("the end of the owner", isGone("at-home"));
    assert.ok(await isGone("with-it")());
    const left = await sample.client.get(namespaces, { name: "of-none" });
    assert.equal(left.metadata.deletionTimestamp, undefined);
    for (const name of ["abroad", "of-none"]) await sample.client.delete(namespaces, { name });
  });

  test("of a namespace takes its content first; the permanent ones stay", async () => {
    const namespace: KubeObject = { apiVersion: "v1", kind: "Namespace", metadata: { name: "brief" } };
    const made = await sample.client.create(namespaces, namespace);
    assert.deepEqual(made["status"], { phase: "Active" });
    const held = widget("held", "large", { namespace: "brief", finalizers: ["example.io/a"] });
    await sample.client.create(widgets, held);
    await sample.client.delete(namespaces, { name: "brief" });
    await until("the content to be deleted", async () => {
      const inside = await sample.client.get(widgets, { namespace: "brief", name: "held" });
      return inside.metadata.deletionTimestamp !== undefined;
    });
    type Going = { phase: string; conditions?: { type: string; status: string; message: string }[] };
    const status = async () => (await sample.client.get(namespaces, { name: "brief" }))["status"] as Going;
    await until("what the namespace waits for", async () => (await status()).conditions?.length === 2);
    const labels = { changed: "meanwhile", "kubernetes.io/metadata.name": null };
    const patched = await sample.client.patch(namespaces, { name: "brief" }, "merge", { metadata: { labels } });
    assert.deepEqual(patched.metadata.labels, { changed: "meanwhile", "kubernetes.io/metadata.name": "brief" });
    const { phase, conditions } = await status();
    assert.equal(phase, "Terminating");
    assert.deepEqual(
      conditions?.map((condition) => `${condition.type}=${condition.status}: ${condition.message}`),
      [
        "NamespaceContentRemaining=True: Some resources are remaining: widgets.example.io in 1 resource instances",
        "NamespaceFinalizersRemaining=True: Some content in the namespace has finalizers remaining: example.io/a in 1 resource instances",
      ],
    );
    await assert.rejects(sample.client.create(widgets, widget("new", "large", { namespace: "brief" })), (thrown) =>
      isApiError(thrown, "Forbidden"),
    );
    const free = { metadata: { finalizers: null } };
    await sample.client.patch(widgets, { namespace: "brief", name: "held" }, "merge", free);
    await until("the end of the namespace", () =>
      sample.client.get(namespaces, { name: "brief" }).then(
        () => false,
        (thrown: unknown) => isApiError(thrown, "NotFound"),
      ),
    );
    for (const name of ["default", "kube-system"]) {
      await assert.rejects(sample.client.delete(namespaces, { name }), (thrown) => isApiError(thrown, "Forbidden"));
    }
  });
});

describe("the start", () => {
  const start = (options: { dataDir: string; port?: number }) =>
    startApiServer({
      port: 0,
      definitions: sampleDefinitions,
      admission: allowAll,
      log: pino({ level: "silent" }),
      ...options,
    });

  test("on a busy port names it and the cure, and leaves the folder usable", async () => {
    const other = makeFolder();
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, "127.0.0.1", resolve));
    const address = blocker.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    try {
      await assert.rejects(start({ dataDir: other.folder, port }), (thrown) => {
        assert.ok(isFault(thrown, "PB6003"));
        assert.match(thrown.message, new RegExp(String(port)));
        assert.match(thrown.cure ?? "", /--port/);
        return true;
      });
      const second = await startSample(other.folder);
      await second.stop();
    } finally {
      blocker.close();
      other.remove();
    }
  });

  test("tightens a new folder that others can enter, refuses one with content, a link and a folder in use", async () => {
    const other = makeFolder();
    chmodSync(other.folder, 0o755);
    mkdirSync(join(other.folder, "images"));
    const second = await startSample(other.folder);
    assert.equal(statSync(other.folder).mode & 0o777, 0o700);
    await assert.rejects(start({ dataDir: other.folder }), (thrown) => isFault(thrown, "PB6002"));
    await second.stop();
    chmodSync(other.folder, 0o711);
    await assert.rejects(start({ dataDir: other.folder }), (thrown) => {
      assert.ok(isFault(thrown, "PB6001"));
      assert.match(thrown.message, /others can enter .* \(its mode is 0711\)/);
      return true;
    });
    chmodSync(other.folder, 0o700);
    mkdirSync(join(other.folder, "real"));
    symlinkSync(join(other.folder, "real"), join(other.folder, "link"));
    await assert.rejects(start({ dataDir: join(other.folder, "link") }), (thrown) => isFault(thrown, "PB6001"));
    other.remove();
  });

  test("makes the namespaces that are asked for, which can be deleted and are made at the next one", async () => {
    const other = makeFolder();
    for (const round of ["first", "again"]) {
      const one = await startSample(other.folder, { namespaces: ["operator"] });
      const { items } = await one.client.list(namespaces);
      assert.deepEqual(
        items.map(({ metadata }) => metadata.name).sort(),
        ["default", "kube-system", "operator"],
        round,
      );
      await one.client.delete(namespaces, { name: "operator" });
      await one.stop();
    }
    other.remove();
  });

  test("again keeps objects, CA and token: clients of before go on", async () => {
    const other = makeFolder();
    const one = await startSample(other.folder);
    const made = await one.client.create(widgets, widget("kept"));
    const before = loadKubeconfig(one.kubeconfig);
    const { port } = one.server;
    await one.stop();
    const two = await startSample(other.folder, { port });
    const old = makeKubeClient(before);
    assert.deepEqual(await old.get(widgets, ref("kept")), made);
    old.close();
    await two.stop();
    other.remove();
  });
});
