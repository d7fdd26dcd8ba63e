import assert from "node:assert/strict";
import { once } from "node:events";
import * as fs from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { type TestContext, test } from "node:test";
import { isFault } from "../../model/fault.ts";
import type { AgentReport } from "../../model/guest/agent.ts";
import { type AgentPace, type AgentWatch, watchAgent } from "./agent-watch.ts";
import { guestAgent } from "./guest-agent.ts";
import type { Qmp } from "./qmp.ts";

const INTERFACES = [
  {
    name: "eth0",
    "hardware-address": "02:00:00:00:00:01",
    "ip-addresses": [{ "ip-address-type": "ipv4", "ip-address": "10.0.2.2", prefix: 24 }],
  },
];
/** What a sane agent returns, by command. */
const RETURNS: Readonly<Record<string, unknown>> = {
  "guest-network-get-interfaces": INTERFACES,
  "guest-get-osinfo": { id: "test" },
  "guest-get-host-name": { "host-name": "deb\u0000ian" },
  "guest-get-timezone": { offset: 0 },
  "guest-info": { version: "7.2.0", supported_commands: [] },
  "guest-get-users": [{ user: "root", "login-time": 1795265085.7 }, { user: 1 }, null],
  "guest-get-fsinfo": [
    {
      name: "vda1",
      mountpoint: "/",
      type: "ext4",
      "total-bytes": 4096,
      "used-bytes": 1024,
      disk: [{ serial: "a", "bus-type": "virtio", dev: "/dev/vda1" }, 7],
    },
    { name: "vdb", mountpoint: "/mnt", type: "iso9660", disk: {} },
    { name: "nothing" },
  ],
  "guest-ping": {},
  "guest-exec": { pid: 7 },
};
const SAID = {
  interfaces: [{ name: "eth0", mac: "02:00:00:00:00:01", addresses: ["10.0.2.2"] }],
  os: { id: "test" },
  hostname: "debian",
  version: "7.2.0",
  users: [{ userName: "root", loginTime: 1795265085 }],
  filesystems: [
    {
      diskName: "vda1",
      mountPoint: "/",
      fileSystemType: "ext4",
      usedBytes: 1024,
      totalBytes: 4096,
      disk: [{ serial: "a", busType: "virtio" }],
    },
    { diskName: "vdb", mountPoint: "/mnt", fileSystemType: "iso9660", usedBytes: -1, totalBytes: -1, disk: [] },
  ],
};

type Answer = (command: string, socket: Socket, id: unknown) => void;

/** What a sane agent does. */
const answers: Answer = (command, socket, id) => {
  const reply = (value: unknown): void => void socket.write(`${JSON.stringify({ return: value })}\n`);
  if (command === "guest-sync-delimited") socket.write(Uint8Array.of(0xff));
  reply(command === "guest-sync-delimited" ? id : RETURNS[command]);
};

interface Channel {
  readonly path: string;
  answer: Answer;
  calls: number;
  /** Connections that are open. */
  readonly sockets: Set<Socket>;
}

/** QEMU's socket with an agent behind it. */
async function channel(t: TestContext, answer: Answer = answers): Promise<Channel> {
  const folder = fs.mkdtempSync(`${tmpdir()}/agent-`);
  const made: Channel = { path: `${folder}/agent.sock`, answer, calls: 0, sockets: new Set() };
  const server = createServer((socket) => {
    made.sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => made.sockets.delete(socket));
    let text = "";
    socket.on("data", (bytes: Buffer) => {
      text += bytes.toString("latin1").replaceAll("\xff", "");
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) {
        const command = JSON.parse(line);
        made.calls += 1;
        made.answer(command.execute, socket, command.arguments?.id);
      }
    });
  });
  server.listen(made.path);
  await once(server, "listening");
  t.after(() => {
    for (const socket of made.sockets) socket.destroy();
    server.close();
    fs.rmSync(folder, { recursive: true });
  });
  return made;
}

const silent =
  (words: RegExp) =>
  (thrown: unknown): boolean =>
    isFault(thrown, "PB5063") && words.test(thrown.message);

