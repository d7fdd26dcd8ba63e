import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { serveWebSocket } from "./websocket.ts";

/** A connection whose other end takes what is sent when it is told to. */
function connection() {
  let sent = 0;
  let take: (() => void) | undefined;
  let reads = false;
  const client = new Duplex({
    read: () => undefined,
    write(bytes: Uint8Array, _, done) {
      sent += bytes.length;
      if (reads) done();
      else take = done;
    },
  });
  const begin = () => {
    reads = true;
    take?.();
  };
  return { client, begin, sent: () => sent };
}

test("a client that sends pings and does not read their answers is not read any more, until it reads", async () => {
  const { client, begin, sent } = connection();
  const stream = new Duplex({ read: () => undefined, write: (_, __, done) => done() });
  const session = serveWebSocket(client, new Uint8Array(0), stream, { accept: "" });
  const ping = Buffer.concat([Buffer.of(0x89, 0x80 | 125), Buffer.alloc(4), Buffer.alloc(125)]);
  let pings = 0;
  // Bounded by itself, or a failure would never end.
  while (!client.isPaused() && pings < 100_000) {
    client.push(ping);
    pings += 1;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(client.isPaused(), `${pings} pings were answered`);
  assert.ok(client.writableLength < 256 * 1024);
  begin();
  while (client.isPaused() || client.writableLength > 0) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(sent() > pings * 125);
  client.destroy();
  await session.closed;
});
