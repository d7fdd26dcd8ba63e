import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Subresource, TextCall } from "../../src/apiserver/subresources.ts";
import { ApiError, failure } from "../../src/model/api/status.ts";
import { isJsonObject } from "../../src/model/json.ts";
import { lastFirst } from "../last-first.ts";
import { makeFolder, type Sample, startSample, until } from "./apiserver-sample.ts";

const POD = "/api/v1/namespaces/default/pods/one";
const PIECE = 64 * 1024;

interface Bench extends Sample {
  readonly calls: TextCall[];
  /** Pieces of a text that never ends which were asked for. */
  pieces(): number;
}

/** The texts of pods: `?kind=` says which, a short one, one that waits, one without end, or one that breaks off. */
async function startBench(t: TestContext): Promise<Bench> {
  const calls: TextCall[] = [];
  let pieces = 0;
  const place = { group: "", versions: ["v1"], plural: "pods" } as const;
  async function* text({ query, signal }: TextCall): AsyncGenerator<Uint8Array> {
    yield Buffer.from("begun ");
    const kind = query.get("kind");
    if (kind === "broken") throw new Error("the file is gone");
    if (kind === "waiting" && !signal.aborted) await once(signal, "abort");
    while (kind === "endless") {
      pieces += 1;
      yield Buffer.alloc(PIECE);
    }
    yield Buffer.from("ended");
  }
  const subresources: readonly Subresource[] = [
    {
      ...place,
      subresource: "log",
      verb: "get",
      text: async (call) => {
        calls.push(call);
        if (call.name !== "one") throw new ApiError("PB6010", failure(400, "BadRequest", "it has none"));
        return text(call);
      },
    },
    {
      ...place,
      subresource: "exec",
      verb: "none",
      refusal: ({ name }) => new ApiError("PB6010", failure(501, "NotImplemented", `not in ${name}`)),
    },
  ];
  const after = lastFirst(t);
  const { folder, remove } = makeFolder();
  after(remove);
  const sample = await startSample(folder, { subresources, limits: { watchesPerToken: 2 } });
  after(() => sample.stop());
  return { ...sample, calls, pieces: () => pieces };
}

interface Asked {
  readonly role?: "admin" | "view";
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** The answer's head; its text is not read yet. */
async function begin({ server, folder }: Bench, path: string, asked: Asked = {}): Promise<IncomingMessage> {
  const token = readFileSync(join(folder, "pki", asked.role === "view" ? "token-view" : "token"), "utf8").trim();
  const headers = { authorization: `Bearer ${token}`, ...asked.headers };
  const call = request(`${server.url}${path}`, { method: asked.method ?? "GET", ca: server.caPem, headers });
  call.on("error", () => undefined).end(asked.body);
  const [response]: IncomingMessage[] = await once(call, "response");
  assert.ok(response);
  return response;
}

async function rest(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += String(chunk);
  return text;
}

async function ask(bench: Bench, path: string, asked: Asked = {}): Promise<{ code: number; text: string }> {
  const response = await begin(bench, path, asked);
  return { code: response.statusCode ?? 0, text: await rest(response) };
}

test("a text is sent whole, to whoever may read the object, and a refusal is told", async (t) => {
  const bench = await startBench(t);
  const response = await begin(bench, `${POD}/log?container=compute`);
  assert.deepEqual([response.statusCode, response.headers["content-type"]], [200, "text/plain"]);
  assert.equal(await rest(response), "begun ended");
  assert.deepEqual(
    bench.calls.map(({ namespace, name, user, query }) => [namespace, name, user, query.get("container")]),
    [["default", "one", "system:admin", "compute"]],
  );
  assert.deepEqual(await ask(bench, `${POD}/log`, { role: "view" }), { code: 200, text: "begun ended" });
  const other = await ask(bench, `${POD.replace("one", "two")}/log`);
  assert.equal(other.code, 400);
  assert.match(other.text, /"message":"it has none"/);
  assert.equal((await ask(bench, `${POD}/log`, { method: "PUT" })).code, 405);
  assert.equal((await ask(bench, `${POD}/unknown`)).code, 404);
  assert.match((await ask(bench, "/metrics")).text, /resource="pods\/log",code="200"\} 2/);
});

