import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { createServer, type Socket } from "node:net";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually } from "../daemon.ts";
import { needs } from "../needs.ts";
import { type World, world } from "./qemu-world.ts";

const program = fileURLToPath(new URL("qemu-console.ts", import.meta.url));

/** A socket that behaves as QEMU's serial console: one client, and everything it sends comes back in capitals. */
async function echo(at: World): Promise<{ path: string; received: () => string; hangUp: () => void }> {
  const path = `${at.folder}/serial.sock`;
  let client: Socket | undefined;
  let received = "";
  const server = createServer((socket) => {
    client = socket;
    socket.on("data", (bytes: Buffer) => {
      received += bytes.toString();
      socket.write(bytes.toString().toUpperCase());
    });
    socket.on("error", () => {});
  });
  server.listen(path);
  await once(server, "listening");
  at.after(() => {
    client?.destroy();
    server.close();
  });
  return { path, received: () => received, hangUp: () => void client?.destroy() };
}

function attach(at: World, command: string, args: string[]): ChildProcessWithoutNullStreams {
  const child = spawn(command, args);
  at.after(() => child.kill("SIGKILL"));
  return child;
}

/** Waits until a stream has shown `pattern`. */
async function shows(
  child: ChildProcessWithoutNullStreams,
  stream: "stdout" | "stderr",
  pattern: RegExp,
): Promise<void> {
  let text = "";
  for await (const chunk of child[stream].iterator({ destroyOnReturn: false })) {
    text += String(chunk);
    if (pattern.test(text)) return;
  }
  assert.fail(`no ${pattern} in ${text}`);
}

test("a pipe talks to the console, Ctrl-] detaches, and what was typed before it arrives", async (t) => {
  if (!needs(t, "root", "netns")) return;
  const at = world(t);
  const serial = await echo(at);
  const first = attach(at, process.execPath, [program, serial.path]);
  await shows(first, "stderr", /Attached.*Ctrl-\]/);
  first.stdin.write("hello\n");
  await shows(first, "stdout", /HELLO/);

  const second = attach(at, process.execPath, [program, serial.path]);
  await Promise.all([shows(second, "stderr", /PB5061: Somebody else is attached/), once(second, "exit")]);
  assert.equal(second.exitCode, 1);

  first.stdin.write("last\x1dnever");
  await Promise.all([shows(first, "stderr", /Detached.*end: detached/s), once(first, "exit")]);
  assert.equal(first.exitCode, 0);
  await eventually("what was typed last", () => Promise.resolve(serial.received() === "hello\nlast"));

  const third = attach(at, process.execPath, [program, serial.path]);
  await shows(third, "stderr", /Attached/);
  // It knows of its connection before that is accepted.
  third.stdin.write("here\n");
  await shows(third, "stdout", /HERE/);
  serial.hangUp();
  await shows(third, "stderr", /the guest is gone.*end: guest gone/s);
});

test("where no guest is, the console says so", async (t) => {
  if (!needs(t, "root", "netns")) return;
  const at = world(t);
  for (const path of [`${at.folder}/serial.sock`, `${at.folder}/none/serial.sock`]) {
    const child = attach(at, process.execPath, [program, path]);
    await shows(child, "stderr", /PB5061: .*kubectl get vmi/);
  }
});

test("a terminal is raw while attached, and afterwards as before, also after SIGTERM", async (t) => {
  if (!needs(t, "root", "netns")) return;
  const at = world(t);
  const serial = await echo(at);
  const attachLine = `${process.execPath} ${program} ${serial.path}`;
  const inTerminal = (line: string) => attach(at, "script", ["-qec", line, "/dev/null"]);

  const typed = inTerminal(`stty -g > ${at.folder}/1; ${attachLine}; stty -g > ${at.folder}/2; echo over`);
  await shows(typed, "stdout", /Attached/);
  // A cooked terminal would keep Ctrl-C for itself.
  typed.stdin.write("\x03raw");
  await shows(typed, "stdout", /RAW/);
  assert.equal(serial.received(), "\x03raw");
  typed.stdin.write("\x1d");
  await shows(typed, "stdout", /over/);
  const settings = (name: string) => fs.readFileSync(`${at.folder}/${name}`, "utf8");
  assert.equal(settings("1"), settings("2"));

  const ended = inTerminal(
    `sh -c 'echo $$ > ${at.folder}/pid; exec ${attachLine}'; stty -g > ${at.folder}/3; echo over`,
  );
  await shows(ended, "stdout", /Attached/);
  process.kill(Number(fs.readFileSync(`${at.folder}/pid`, "utf8")), "SIGTERM");
  await shows(ended, "stdout", /over/);
  assert.equal(settings("1"), settings("3"));
});
