import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { type Duplex, PassThrough } from "node:stream";
import { type TestContext, test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import { parse } from "yaml";
import type { Subresource, SubresourceCall } from "../../src/apiserver/subresources.ts";
import { ApiError, failure } from "../../src/model/api/status.ts";
import { lastFirst } from "../last-first.ts";
import { makeFolder, type Sample, startSample } from "./apiserver-sample.ts";

const PLACE = { group: "sub.example.io", versions: ["v1", "v1beta1"], plural: "widgets" } as const;
const ROOT = "/apis/sub.example.io/v1/namespaces/default/widgets/one";

interface Bench extends Sample {
  readonly token: string;
  readonly calls: SubresourceCall[];
  /** Streams that were opened; what is written to one comes back. */
  readonly streams: Duplex[];
}

async function startBench(t: TestContext): Promise<Bench> {
  const calls: SubresourceCall[] = [];
  const streams: Duplex[] = [];
  const subresources: readonly Subresource[] = [
    {
      ...PLACE,
      subresource: "paint",
      verb: "update",
      answers: 202,
      act: async (call) => {
        calls.push(call);
        if (call.body["colour"] === "pink")
          throw new ApiError("PB6010", failure(409, "Conflict", "it is pink already"), "Take another.");
      },
    },
    {
      ...PLACE,
      subresource: "talk",
      takes: 2,
      verb: "get",
      protocols: ["first", "second"],
      open: async (call) => {
        calls.push(call);
        if (call.name !== "one") throw new ApiError("PB6010", failure(404, "NotFound", "no such widget"));
        const stream = new PassThrough();
        streams.push(stream);
        return stream;
      },
    },
  ];
  const after = lastFirst(t);
  const { folder, remove } = makeFolder();
  after(remove);
  const documents = [{ group: PLACE.group, versions: ["v1"], name: "version", content: { gitVersion: "v0" } }];
  const sample = await startSample(folder, { subresources, documents });
  after(() => sample.stop());
  const { users }: { readonly users: readonly { readonly user: { readonly token: string } }[] } = parse(
    readFileSync(sample.kubeconfig, "utf8"),
  );
  return { ...sample, token: users[0]?.user.token ?? "", calls, streams };
}

interface Answer {
  readonly code: number;
  readonly text: string;
}

function ask(
  bench: Bench,
  method: string,
  path: string,
  body?: string,
  token = bench.token,
  type = "application/json",
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, ...(type === "" ? {} : { "content-type": type }) };
    const call = request(`${bench.server.url}${path}`, { method, ca: bench.server.caPem, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve({ code: response.statusCode ?? 0, text }));
    });
    call.on("error", reject);
    call.end(body);
  });
}

/** A websocket client down at the bytes. */
class RawClient {
  readonly socket: TLSSocket;
  #bytes = Buffer.alloc(0);

  constructor(socket: TLSSocket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
    });
    socket.on("error", () => undefined);
  }

  static async open(bench: Bench, headers: Readonly<Record<string, string>> = {}, path = `${ROOT}/talk`) {
    const { port, caPem } = bench.server;
    const socket = connect({ host: "127.0.0.1", port, ca: caPem });
    await once(socket, "secureConnect");
    const all: Readonly<Record<string, string>> = {
      host: "localhost",
      authorization: `Bearer ${bench.token}`,
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
      ...headers,
    };
    const lines = Object.entries(all).flatMap(([name, value]) => (value === "" ? [] : [`${name}: ${value}\r\n`]));
    socket.write(`GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`);
    return new RawClient(socket);
  }

  /** The next bytes up to and with `end`, or so many. */
  async take(end: string | number): Promise<Buffer> {
    for (;;) {
      const at = typeof end === "number" ? end : this.#bytes.indexOf(end) + end.length;
      if ((typeof end === "number" || this.#bytes.includes(end)) && this.#bytes.length >= at) {
        const taken = this.#bytes.subarray(0, at);
        this.#bytes = this.#bytes.subarray(at);
        return taken;
      }
      if (this.socket.destroyed || this.socket.readableEnded) throw new Error(`it ended after: ${this.#bytes}`);
      await Promise.race([once(this.socket, "data"), once(this.socket, "close")]);
    }
  }

  async head(): Promise<string> {
    return (await this.take("\r\n\r\n")).toString("latin1");
  }

  send(opcode: number, payload: string): void {
    const mask = randomBytes(4);
    const bytes = Buffer.from(payload).map((octet, index) => octet ^ (mask[index & 3] ?? 0));
    this.socket.write(Buffer.concat([Buffer.of(0x80 | opcode, 0x80 | bytes.length), mask, bytes]));
  }

  /** The next frame, of a short payload. */
  async frame(): Promise<{ readonly opcode: number; readonly payload: Buffer }> {
    const [first = 0, length = 0] = await this.take(2);
    return { opcode: first & 15, payload: length === 0 ? Buffer.alloc(0) : await this.take(length) };
  }

  /** The close frame's code and reason; then the end of the connection. */
  async closing(): Promise<string> {
    const { opcode, payload } = await this.frame();
    assert.equal(opcode, 8);
    this.socket.end();
    if (!this.socket.destroyed) await once(this.socket, "close");
    return `${payload.readUInt16BE(0)} ${payload.subarray(2).toString()}`.trim();
  }
}