test("an agent is asked over one connection, whatever it said before", async (t) => {
  const at = await channel(t, (command, socket, id) => {
    if (command === "guest-sync-delimited") {
      // The answer of a call that was given up, and one of an older synchronisation.
      socket.write(`{"return": [{"name": "old"}]}\n{"error": {}}\nhalf of a li`);
      socket.write(Buffer.from('\xff{"return": 77}\n', "latin1"));
    }
    answers(command, socket, id);
  });
  const agent = guestAgent(at.path);
  t.after(() => agent.close());
  assert.deepEqual(await agent.ask(), SAID);
  assert.deepEqual(await agent.ask(), SAID);
  assert.equal(at.sockets.size, 1);
});

test("an agent that does not know its system is asked for its interfaces all the same", async (t) => {
  const at = await channel(t, (command, socket, id) => {
    if (command !== "guest-get-osinfo") return answers(command, socket, id);
    socket.write('{"error": {"class": "CommandNotFound", "desc": "no such command"}}\n');
  });
  const agent = guestAgent(at.path);
  t.after(() => agent.close());
  const { os: _, ...others } = SAID;
  assert.deepEqual(await agent.ask(), others);
});

test("pings, programs and questions take turns on one connection", async (t) => {
  let looks = 0;
  const at = await channel(t, (command, socket, id) => {
    if (command !== "guest-exec-status") return answers(command, socket, id);
    looks += 1;
    socket.write(`${JSON.stringify({ return: looks < 2 ? { exited: false } : { exited: true, exitcode: 3 } })}\n`);
  });
  const agent = guestAgent(at.path);
  t.after(() => agent.close());
  const done = await Promise.all([agent.ask(), agent.exec(["/bin/false"], 5_000), agent.ping(5_000), agent.ask()]);
  assert.deepEqual(done, [SAID, 3, undefined, SAID]);
  assert.equal(at.sockets.size, 1);
  at.answer = () => {};
  await assert.rejects(agent.ping(50), silent(/nothing came in time/));
});

test("agents that babble, lie, refuse, hang or hang up are told from one that answers", async (t) => {
  const at = await channel(t);
  const babbles =
    (text: string): Answer =>
    (_command, socket) => {
      const more = (): void => {
        while (socket.writable && socket.write(Buffer.from(text.repeat(10_000), "latin1")));
        socket.once("drain", more);
      };
      more();
    };
  const instead =
    (bytes: string): Answer =>
    (command, socket, id) => {
      if (command === "guest-sync-delimited") answers(command, socket, id);
      else socket.write(bytes);
    };
  for (const [answer, words] of [
    [babbles("1\n"), /talks without end/],
    [babbles("x"), /talks without end/],
    [babbles("\xff"), /talks without end/],
    [() => {}, /nothing came in time/],
    [(_command, socket) => socket.write('{"return": 1}\n'), /nothing came in time/],
    [(_command, socket) => socket.destroy(), /channel was closed/],
    [instead("nonsense\n"), /not of its protocol/],
    [instead('{"return": {}}\n'), /no list/],
    [instead('{"error": {"desc": "blocked"}}\n'), /refuses guest-network-get-interfaces: blocked/],
  ] as const satisfies readonly (readonly [Answer, RegExp])[]) {
    // Only who says nothing is to run out of time, however busy the machine is.
    const timeoutMs = words.source.startsWith("nothing") ? 2_000 : 30_000;
    const agent = guestAgent(at.path, { timeoutMs, bytes: 100_000 });
    at.answer = answer;
    await assert.rejects(agent.ask(), silent(words));
    at.answer = answers;
    assert.deepEqual(await agent.ask(), SAID, `after ${words}`);
    agent.close();
  }
  await assert.rejects(guestAgent(`${at.path}.none`).ask(), silent(/ENOENT/));
});

/** QEMU as far as the channel goes. */
interface Monitor extends Qmp {
  turn(open: boolean): void;
}

