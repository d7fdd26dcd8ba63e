// passt as a process, without a guest: one a NIC, told of where it cannot be, ended with its guest.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { findPassts, type PasstNic, passtNics, startPasst, stopPasst } from "../../src/host/guest/passt.ts";
import { endPassts, keepPassts, type PasstKeeper } from "../../src/host/guest/passt-keeper.ts";
import { findQemuUser, isRunning } from "../../src/host/guest/process.ts";
import { createNetns, deleteNetns } from "../../src/host/linux/netns.ts";
import { isFault } from "../../src/model/fault.ts";
import type { GuestNic } from "../../src/model/wiring/wiring.ts";
import { eventually } from "../daemon.ts";
import { needs } from "../needs.ts";

const NIC: GuestNic = {
  name: "default",
  attachment: {
    kind: "stream",
    process: "passt",
    device: "eth0",
    families: [4],
    ports: { tcp: [{ port: 8080 }], udp: [] },
    nameservers: ["10.96.0.10"],
    search: [],
  },
  model: "virtio",
  mac: "02:00:00:00:00:01",
  mtu: 1500,
  queues: 1,
  linkUp: true,
};

interface Place {
  readonly netns: string;
  readonly runDir: string;
  readonly wanted: PasstNic;
}

let count = 0;

/** A pod with these `ip` commands done in it, a guest's folder, and somebody who listens there in QEMU's place. */
async function placeOf(t: TestContext, commands: readonly string[]): Promise<Place> {
  count += 1;
  const name = `pbpasst-${process.pid}-${count}`;
  const netns = createNetns(name);
  t.after(() => deleteNetns(name));
  for (const command of commands) execFileSync("ip", ["-n", name, ...command.split(" ")]);
  const runDir = mkdtempSync(join(tmpdir(), "pbpasst-"));
  t.after(() => rmSync(runDir, { recursive: true, force: true }));
  const { uid, gid } = findQemuUser();
  execFileSync("chown", [`${uid}:${gid}`, runDir]);
  chmodSync(runDir, 0o700);
  const [wanted] = passtNics([NIC], runDir);
  assert.ok(wanted !== undefined);
  t.after(() => endPassts([NIC], runDir));
  const server = createServer((socket) => socket.on("error", () => undefined).resume());
  server.listen(wanted.files.socket);
  await once(server, "listening");
  t.after(() => server.close());
  return { netns, runDir, wanted };
}

const POD = [
  "link add eth0 type veth peer name far0",
  "link set eth0 up",
  "link set far0 up",
  "address add 10.9.0.5/24 dev eth0",
  "route add default via 10.9.0.1",
];

test("it listens as it is told, without rights, and is found by whoever looks", async (t) => {
  if (!needs(t, "root", "netns", "veth", "passt", "qemu")) return;
  const place = await placeOf(t, POD);
  const passt = await startPasst(place.wanted, place);
  const { stdout } = spawnSync("nsenter", [`--net=${place.netns}`, "ss", "-Hlnt"], { encoding: "utf8" });
  assert.deepEqual(
    stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.split(/\s+/)[3]),
    ["0.0.0.0:8080"],
  );
  assert.deepEqual(
    findPassts(place.wanted).map(({ pid }) => pid),
    [passt.pid],
  );
  const status = execFileSync("grep", ["-E", "^(Uid|CapEff|Seccomp):", `/proc/${passt.pid}/status`], {
    encoding: "utf8",
  });
  assert.match(status, new RegExp(`Uid:\\s+${findQemuUser().uid}\\s[^]*CapEff:\\s+0+\\nSeccomp:\\s+2`));
  await stopPasst(passt);
  assert.deepEqual(findPassts(place.wanted), []);
});

test("a keeper starts one where there is none, takes the one that is there, and ends it", async (t) => {
  if (!needs(t, "root", "netns", "veth", "passt", "qemu")) return;
  const place = await placeOf(t, POD);
  const qmp = { onEvent: () => () => undefined, closed: new Promise<void>(() => {}), execute: async () => ({}) };
  // It is told of a change, so that none is missed however short it is.
  const changes: (string | undefined)[] = [];
  let watched: PasstKeeper | undefined;
  const guest = { ...place, nics: [NIC], qmp, changed: () => changes.push(watched?.fault()?.code) };
  const first = keepPassts(guest);
  assert.equal(first.fault()?.code, "PB5065", "it does not run yet");
  await first.begun;
  assert.equal(first.fault(), undefined);
  const [one] = findPassts(place.wanted);
  assert.ok(one !== undefined);
  first.release();
  const second = keepPassts(guest);
  await second.begun;
  assert.deepEqual(findPassts(place.wanted), [one]);
  await second.stop();
  assert.ok(!isRunning(one));

  const third = keepPassts(guest);
  watched = third;
  await third.begun;
  const [killed] = findPassts(place.wanted);
  assert.ok(killed !== undefined);
  process.kill(killed.pid, "SIGKILL");
  await eventually("a fault, and another passt", () =>
    Promise.resolve(changes.length >= 2 && third.fault() === undefined),
  );
  assert.equal(findPassts(place.wanted).length, 1);
  assert.deepEqual(changes, ["PB5065", undefined]);
  await third.stop();
  assert.deepEqual(findPassts(place.wanted), []);
});

