import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { unixConnection } from "../linux/unix-socket.ts";
import { connectSocket, createFile, removeName, withSocket } from "./guest-folder.ts";

function folder(t: TestContext): string {
  const made = fs.mkdtempSync(join(tmpdir(), "patchbay-folder-"));
  t.after(() => fs.rmSync(made, { recursive: true, force: true }));
  return made;
}

async function listening(t: TestContext, path: string): Promise<void> {
  const server = createServer((socket) => socket.on("error", () => {}).end("hello"));
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(path, resolve));
}

test("a file is made anew where a guest that broke out left a link, a pipe or a file of its own", (t) => {
  const here = folder(t);
  const [victim, path] = [join(here, "victim"), join(here, "nic0.err")];
  fs.writeFileSync(victim, "root's own");
  const leave: readonly (() => void)[] = [
    () => fs.symlinkSync(victim, path),
    () => fs.symlinkSync(join(here, "nowhere"), path),
    () => fs.linkSync(victim, path),
    () => execFileSync("mkfifo", [path]),
    () => fs.writeFileSync(path, "old"),
    () => undefined,
  ];
  for (const prepare of leave) {
    prepare();
    const fd = createFile(path, 0o600);
    fs.writeSync(fd, "words");
    fs.closeSync(fd);
    assert.ok(fs.lstatSync(path).isFile() && fs.lstatSync(path).nlink === 1);
    assert.equal(fs.readFileSync(path, "utf8"), "words");
    assert.equal(fs.readFileSync(victim, "utf8"), "root's own");
    removeName(path);
  }
  assert.ok(!fs.existsSync(join(here, "nowhere")));
  fs.mkdirSync(path);
  assert.throws(() => createFile(path, 0o600));
});

test("a socket is reached by its own name alone: not through a link, nor is what is no socket", async (t) => {
  const here = folder(t);
  const [path, link] = [join(here, "nic0.sock"), join(here, "link.sock")];
  await listening(t, path);
  fs.symlinkSync(path, link);
  fs.writeFileSync(join(here, "file"), "");

  fs.closeSync(withSocket(path, unixConnection));
  const said = await new Promise<string>((resolve, reject) => {
    connectSocket(path)
      .once("error", reject)
      .once("data", (bytes) => resolve(String(bytes)));
  });
  assert.equal(said, "hello");

  for (const wrong of [link, join(here, "file"), join(here, "nothing")]) {
    assert.throws(() => withSocket(wrong, unixConnection), wrong);
    const error = await new Promise((resolve, reject) => {
      connectSocket(wrong).once("error", resolve).once("connect", reject);
    });
    assert.ok(error instanceof Error, wrong);
  }
});
