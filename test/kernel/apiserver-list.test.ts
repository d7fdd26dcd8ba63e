import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { isJsonObject, type JsonObject, objectAt } from "../../src/model/json.ts";
import {
  configMap,
  configMaps,
  makeFolder,
  type Sample,
  startSample,
  until,
  widget,
  widgets,
} from "./apiserver-sample.ts";

const { folder, remove } = makeFolder();
let sample: Sample;

before(async () => {
  sample = await startSample(folder);
});

after(async () => {
  await sample.stop();
  remove();
});

function call(
  method: string,
  path: string,
  given?: object,
): Promise<{ readonly code: number; readonly body: JsonObject }> {
  const authorization = `Bearer ${readFileSync(join(folder, "pki/token"), "utf8").trim()}`;
  const text = given === undefined ? "" : JSON.stringify(given);
  const headers = { authorization, "content-type": "application/json", "content-length": Buffer.byteLength(text) };
  return new Promise((resolve, reject) => {
    const options = { method, ca: sample.server.caPem, headers };
    request(`${sample.server.url}${path}`, options, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        const body: unknown = JSON.parse(Buffer.concat(chunks).toString());
        assert.ok(isJsonObject(body));
        resolve({ code: response.statusCode ?? 0, body });
      });
    })
      .on("error", reject)
      .end(text);
  });
}

/** What a list shows of each object, and how it goes on. */
function shown(body: JsonObject): {
  readonly items: readonly string[];
  readonly next: string;
  readonly version: string;
} {
  const items = body["items"];
  assert.ok(Array.isArray(items));
  const metadata = objectAt(body, "metadata");
  return {
    items: items.map((item: JsonObject) => {
      const { name, namespace, resourceVersion } = objectAt(item, "metadata");
      return `${String(namespace)}/${String(name)} ${String(resourceVersion)} ${JSON.stringify(item["spec"])}`;
    }),
    next: String(metadata["continue"] ?? ""),
    version: String(metadata["resourceVersion"]),
  };
}

const WIDGETS = "/apis/example.io/v1/widgets";
const at = (name: string) => ({ namespace: "default", name });

