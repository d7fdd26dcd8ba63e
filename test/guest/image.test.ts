import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, type TestContext, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { GUEST_IMAGE, GUEST_KERNEL_ARGS, guestPaths } from "../../src/host/images/build-guest.ts";
import { cloudInitDisk, containerDisk, kernelBoot } from "../../src/host/images/volumes.ts";
import { eventually, PATIENCE_MS } from "../daemon.ts";
import { needs } from "../needs.ts";
import { guestImages } from "./image-cache.ts";

/** Of the loopback interface; QEMU chose them. */
interface Ports {
  readonly page: number;
  readonly echo: number;
  /** By UDP. */
  readonly datagrams: number;
}

interface Guest {
  readonly process: ChildProcess;
  readonly ports: Ports;
  /** Types on the serial console. */
  type(text: string): void;
  /** Waits until the console has shown this. */
  shows(pattern: RegExp): Promise<void>;
  /** What the command returns. */
  qmp(command: string, args?: object): Promise<unknown>;
  /** Fetches the page until it matches. */
  page(...patterns: readonly RegExp[]): Promise<string>;
}

function scratch(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "patchbay-guest-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Starts QEMU without acceleration; a first NIC of the model is forwarded to, others are not. */
async function boot(
  t: TestContext,
  args: readonly string[],
  models: readonly string[] = ["virtio-net-pci"],
): Promise<Guest> {
  // Ports that are free when QEMU takes them: one that was found here might be another's by then.
  const forwards = ["tcp:127.0.0.1:0-:80", "tcp:127.0.0.1:0-:7", "udp:127.0.0.1:0-:7"];
  const nics = models.flatMap((model, index) => [
    "-netdev",
    [
      `user,id=n${index},ipv4=on,ipv6=on,net=10.0.${2 + index}.0/24`,
      ...(index === 0 ? forwards.map((forward) => `hostfwd=${forward}`) : []),
    ].join(","),
    "-device",
    `${model},netdev=n${index},romfile=`,
  ]);
  const socket = join(scratch(t), "qmp.sock");
  const machine = [
    "-machine",
    "q35",
    "-accel",
    "tcg",
    "-cpu",
    "qemu64",
    "-m",
    "256M",
    "-nodefaults",
    "-display",
    "none",
  ];
  const control = [
    "-serial",
    "stdio",
    "-qmp",
    `unix:${socket},server=on,wait=off`,
    "-device",
    "pcie-root-port,id=spare,chassis=1",
  ];
  const child = spawn("qemu-system-x86_64", [...machine, ...control, ...nics, ...args], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  const started = performance.now();
  let console = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    if (!console.includes("patchbay-guest: init") && `${console}${text}`.includes("patchbay-guest: init")) {
      t.diagnostic(`init after ${Math.round(performance.now() - started)} ms`);
    }
    console += text;
  });
  const within = async <T>(what: string, attempt: () => Promise<T | undefined>): Promise<T> => {
    for (const end = performance.now() + PATIENCE_MS; performance.now() < end; await setTimeout(50)) {
      assert.equal(child.exitCode, null, `QEMU ended while waiting for ${what}; console:\n${console}`);
      const value = await attempt();
      if (value !== undefined) return value;
    }
    assert.fail(`no ${what} within ${PATIENCE_MS} ms; console:\n${console}`);
  };
  const connected = (): Promise<Socket | undefined> =>
    new Promise((resolve) => {
      const link = connect(socket);
      link.once("connect", () => resolve(link)).once("error", () => resolve(undefined));
    });
  const qmp = async (command: string, args: object = {}): Promise<unknown> => {
    const link = await within("QEMU's socket", connected);
    const lines = createInterface(link)[Symbol.asyncIterator]();
    const ask = async (execute: string, argument: object): Promise<unknown> => {
      link.write(`${JSON.stringify({ execute, arguments: argument })}\n`);
      for (;;) {
        const { value, done } = await lines.next();
        if (done === true) return undefined;
        const answer: unknown = JSON.parse(String(value));
        assert.ok(typeof answer === "object" && answer !== null);
        assert.ok(!("error" in answer), String(value));
        if ("return" in answer) return answer.return;
      }
    };
    await ask("qmp_capabilities", {});
    const returned = await ask(command, args);
    link.destroy();
    return returned;
  };
  const forwarded = String(await qmp("human-monitor-command", { "command-line": "info usernet" }));
  const portOf = (protocol: string, to: number): number => {
    const line = new RegExp(`^ *${protocol}\\[HOST_FORWARD\\] +\\d+ +127\\.0\\.0\\.1 +(\\d+) +\\S+ +${to} `, "m");
    const [, port] = line.exec(forwarded) ?? [];
    assert.ok(port !== undefined, `${protocol} ${to} is not forwarded:\n${forwarded}`);
    return Number(port);
  };
  const ports = { page: portOf("TCP", 80), echo: portOf("TCP", 7), datagrams: portOf("UDP", 7) };
  return {
    process: child,
    ports,
    type: (text) => void child.stdin.write(text),
    shows: (pattern) =>
      within(`${pattern}`, async () => (pattern.test(console) ? true : undefined)).then(() => undefined),
    qmp,
    page: (...patterns) =>
      within(`page with ${patterns.join(" and ")}`, async () => {
        // The head comes at once; the body of a guest with seven NICs takes seconds on a busy machine.
        const text = await fetch(`http://127.0.0.1:${ports.page}/`, { signal: AbortSignal.timeout(PATIENCE_MS / 2) })
          .then((answer) => answer.text())
          .catch(() => "");
        return text !== "" && patterns.every((pattern) => pattern.test(text)) ? text : undefined;
      }),
  };
}

