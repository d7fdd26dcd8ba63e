import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { type TestContext, test } from "node:test";
import { probeHttp, probeTcp } from "./probe.ts";

async function portOf(t: TestContext, server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

test("a port is well where it takes connections", async (t) => {
  const server = createServer((socket) => socket.destroy());
  const port = await portOf(t, server);
  assert.equal(await probeTcp("127.0.0.1", port, 5_000), undefined);
  server.close();
  assert.match((await probeTcp("127.0.0.1", port, 5_000)) ?? "", /ECONNREFUSED/);
});

test("an answer is well from 200 to 399, with the headers that were asked for, in time", async (t) => {
  const server = createHttpServer(({ url, headers }, response) => {
    if (url === "/never") return;
    response.writeHead(Number(headers["x-status"] ?? 500)).end("x".repeat(100_000));
  });
  const port = await portOf(t, server);
  t.after(() => server.closeAllConnections());
  const ask = (status: string, path = "/", timeoutMs = 5_000) =>
    probeHttp({ host: "127.0.0.1", port, path, secure: false, headers: [["X-Status", status]] }, timeoutMs);
  assert.deepEqual(
    [await ask("200"), await ask("302"), await ask("404"), await ask("503")],
    [undefined, undefined, "the answer is 404", "the answer is 503"],
  );
  assert.match((await ask("200", "/never", 50)) ?? "", /no answer comes in time/);
  assert.match((await ask("200", "/no path")) ?? "", /unescaped/);
});
