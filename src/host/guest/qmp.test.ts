import assert from "node:assert/strict";
import { once } from "node:events";
import * as fs from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { type TestContext, test } from "node:test";
import type { Code } from "../../model/codes/codes.ts";
import { isFault } from "../../model/fault.ts";
import { connectQmp } from "./qmp.ts";

const GREETING = '{"QMP": {"version": {"qemu": {"micro": 1, "minor": 2, "major": 7}}, "capabilities": []}}\r\n';

/** A monitor that answers each command as `answer` says. */
async function monitor(
  t: TestContext,
  answer: (command: { execute: string; id: number }, socket: Socket) => void,
  greeting = GREETING,
): Promise<string> {
  const folder = fs.mkdtempSync(`${tmpdir()}/qmp-`);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.write(greeting);
    socket.on("data", (bytes: Buffer) => {
      for (const line of bytes.toString().trim().split("\n")) answer(JSON.parse(line), socket);
    });
  });
  server.listen(`${folder}/qmp.sock`);
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
    fs.rmSync(folder, { recursive: true });
  });
  return `${folder}/qmp.sock`;
}

const ok = (id: number, value: unknown = {}) => `${JSON.stringify({ return: value, id })}\n`;
const refused = (code: Code) => (thrown: unknown) => isFault(thrown, code);

test("answers find their commands in any order, and events their listeners", async (t) => {
  const held: number[] = [];
  const path = await monitor(t, ({ execute, id }, socket) => {
    if (execute === "slow") held.push(id);
    else if (execute === "fast")
      socket.write(`${ok(id, "fast")}{"event": "RESET"}\n${held.map((each) => ok(each, "slow")).join("")}`);
    else socket.write(ok(id));
  });
  const qmp = await connectQmp(path);
  t.after(() => qmp.close());
  assert.equal(qmp.version, "7.2.1");
  const events: string[] = [];
  const stop = qmp.onEvent((event) => events.push(event.name));
  assert.deepEqual(await Promise.all([qmp.execute("slow"), qmp.execute("fast")]), ["slow", "fast"]);
  stop();
  await Promise.all([qmp.execute("slow"), qmp.execute("fast")]);
  assert.deepEqual(events, ["RESET"]);
});

test("an error, a silence, and nonsense in place of an answer", async (t) => {
  const path = await monitor(t, ({ execute, id }, socket) => {
    if (execute === "wrong") socket.write(`{"error": {"class": "GenericError", "desc": "no"}, "id": ${id}}\n`);
    else if (execute === "nonsense") socket.write('\u0000\xff{"return"\n{"return": 1, "id": 99999}\n[]\n');
    else if (execute !== "silent") socket.write(ok(id, execute));
  });
  const qmp = await connectQmp(path);
  t.after(() => qmp.close());
  await assert.rejects(qmp.execute("wrong"), (thrown) => isFault(thrown, "PB5058") && thrown.message === "QEMU: no");
  await assert.rejects(qmp.execute("silent", {}, 20), refused("PB5057"));
  await assert.rejects(qmp.execute("nonsense", {}, 20), refused("PB5057"));
  assert.equal(await qmp.execute("again"), "again");
});

test("the end of the connection ends what waits, and everything after", async (t) => {
  const path = await monitor(t, ({ execute, id }, socket) => {
    if (execute === "die") socket.destroy();
    else if (execute !== "wait") socket.write(ok(id));
  });
  const qmp = await connectQmp(path);
  const waits = assert.rejects(qmp.execute("wait"), refused("PB5062"));
  await assert.rejects(qmp.execute("die"), refused("PB5062"));
  await waits;
  await qmp.closed;
  await assert.rejects(qmp.execute("more"), refused("PB5062"));
});

test("a monitor that does not greet, and one that is not there", async (t) => {
  const mute = await monitor(t, () => {}, "");
  await assert.rejects(connectQmp(mute, 30), refused("PB5057"));
  await assert.rejects(connectQmp(`${mute}.none`), refused("PB5062"));
});