async function kernelArguments(): Promise<string[]> {
  const store = await guestImages();
  const { kernel, initrd } = await kernelBoot(store, GUEST_IMAGE, guestPaths.kernel, guestPaths.initrd);
  assert.ok(initrd !== undefined);
  return ["-kernel", kernel, "-initrd", initrd, "-append", GUEST_KERNEL_ARGS];
}

/** Sends a block many times over one connection and hashes what comes back until the end. */
async function echoed(port: number, block: Buffer, times: number): Promise<{ bytes: number; hash: string }> {
  const link: Socket = connect(port, "127.0.0.1");
  const hash = createHash("sha256");
  let bytes = 0;
  link.on("data", (data) => {
    hash.update(data);
    bytes += data.length;
  });
  const end = once(link, "end");
  for (let index = 0; index < times; index++) if (!link.write(block)) await once(link, "drain");
  link.end();
  await end;
  return { bytes, hash: hash.digest("hex") };
}

async function echoedDatagram(port: number, data: Buffer): Promise<Buffer> {
  const socket = createSocket("udp4");
  try {
    // Datagrams may be lost; each attempt is answered or given up after a second.
    for (let attempt = 0; attempt < 60; attempt++) {
      socket.send(data, port, "127.0.0.1");
      const answer = await Promise.race([once(socket, "message"), setTimeout(1000)]);
      if (answer !== undefined) return answer[0] as Buffer;
    }
    assert.fail("no datagram came back");
  } finally {
    socket.close();
  }
}