test("discovery tells it with its kind in both forms, the role's rules tell it, and neither tells what is refused", async (t) => {
  const bench = await startBench(t);
  const { resources } = JSON.parse((await ask(bench, "/api/v1")).text);
  assert.ok(Array.isArray(resources));
  const named = resources.filter(isJsonObject).filter(({ name }) => /^pods/.test(String(name)));
  assert.deepEqual(
    named.map(({ name, kind, verbs }) => [name, kind, name === "pods/log" ? verbs : []]),
    [
      ["pods", "Pod", []],
      ["pods/status", "Pod", []],
      ["pods/log", "Pod", ["get"]],
    ],
  );
  const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
  const whole = JSON.parse((await ask(bench, "/api", { headers: { accept } })).text);
  const pods = whole.items[0].versions[0].resources.filter(
    ({ resource }: { resource: unknown }) => resource === "pods",
  );
  assert.deepEqual(
    pods.map(({ subresources }: { subresources: readonly { subresource: unknown }[] }) =>
      subresources.map(({ subresource }) => subresource),
    ),
    [["status", "log"]],
  );
  const headers = { "content-type": "application/json" };
  const asked = { role: "view", method: "POST", headers, body: '{"spec":{"namespace":"default"}}' } as const;
  const rules = await ask(bench, "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", asked);
  assert.match(rules.text, /"pods\/log"/);
  assert.doesNotMatch(rules.text, /pods\/exec/);
});

test("a call that is not carried out says so, also to who asks for a stream", async (t) => {
  const bench = await startBench(t);
  for (const headers of [{}, { connection: "Upgrade", upgrade: "SPDY/3.1" }]) {
    const { code, text } = await ask(bench, `${POD}/exec?command=id`, { method: "POST", headers });
    assert.deepEqual([code, JSON.parse(text).message], [501, "not in one"]);
    assert.equal((await ask(bench, `${POD}/exec`, { method: "POST", headers, role: "view" })).code, 403);
  }
});

test("a text is asked for no faster than its reader takes it, and ends when the reader goes", async (t) => {
  const bench = await startBench(t);
  const response = await begin(bench, `${POD}/log?kind=endless`);
  await once(response, "readable");
  // What the kernel holds for a connection, and no more: it stands still.
  let before = -1;
  await until("the text to stand still", async () => {
    const still = before === bench.pieces();
    before = bench.pieces();
    await new Promise((resolve) => setTimeout(resolve, 100));
    return still;
  });
  assert.ok(bench.pieces() * PIECE < 64 << 20, `${bench.pieces()} pieces`);
  assert.equal(bench.calls[0]?.signal.aborted, false);
  response.destroy();
  await until("the text's end", () => bench.calls[0]?.signal.aborted === true);
});

test("a text that breaks off is no whole one", async (t) => {
  const bench = await startBench(t);
  await assert.rejects(ask(bench, `${POD}/log?kind=broken`));
  assert.equal((await ask(bench, `${POD}/log`)).text, "begun ended");
});

test("a text that is followed counts as a watch, and a server that stops ends it", async (t) => {
  const bench = await startBench(t);
  const path = `${POD}/log?kind=waiting&follow=true`;
  const both = [await begin(bench, path), await begin(bench, path)];
  assert.equal((await ask(bench, path)).code, 429);
  assert.equal((await ask(bench, `${POD}/log`)).code, 200);
  const texts = both.map(rest);
  const stopping = bench.server.close();
  assert.deepEqual(await Promise.all(texts), ["begun ended", "begun ended"]);
  await stopping;
});