/** `tells`: the port has an id, without which QEMU says nothing of it. */
function monitor(t: TestContext, tells = true): Monitor {
  const listeners = new Set<Parameters<Qmp["onEvent"]>[0]>();
  const closed = Promise.withResolvers<void>();
  let open = false;
  t.after(() => closed.resolve());
  return {
    version: "7.2.0",
    execute: (command) =>
      Promise.resolve(
        command === "query-status"
          ? { running: true, status: "running" }
          : [
              { label: "qmp", "frontend-open": true },
              { label: "agent0", "frontend-open": open },
            ],
      ),
    onEvent(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    closed: closed.promise,
    close: () => closed.resolve(),
    turn(now) {
      open = now;
      if (!tells) return;
      for (const listener of listeners)
        listener({ name: "VSERPORT_CHANGE", data: { id: "agent-port", open }, time: 0 });
    },
  };
}

const QUICK: AgentPace = { first: 5, last: 40, closed: 10, remembered: 100, settling: 50 };

/** The watch, and its reports one by one. */
function watched(at: Channel, qmp: Qmp, pace: Partial<AgentPace>, earlier?: AgentReport) {
  const reports: AgentReport[] = [];
  let told = Promise.withResolvers<void>();
  const watch: AgentWatch = watchAgent({
    qmp,
    path: at.path,
    earlier,
    pace: { ...QUICK, ...pace },
    changed(report) {
      reports.push(report);
      told.resolve();
    },
  });
  return {
    watch,
    async next(): Promise<AgentReport> {
      while (reports.length === 0) {
        await told.promise;
        told = Promise.withResolvers();
      }
      const [first] = reports.splice(0, 1);
      assert.ok(first !== undefined);
      return first;
    },
  };
}

test("a report comes when the channel opens, its addresses settle, it closes and is forgotten", async (t) => {
  const at = await channel(t);
  const qmp = monitor(t);
  const { watch, next } = watched(at, qmp, { closed: 5 });
  assert.deepEqual(watch.report(), { channel: "closed", settled: false });
  qmp.turn(true);
  assert.deepEqual(await next(), { channel: "open", said: SAID, settled: false });
  assert.deepEqual(await next(), { channel: "open", said: SAID, settled: true });
  qmp.turn(false);
  assert.deepEqual(await next(), { channel: "closed", said: SAID, settled: true });
  assert.deepEqual(await next(), { channel: "closed", settled: false });
  assert.deepEqual(watch.report(), { channel: "closed", settled: false });
});

test("the agent of a guest whose QEMU does not tell of its channel is found by looking", async (t) => {
  const at = await channel(t);
  const qmp = monitor(t, false);
  const { next } = watched(at, qmp, { settling: 60_000 });
  qmp.turn(true);
  assert.equal((await next()).channel, "open");
  qmp.turn(false);
  assert.equal((await next()).channel, "closed");
});

test("an agent that starts again within its time is not forgotten, and nothing changes but its channel", async (t) => {
  const at = await channel(t);
  const qmp = monitor(t);
  const earlier: AgentReport = { channel: "open", said: SAID, settled: true };
  const { next } = watched(at, qmp, { remembered: 60_000 }, earlier);
  // What the earlier daemon knew holds until the first look, which finds the channel closed.
  assert.deepEqual(await next(), { channel: "closed", said: SAID, settled: true });
  qmp.turn(true);
  assert.deepEqual(await next(), earlier);
  const renamed = [{ ...INTERFACES[0], name: "ens3" }];
  at.answer = (command, socket, id) =>
    command === "guest-network-get-interfaces"
      ? void socket.write(`${JSON.stringify({ return: renamed })}\n`)
      : answers(command, socket, id);
  assert.equal((await next()).said?.interfaces[0]?.name, "ens3", "it is asked again");
});

test("an agent that answers no more is said to be mute after three calls, keeps what it said, and is heard again", async (t) => {
  const at = await channel(t);
  const qmp = monitor(t);
  const { next } = watched(at, qmp, { settling: 60_000 });
  qmp.turn(true);
  assert.equal((await next()).channel, "open");
  at.answer = (_command, socket) => void socket.destroy();
  const mute = await next();
  assert.match(mute.trouble ?? "", /channel was closed.*restart it/s);
  assert.deepEqual({ ...mute, trouble: "" }, { channel: "mute", said: SAID, settled: false, trouble: "" });
  at.answer = answers;
  assert.deepEqual(await next(), { channel: "open", said: SAID, settled: false });
});

test("a watch ends with its guest: nobody is asked any more", async (t) => {
  const at = await channel(t);
  const qmp = monitor(t);
  const { next } = watched(at, qmp, { settling: 60_000 });
  qmp.turn(true);
  await next();
  const [socket] = at.sockets;
  assert.ok(socket !== undefined);
  const gone = once(socket, "close");
  qmp.close();
  await gone;
  const calls = at.calls;
  qmp.turn(false);
  qmp.turn(true);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(at.calls, calls);
});