describe("a list", () => {
  test("in pages is one list, whatever is written between them", async () => {
    const name = fc.integer({ min: 0, max: 19 }).map((index) => `w${String(index).padStart(2, "0")}`);
    const write = fc.record({ name, what: fc.constantFrom("make", "change", "delete") });
    let size = 0;
    const carryOut = async ({ name, what }: { name: string; what: string }) => {
      const there = await sample.client.list(widgets, { fieldSelector: `metadata.name=${name}`, namespace: "default" });
      size += 1;
      if (there.items.length === 0) await sample.client.create(widgets, widget(name, `${size}`));
      else if (what === "delete") await sample.client.delete(widgets, at(name));
      else await sample.client.patch(widgets, at(name), "merge", { spec: { size: `${size}` } });
    };
    await fc.assert(
      fc.asyncProperty(
        fc.array(write, { minLength: 5, maxLength: 20 }),
        fc.array(fc.array(write, { maxLength: 6 }), { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 6 }),
        fc.constantFrom(WIDGETS, "/apis/example.io/v1/namespaces/default/widgets"),
        async (first, between, limit, path) => {
          for (const each of first) await carryOut(each);
          const whole = shown((await call("GET", path)).body);
          const pages: string[] = [];
          let next = "";
          for (let round = 0; round === 0 || next !== ""; round += 1) {
            const more = next === "" ? "" : `&continue=${next}`;
            const { code, body } = await call("GET", `${path}?limit=${limit}${more}`);
            assert.equal(code, 200);
            const page = shown(body);
            assert.equal(page.version, whole.version);
            pages.push(...page.items);
            next = page.next;
            for (const each of between[round % between.length] ?? []) await carryOut(each);
          }
          assert.deepEqual(pages, whole.items);
          const exact = await call("GET", `${path}?resourceVersion=${whole.version}&resourceVersionMatch=Exact`);
          assert.deepEqual(shown(exact.body), whole);
        },
      ),
      { numRuns: 25 },
    );
  });

  test("that goes on names no other version, and one of no version is no exact one", async () => {
    const { body } = await call("GET", `${WIDGETS}?limit=1`);
    const { next, version } = shown(body);
    assert.ok(next !== "");
    assert.equal((await call("GET", `${WIDGETS}?limit=1&continue=${next}&resourceVersion=${version}`)).code, 400);
  });

  test("is told what does not go together, and what is no field", async () => {
    for (const [query, code, message] of [
      ["resourceVersion=0&resourceVersionMatch=Exact", 422, /"exact" is forbidden for resourceVersion "0"/],
      ["resourceVersionMatch=Exact", 422, /forbidden unless resourceVersion is provided/],
      ["resourceVersion=1&resourceVersionMatch=Newest", 422, /Unsupported value: "Newest"/],
      ["sendInitialEvents=true", 422, /sendInitialEvents is forbidden for list/],
      ["watch=1&sendInitialEvents=true", 422, /requires setting resourceVersionMatch to NotOlderThan/],
      ["watch=1&resourceVersion=1&resourceVersionMatch=NotOlderThan", 422, /forbidden for watch unless/],
      ["watch=1&resourceVersion=99999999", 410, /too large resource version: 99999999, current: \d+/],
      ["fieldSelector=spec.siez%3Dm", 400, /field label not supported: spec\.siez/],
    ] as const) {
      const answer = await call("GET", `${WIDGETS}?${query}`);
      assert.equal(answer.code, code, query);
      assert.match(String(answer.body["message"]), message);
    }
  });

  test("whose token is too old goes on with what there is by now, where the client wants it", async () => {
    const items = shown((await call("GET", WIDGETS)).body).items;
    const { next } = shown((await call("GET", `${WIDGETS}?limit=1`)).body);
    const token: unknown = JSON.parse(Buffer.from(next, "base64url").toString());
    const old = Buffer.from(JSON.stringify(Object.assign({}, token, { rv: 99_999_999 }))).toString("base64url");
    const { code, body } = await call("GET", `${WIDGETS}?limit=1&continue=${old}`);
    assert.deepEqual([code, body["reason"]], [410, "Expired"]);
    const { continue: onward } = body["metadata"] as { continue: string };
    const rest = await call("GET", `${WIDGETS}?continue=${onward}`);
    assert.equal(rest.code, 200);
    assert.deepEqual(shown(rest.body).items, items.slice(1));
  });
});

test("an object is told as of no state that is to come", async () => {
  const path = "/api/v1/namespaces/default";
  assert.equal((await call("GET", `${path}?resourceVersion=1`)).code, 200);
  assert.equal((await call("GET", `${path}?resourceVersion=99999999`)).code, 504);
  assert.equal((await call("GET", `${path}?resourceVersion=new`)).code, 400);
});

describe("a deletion", () => {
  test("is refused with options that are none, or go against each other, and takes nothing then", async () => {
    await sample.client.create(configMaps, configMap("stays"));
    const path = "/api/v1/namespaces/default/configmaps/stays";
    for (const [body, code] of [
      [{ kind: "ConfigMap", apiVersion: "v1" }, 400],
      [{ gracePeriodSeconds: "soon" }, 400],
      [{ propagationPolicy: "Sometimes" }, 422],
      [{ propagationPolicy: ["Orphan"] }, 400],
      [{ orphanDependents: "true" }, 400],
      [{ dryRun: "All" }, 400],
      [{ dryRun: ["Some"] }, 422],
      [{ preconditions: "another" }, 400],
      [{ preconditions: { uid: 1 } }, 400],
      [{ preconditions: { resourceVersion: 1 } }, 400],
      [{ propagationPolicy: "Orphan", orphanDependents: true }, 422],
      [{ preconditions: { uid: "another" } }, 409],
      [{ preconditions: { resourceVersion: "1" } }, 409],
    ] as const) {
      assert.equal((await call("DELETE", path, body)).code, code, JSON.stringify(body));
    }
    assert.equal((await call("DELETE", `${path}?orphanDependents=perhaps`)).code, 400);
    const absent = { dryRun: ["All"], orphanDependents: null, propagationPolicy: null, preconditions: { uid: null } };
    assert.equal((await call("DELETE", path, { kind: "DeleteOptions", ...absent })).code, 200);
    assert.equal((await sample.client.get(configMaps, at("stays"))).metadata.name, "stays");
    await sample.client.delete(configMaps, at("stays"));
  });
});

