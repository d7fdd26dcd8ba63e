import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { podResource } from "../model/api/references.ts";
import { isFault } from "../model/fault.ts";
import { type KubeClient, makeKubeClient } from "./client.ts";

/** For a server that is to answer, on a busy machine too. */
const ANSWER_MS = 1_000;

async function clientOf(t: TestContext, listener: RequestListener, answerMs = ANSWER_MS): Promise<KubeClient> {
  const server = createServer(listener);
  t.after(() => server.closeAllConnections());
  t.after(() => server.close());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address: AddressInfo | string | null = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const client = makeKubeClient({ server: `http://127.0.0.1:${address.port}`, namespace: "default" }, answerMs);
  t.after(() => client.close());
  return client;
}

async function watched(client: KubeClient, timeoutSeconds: number): Promise<string[]> {
  const names: string[] = [];
  for await (const { object } of client.watch(podResource, { resourceVersion: "1", timeoutSeconds })) {
    names.push(object.metadata.name);
  }
  return names;
}

test("a server that takes a call or a watch and says nothing is given up", async (t) => {
  const client = await clientOf(t, () => {}, 50);
  const silent = (thrown: unknown) => isFault(thrown, "PB6012") && thrown.message.includes("no answer within");
  await assert.rejects(client.raw("/version"), silent);
  await assert.rejects(watched(client, 1), silent);
});

test("a watch that its server forgets is broken off when its time is over", async (t) => {
  const client = await clientOf(t, (_, response) => response.writeHead(200).flushHeaders());
  await assert.rejects(
    watched(client, 0.05),
    (thrown) => isFault(thrown, "PB6012") && thrown.message.includes("the server is silent"),
  );
});

test("a watch may be silent for longer than an answer may take", async (t) => {
  const event = { type: "ADDED", object: { apiVersion: "v1", kind: "Pod", metadata: { name: "late" } } };
  const client = await clientOf(t, (_, response) => {
    response.writeHead(200).flushHeaders();
    setTimeout(() => response.end(`${JSON.stringify(event)}\n`), 1.5 * ANSWER_MS);
  });
  assert.deepEqual(await watched(client, 60), ["late"]);
});