test("an action is carried out with its body, and its refusals are told", async (t) => {
  const bench = await startBench(t);
  assert.deepEqual(await ask(bench, "PUT", `${ROOT}/paint`, '{"colour":"red"}'), { code: 202, text: "" });
  assert.deepEqual(await ask(bench, "PUT", `${ROOT.replace("v1", "v1beta1")}/paint`), { code: 202, text: "" });
  assert.deepEqual(
    bench.calls.map(({ namespace, name, body }) => [namespace, name, body]),
    [
      ["default", "one", { colour: "red" }],
      ["default", "one", {}],
    ],
  );
  const refused = await ask(bench, "PUT", `${ROOT}/paint`, '{"colour":"pink"}');
  assert.equal(refused.code, 409);
  assert.match(refused.text, /it is pink already Take another\./);
  assert.equal((await ask(bench, "PUT", `${ROOT}/paint`, "[]")).code, 400);
  assert.equal((await ask(bench, "POST", `${ROOT}/paint`, "{}")).code, 405);
  assert.equal((await ask(bench, "PUT", `${ROOT}/unknown`, "{}")).code, 404);
  assert.equal((await ask(bench, "PUT", `${ROOT}/paint`, "{}", "wrong")).code, 401);
  assert.equal((await ask(bench, "GET", `${ROOT}/talk`)).code, 400);
  assert.equal(bench.calls.length, 3);
});