// Each boots guests of one processor.
describe("the test guest", { concurrency: 2 }, () => {
  test("the guest started from kernel and initrd configures itself, serves, and can be plugged and switched off", async (t) => {
    if (!needs(t, "guestImage", "qemu")) return;
    const seed = join(scratch(t), "seed.img");
    await cloudInitDisk(
      {
        kind: "NoCloud",
        instanceId: "one.default",
        hostname: "named-by-seed",
        userData: Buffer.from("#!/bin/sh\necho user-data says $((6 * 7)) as $(hostname)\nexit 3\n"),
        networkData: Buffer.from("version: 2\nethernets:\n  eth0:\n    dhcp4: true\n"),
      },
      seed,
    );
    const disk = ["-drive", `file=${seed},format=raw,if=virtio,readonly=on`];
    const guest = await boot(t, [...(await kernelArguments()), ...disk]);

    await guest.shows(/patchbay-guest: init/);
    await guest.shows(/patchbay-guest: ready/);
    await guest.shows(/user-data says 42 as named-by-seed/);
    await guest.shows(/user-data ended with 3/);
    const page = await guest.page(/address: 10\.0\.2\.15\/24/, /address: fec0:/, /hostname: named-by-seed/);
    assert.match(page, /nic: eth0\n {2}mac: 52:54:00:12:34:56\n {2}mtu: 1500\n/);
    assert.match(page, /driver: virtio_net\n/);
    assert.match(page, /route: default via 10\.0\.2\.2 dev eth0/);
    assert.match(page, /resolv\.conf: nameserver 10\.0\.2\.3/);

    // The page and the echo are two programs' that start at once.
    await eventually("the echo", () =>
      echoed(guest.ports.echo, Buffer.of(7), 1).then(
        ({ bytes }) => bytes === 1,
        () => false,
      ),
    );
    const block = randomBytes(1024 * 1024);
    const expected = createHash("sha256");
    for (let index = 0; index < 64; index++) expected.update(block);
    assert.deepEqual(await echoed(guest.ports.echo, block, 64), {
      bytes: 64 * block.length,
      hash: expected.digest("hex"),
    });
    const datagram = randomBytes(1200);
    assert.deepEqual(await echoedDatagram(guest.ports.datagrams, datagram), datagram);

    const zeros = await fetch(`http://127.0.0.1:${guest.ports.page}/cgi-bin/bytes?3`);
    assert.deepEqual(Buffer.from(await zeros.arrayBuffer()), Buffer.alloc(3 * 1024 * 1024));

    guest.type("echo from the shell: $((40 + 2)) $(id -u)\n");
    await guest.shows(/from the shell: 42 0/);
    guest.type("exit\n");
    // Process 1 starts it again, with a second greeting; what is typed before that is dropped.
    await guest.shows(/BusyBox v[\s\S]*BusyBox v[\s\S]*# /);
    guest.type("echo again: $((1 + 1))\n");
    await guest.shows(/again: 2/);

    await guest.qmp("netdev_add", { type: "user", id: "n9", net: "10.0.9.0/24" });
    await guest.qmp("device_add", {
      driver: "virtio-net-pci",
      id: "d9",
      netdev: "n9",
      bus: "spare",
      mac: "52:54:00:00:00:09",
    });
    await guest.page(/nic: eth1\n {2}mac: 52:54:00:00:00:09[\s\S]*address: 10\.0\.9\.15\/24/);
    await guest.qmp("device_del", { id: "d9" });
    await guest.page(/^(?![\s\S]*nic: eth1)/);

    const exit = once(guest.process, "exit");
    await guest.qmp("system_powerdown");
    await guest.shows(/patchbay-guest: stopping/);
    assert.equal((await exit)[0], 0);
  });

  test("the same guest boots from its disk", async (t) => {
    if (!needs(t, "guestImage", "qemu")) return;
    const overlay = join(scratch(t), "disk.qcow2");
    await containerDisk(await guestImages(), GUEST_IMAGE, undefined, overlay);
    const guest = await boot(t, ["-drive", `file=${overlay},format=qcow2,if=virtio`]);
    await guest.shows(/patchbay-guest: ready/);
    await guest.page(/hostname: patchbay-guest/, /address: 10\.0\.2\.15\/24/);
  });

  test("every NIC model of QEMU gets an address", async (t) => {
    if (!needs(t, "guestImage", "qemu")) return;
    const models = ["virtio-net-pci", "e1000", "e1000e", "ne2k_pci", "pcnet", "rtl8139", "vmxnet3"];
    const guest = await boot(t, await kernelArguments(), models);
    const page = await guest.page(...models.map((_, index) => new RegExp(`address: 10\\.0\\.${2 + index}\\.15/24`)));
    const drivers = [...page.matchAll(/driver: (\S+)/g)].map((match) => match[1]).sort();
    assert.deepEqual(drivers, ["8139cp", "e1000", "e1000e", "ne2k-pci", "pcnet32", "virtio_net", "vmxnet3"]);
  });

  test("cloud-init data is found on a CD-ROM and on a SCSI disk", async (t) => {
    if (!needs(t, "guestImage", "qemu")) return;
    const seed = join(scratch(t), "seed.img");
    await cloudInitDisk(
      {
        kind: "NoCloud",
        instanceId: "i",
        hostname: "seeded",
        userData: Buffer.from("#!/bin/sh\necho found at $(hostname)\n"),
      },
      seed,
    );
    const drive = ["-drive", `file=${seed},format=raw,if=none,id=seed,readonly=on`];
    for (const device of [
      ["-device", "ide-cd,drive=seed"],
      ["-device", "virtio-scsi-pci", "-device", "scsi-hd,drive=seed"],
    ]) {
      const guest = await boot(t, [...(await kernelArguments()), ...drive, ...device]);
      await guest.shows(/found at seeded/);
      guest.process.kill("SIGKILL");
      await once(guest.process, "exit");
    }
  });
});