test("one that hangs when it is started keeps nobody waiting, neither who goes on nor who ends it", async (t) => {
  if (!needs(t, "root", "netns", "veth", "passt", "qemu")) return;
  const place = await placeOf(t, POD);
  // Enough ports that it is caught before it is ready.
  const nic = { ...NIC, attachment: { ...NIC.attachment, ports: { tcp: [{ port: 1024, last: 5_000 }], udp: [] } } };
  const qmp = { onEvent: () => () => undefined, closed: new Promise<void>(() => {}), execute: async () => ({}) };
  const guest = { ...place, nics: [nic], qmp, changed: () => undefined };
  /** A keeper with its passt stopped before it is ready. */
  const caught = async (): Promise<{ readonly keeper: PasstKeeper; readonly pid: number }> => {
    const keeper = keepPassts(guest);
    t.after(() => keeper.stop());
    let [hanging] = findPassts(place.wanted);
    while (hanging === undefined) {
      await setImmediate();
      [hanging] = findPassts(place.wanted);
    }
    process.kill(hanging.pid, "SIGSTOP");
    if (!existsSync(place.wanted.files.ready)) return { keeper, pid: hanging.pid };
    await keeper.stop();
    return caught();
  };
  for (const goesOn of [true, false]) {
    const { keeper, pid } = await caught();
    assert.equal(keeper.fault()?.code, "PB5065");
    if (goesOn) {
      process.kill(pid, "SIGCONT");
      await keeper.begun;
      assert.equal(keeper.fault(), undefined);
    }
    await keeper.stop();
    assert.deepEqual(findPassts(place.wanted), []);
  }
});

test("what keeps it from starting is told, and nothing of it is left", async (t) => {
  if (!needs(t, "root", "netns", "veth", "passt", "qemu")) return;
  const bare = await placeOf(t, POD.slice(0, 3));
  await assert.rejects(startPasst(bare.wanted, bare), (thrown) => {
    assert.ok(isFault(thrown, "PB5066"));
    assert.match(thrown.message, /^passt for the interface "default" cannot be started: \S/);
    return true;
  });
  assert.deepEqual(findPassts(bare.wanted), []);
});

test("links that a guest left in its folder are not followed: nothing of root's is emptied or reached", async (t) => {
  if (!needs(t, "root", "netns", "veth", "passt", "qemu")) return;
  const place = await placeOf(t, POD);
  const { files } = place.wanted;
  const others = mkdtempSync(join(tmpdir(), "pbpasst-"));
  t.after(() => rmSync(others, { recursive: true, force: true }));
  const own = join(others, "own");
  writeFileSync(own, "root's own");
  for (const path of [files.errors, files.ready]) symlinkSync(own, path);
  const passt = await startPasst(place.wanted, place);
  assert.equal(readFileSync(own, "utf8"), "root's own");
  await stopPasst(passt);

  renameSync(files.socket, join(place.runDir, "elsewhere.sock"));
  symlinkSync(join(place.runDir, "elsewhere.sock"), files.socket);
  await assert.rejects(startPasst(place.wanted, place), (thrown) => isFault(thrown, "PB5066"));
  assert.deepEqual(findPassts(place.wanted), []);
});

test("whoever asks for passt on a machine without it is told so", (t) => {
  if (!needs(t, "root", "netns", "passt")) return;
  const script = `import("${join(import.meta.dirname, "../../src/cli/host-warnings.ts")}").then(async ({ makeHostWarnings }) => {
    const warnings = makeHostWarnings({ images: {}, confDir: "/nonexistent", binDirs: [], log: console });
    const sidecarImages = { ours: "registry.example/network-passt-binding:1", other: "registry.example/other:1" };
    const binding = Object.fromEntries(Object.entries(sidecarImages).map(([name, sidecarImage]) => [name, { sidecarImage }]));
    for (const connection of [
      { passt: {} }, { passtBinding: {} }, { binding: { name: "ours" } }, { binding: { name: "other" } }, { masquerade: {} },
    ]) {
      const interfaces = [{ name: "default", ...connection }];
      const spec = { domain: { devices: { interfaces } }, networks: [{ name: "default", pod: {} }] };
      const object = { kind: "VirtualMachineInstance", metadata: {}, spec };
      const told = (await warnings(object, [], { network: { binding } })).filter((one) => one.includes("passt"));
      console.log([JSON.stringify(connection), ...told].join(" "));
    }
  });`;
  const hidden = 'mount --bind /dev/null "$(readlink -f /usr/bin/passt)" && exec "$0" -e "$1"';
  const { stdout, stderr } = spawnSync("unshare", ["--mount", "sh", "-c", hidden, process.execPath, script], {
    encoding: "utf8",
  });
  const lines = stdout.trimEnd().split("\n");
  assert.equal(lines.length, 5, stderr);
  const told =
    /^\S+ PB5066: .*passt for the interface "default" cannot be started: this machine has no passt\. Run \.\/patchbay setup\.$/;
  assert.deepEqual(
    lines.map((line) => told.test(line)),
    [true, true, true, false, false],
    stdout,
  );
});