test("discovery tells the calls, and that they are of no kind", async (t) => {
  const bench = await startBench(t);
  const list = await ask(bench, "GET", "/apis/sub.example.io/v1");
  const { resources }: { readonly resources: readonly { readonly name: string; readonly verbs: readonly string[] }[] } =
    JSON.parse(list.text);
  assert.deepEqual(
    resources.map(({ name, verbs }) => [name, verbs]),
    [
      ["widgets/paint", ["update"]],
      ["widgets/talk", ["get"]],
    ],
  );
  assert.deepEqual(await ask(bench, "GET", "/apis/sub.example.io/v1/version"), {
    code: 200,
    text: '{"gitVersion":"v0"}',
  });
  assert.equal((await ask(bench, "PUT", "/apis/sub.example.io/v1/version", "{}")).code, 405);
  assert.equal((await ask(bench, "GET", "/apis/sub.example.io/v1/unknown")).code, 404);
  const groups = await ask(bench, "GET", "/apis");
  assert.match(groups.text, /"name":"sub\.example\.io".*"preferredVersion":\{"groupVersion":"sub\.example\.io\/v1"/);
});

test("a stream carries bytes both ways, and ends with either side", async (t) => {
  const bench = await startBench(t);
  const client = await RawClient.open(bench, { "sec-websocket-protocol": "unknown, second" });
  const head = await client.head();
  assert.match(head, /^HTTP\/1\.1 101 /);
  assert.match(head, /Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/);
  assert.match(head, /Sec-WebSocket-Protocol: second\r\n/);
  client.send(2, "binary");
  assert.deepEqual(await client.frame(), { opcode: 2, payload: Buffer.from("binary") });
  client.send(1, "text");
  assert.deepEqual(await client.frame(), { opcode: 2, payload: Buffer.from("text") });
  client.send(9, "are you there");
  assert.deepEqual(await client.frame(), { opcode: 10, payload: Buffer.from("are you there") });
  client.send(8, "");
  assert.equal(await client.closing(), "1000");
  assert.equal(bench.streams[0]?.destroyed, true);

  const other = await RawClient.open(bench);
  await other.head();
  bench.streams[1]?.destroy();
  assert.equal(await other.closing(), "1000 the stream has ended");

  const gone = await RawClient.open(bench);
  await gone.head();
  gone.socket.destroy();
  const [, , stream] = bench.streams;
  assert.ok(stream !== undefined);
  if (!stream.destroyed) await once(stream, "close");
});

test("what breaks the protocol is told and cut off", async (t) => {
  const bench = await startBench(t);
  const client = await RawClient.open(bench);
  await client.head();
  client.socket.write(Buffer.of(0x82, 1, 65));
  assert.match(await client.closing(), /^1002 a client's frame must be masked/);
});

test("a stream is opened by who may, and as it is spoken", async (t) => {
  const bench = await startBench(t);
  const refused = async (headers: Readonly<Record<string, string>>, path?: string): Promise<string> => {
    const client = await RawClient.open(bench, headers, path);
    const head = await client.head();
    client.socket.destroy();
    return /^HTTP\/1\.1 (\d+)/.exec(head)?.[1] ?? head;
  };
  assert.equal(await refused({ authorization: "" }), "401");
  assert.equal(await refused({ authorization: "Bearer wrong" }), "401");
  assert.equal(await refused({ "sec-websocket-protocol": "unknown" }), "400");
  assert.equal(await refused({ "sec-websocket-version": "8" }), "400");
  assert.equal(await refused({ "sec-websocket-key": "short" }), "400");
  assert.equal(await refused({}, `${ROOT.replace("one", "two")}/talk`), "404");
  assert.equal(await refused({}, `${ROOT}/paint`), "405");
  assert.equal(await refused({}, `${ROOT}/talk/to/me/too`), "404");
  assert.equal(await refused({}, `${ROOT}/paint/red`), "404");
  assert.equal(await refused({}, "/readyz"), "404");
  assert.equal(bench.streams.length, 0);
  const bearer = `base64url.bearer.authorization.k8s.io.${Buffer.from(bench.token).toString("base64url")}`;
  assert.equal(await refused({ authorization: "", "sec-websocket-protocol": `${bearer}, first` }), "101");
  assert.deepEqual(bench.calls.at(-1)?.path, []);
  assert.equal(await refused({}, `${ROOT}/talk/80/t%63p`), "101");
  assert.deepEqual(bench.calls.at(-1)?.path, ["80", "tcp"]);
});

test("a server that stops ends its streams", async (t) => {
  const bench = await startBench(t);
  const client = await RawClient.open(bench);
  await client.head();
  const stopping = bench.server.close();
  assert.equal(await client.closing(), "1001 the server stops");
  await stopping;
});

test("an action takes the bodies that curl sends: none, an empty one, and options without their type", async (t) => {
  const bench = await startBench(t);
  const path = `${ROOT}/paint`;
  for (const type of ["", "application/x-www-form-urlencoded"]) {
    for (const [body, options] of [
      [undefined, {}],
      ["", {}],
      ["{}", {}],
      ['{"colour": "red"}', { colour: "red" }],
    ] as const) {
      const { code, text } = await ask(bench, "PUT", path, body, bench.token, type);
      assert.equal(code, 202, text);
      assert.deepEqual(bench.calls.at(-1)?.body, options);
    }
    assert.equal((await ask(bench, "PUT", path, "colour=red", bench.token, type)).code, 400);
  }
  assert.equal((await ask(bench, "PUT", path, "{}", bench.token, "text/plain")).code, 415);
});