describe("the deletion of a collection", () => {
  const path = "/api/v1/namespaces/default/configmaps";
  const names = async () => (await sample.client.list(configMaps)).items.map(({ metadata }) => metadata.name);

  test("takes what both selectors ask for, and with a dry run nothing", async () => {
    for (const [name, colour] of [
      ["a", "red"],
      ["b", "red"],
      ["c", "blue"],
    ] as const) {
      const made = configMap(name, { colour });
      await sample.client.create(configMaps, { ...made, metadata: { ...made.metadata, labels: { colour } } });
    }
    const selectors = "labelSelector=colour%3Dred&fieldSelector=metadata.name%21%3Db";
    const dry = await call("DELETE", `${path}?${selectors}&dryRun=All`);
    assert.equal(dry.code, 200);
    assert.deepEqual(await names(), ["a", "b", "c"]);
    const { body } = await call("DELETE", `${path}?${selectors}`);
    assert.deepEqual([body["kind"], (body["items"] as unknown[]).length], ["ConfigMapList", 1]);
    assert.deepEqual(await names(), ["b", "c"]);
    for (const all of ["/api/v1/configmaps", "/api/v1/namespaces"]) {
      assert.equal((await call("DELETE", all)).code, 405);
    }
    await call("DELETE", path);
    assert.deepEqual(await names(), []);
  });

  test("takes no more than one page where a limit says so, and goes on with its token", async () => {
    for (const name of ["p1", "p2", "p3"]) await sample.client.create(configMaps, configMap(name));
    const { body } = await call("DELETE", `${path}?limit=2`);
    assert.deepEqual(await names(), ["p3"]);
    const { continue: token } = body["metadata"] as { continue: string };
    await sample.client.create(configMaps, configMap("p4"));
    await sample.client.delete(configMaps, at("p3"));
    await sample.client.create(configMaps, configMap("p3"));
    assert.equal((await call("DELETE", `${path}?resourceVersionMatch=Exact`)).code, 422);
    const rest = await call("DELETE", `${path}?limit=2&continue=${token}`);
    assert.equal((rest.body["items"] as unknown[]).length, 1);
    assert.deepEqual(await names(), ["p3", "p4"], "neither was there when the first page was read");
    await call("DELETE", path);
  });

  test("marks what has finalizers, and its dependents go as the policy says", async () => {
    const owner = await sample.client.create(configMaps, configMap("owner"));
    const reference = { apiVersion: "v1", kind: "ConfigMap", name: "owner", uid: owner.metadata.uid ?? "" };
    const child = widget("child");
    await sample.client.create(widgets, { ...child, metadata: { ...child.metadata, ownerReferences: [reference] } });
    const held = configMap("held");
    await sample.client.create(configMaps, { ...held, metadata: { ...held.metadata, finalizers: ["example.io/a"] } });
    await call("DELETE", `${path}?propagationPolicy=Foreground`);
    await until("the owner's end", async () => !(await names()).includes("owner"));
    await assert.rejects(sample.client.get(widgets, at("child")));
    const { metadata } = await sample.client.get(configMaps, at("held"));
    assert.ok(metadata.deletionTimestamp !== undefined);
    await sample.client.patch(configMaps, at("held"), "merge", { metadata: { finalizers: null } });
    assert.deepEqual(await names(), []);
  });
});
