import assert from "node:assert/strict";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { cut } from "./guest-log.ts";
import { type LogReading, type LogSource, readLogs } from "./log-reader.ts";

function folder(t: TestContext): string {
  const path = fs.mkdtempSync(`${tmpdir()}/log-reader-`);
  t.after(() => fs.rmSync(path, { recursive: true, force: true }));
  return path;
}

async function read(sources: readonly LogSource[], reading: LogReading = {}): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of readLogs(sources, reading)) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

test("files are read as one, each line with its file's beginning, and of nothing or a link nothing", async (t) => {
  const at = folder(t);
  fs.writeFileSync(`${at}/qemu`, "one\ntwo\n");
  fs.writeFileSync(`${at}/passt`, "three\nfour");
  fs.symlinkSync("qemu", `${at}/link`);
  fs.mkdirSync(`${at}/folder`);
  const sources = [
    { path: `${at}/qemu` },
    { path: `${at}/none` },
    { path: `${at}/link` },
    { path: `${at}/folder` },
    { path: `${at}/passt`, lineStart: "passt: " },
  ];
  assert.equal(await read(sources), "one\ntwo\npasst: three\npasst: four");
  assert.equal(await read(sources, { tailLines: 3 }), "two\npasst: three\npasst: four");
  assert.equal(await read(sources, { tailLines: 1 }), "passt: four");
  assert.equal(await read(sources, { tailLines: 0 }), "");
  assert.equal(await read(sources, { tailLines: 9 }), await read(sources));
});

test("the last lines are those that the whole text ends with, however long they are", async (t) => {
  const path = `${folder(t)}/log`;
  const lengths = fc.array(fc.oneof(fc.nat(5), fc.constantFrom(65_534, 65_535, 65_536, 70_000)), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(lengths, fc.boolean(), fc.nat(7), async (all, ended, tailLines) => {
      const lines = all.map((length, index) => `${String(index).repeat(length)}\n`);
      const text = ended ? lines.join("") : lines.join("").replace(/\n$/, "");
      fs.writeFileSync(path, text);
      const whole = text === "" ? [] : text.replace(/\n$/, "").split("\n");
      const wanted = tailLines === 0 ? [] : whole.slice(-tailLines);
      const last = text.endsWith("\n") && wanted.length > 0 ? "\n" : "";
      assert.equal(await read([{ path }], { tailLines }), wanted.join("\n") + last);
      assert.equal(await read([{ path, lineStart: "" }]), text);
    }),
    { numRuns: 60 },
  );
});

/** Reads on, and gives a way to wait for the text so far. */
function following(t: TestContext, sources: readonly LogSource[], tailLines?: number) {
  const calledOff = new AbortController();
  t.after(() => calledOff.abort());
  let [text, over, ended] = ["", false, false];
  const work = (async () => {
    const follow = { over: () => over, signal: calledOff.signal };
    for await (const piece of readLogs(sources, { ...(tailLines === undefined ? {} : { tailLines }), follow })) {
      text += Buffer.from(piece).toString();
    }
    ended = true;
  })();
  const comes = async (wanted: string): Promise<void> => {
    const deadline = performance.now() + 60_000;
    while (text !== wanted) {
      assert.ok(performance.now() < deadline && !ended, JSON.stringify(text.slice(-200)));
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  return {
    comes,
    text: () => text,
    calledOff,
    end: async () => {
      over = true;
      await work;
      return text;
    },
    work,
  };
}

test("what comes later is read as it comes, also once the files are gone, up to the last word", async (t) => {
  const at = folder(t);
  const [one, two] = [`${at}/one`, `${at}/two`];
  fs.writeFileSync(one, "before\nfirst\n");
  const reader = following(t, [{ path: one }, { path: two, lineStart: "two: " }], 1);
  await reader.comes("first\n");
  fs.appendFileSync(one, "login: ");
  await reader.comes("first\nlogin: ");
  fs.writeFileSync(two, "here\nnot yet");
  await reader.comes("first\nlogin: two: here\n");
  // As a process that is started again makes it.
  fs.rmSync(two);
  fs.writeFileSync(two, "anew\n");
  const writer = fs.openSync(one, "a");
  await reader.comes("first\nlogin: two: here\ntwo: not yet\ntwo: anew\n");
  fs.rmSync(one);
  fs.writeSync(writer, "root\n");
  fs.closeSync(writer);
  assert.equal(await reader.end(), "first\nlogin: two: here\ntwo: not yet\ntwo: anew\nroot\n");
});

test("a file that is cut meanwhile is read on where it was, and one that began anew at its end", async (t) => {
  const path = `${folder(t)}/log`;
  const before = "x".repeat(1_000);
  fs.writeFileSync(path, before);
  const reader = following(t, [{ path }]);
  await reader.comes(before);
  cut(path, 500, 100);
  fs.appendFileSync(path, "y");
  await reader.comes(`${before}y`);
  fs.truncateSync(path, 10);
  const deadline = performance.now() + 60_000;
  while (!reader.text().endsWith("z") && performance.now() < deadline) {
    fs.appendFileSync(path, "z");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.match(reader.text(), /^x+yz+$/);
  reader.calledOff.abort();
  await reader.work;
  assert.equal(fs.readdirSync("/proc/self/fd").filter((fd) => linkOf(fd) === path).length, 0, "nothing stays open");
});

function linkOf(fd: string): string {
  try {
    return fs.readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return "";
  }
}
