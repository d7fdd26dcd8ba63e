/** What the tests of QEMU share: a namespace with taps, a guest of the tiny image in it, and its console. */
import { randomUUID } from "node:crypto";
import * as fs from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import type { TestContext } from "node:test";
import type { GuestSpec } from "../../src/host/guest/guest-spec.ts";
import { qemuFacts } from "../../src/host/guest/qemu-facts.ts";
import { GUEST_KERNEL_ARGS } from "../../src/host/images/build-guest.ts";
import { createNetns, deleteNetns, within } from "../../src/host/linux/netns.ts";
import { openTap } from "../../src/host/linux/tap.ts";
import { decideHardware, type HardwareRequest } from "../../src/model/guest/hardware-decision.ts";
import type { GuestNic } from "../../src/model/wiring/wiring.ts";
import { PATIENCE_MS } from "../daemon.ts";
import { lastFirst } from "../last-first.ts";
import { tinyGuest } from "./tiny-guest.ts";

export interface World {
  /** Runs `undo` at the end of the test, the last one first. */
  readonly after: (undo: () => unknown) => void;
  readonly folder: string;
  readonly netns: string;
  readonly runDir: string;
  readonly logFile: string;
}

/** A namespace and folders for one guest; the test's end takes them away. */
export function world(t: TestContext): World {
  const name = `pbqemu-${randomUUID().slice(0, 8)}`;
  const folder = fs.mkdtempSync(`${process.env["PATCHBAY_TEST_DIR"] ?? tmpdir()}/pbqemu-`);
  fs.chmodSync(folder, 0o711);
  const netns = createNetns(name);
  const after = lastFirst(t);
  after(() => {
    deleteNetns(name);
    fs.rmSync(folder, { recursive: true, force: true });
  });
  return {
    folder,
    after,
    netns,
    runDir: `${folder}/run`,
    logFile: `${folder}/qemu.log`,
  };
}

/** Opens the taps of NICs in the world's namespace. */
export function openTaps(at: World, nics: readonly GuestNic[]): Map<string, number[]> {
  return within(
    at.netns,
    () =>
      new Map(
        nics.flatMap(({ name, attachment }) =>
          attachment.kind === "tap" ? [[name, openTap(attachment.device, attachment.queues)]] : [],
        ),
      ),
  );
}

export function closeAll(fds: ReadonlyMap<string, readonly number[]>): void {
  for (const list of fds.values()) for (const fd of list) fs.closeSync(fd);
}

/** A NIC as a wiring would give it. */
export function nic(name: string, more: Partial<GuestNic> = {}): GuestNic {
  const queues = more.queues ?? 1;
  return {
    name,
    attachment: { kind: "tap", device: `tap-${name}`.slice(0, 15), queues },
    mac: "02:00:00:00:00:01",
    model: "virtio",
    mtu: 1500,
    queues,
    linkUp: true,
    ...more,
  };
}

/** A spec that boots the tiny guest. */
export async function tinySpec(
  at: World,
  nics: readonly GuestNic[],
  more: Partial<HardwareRequest> = {},
): Promise<GuestSpec> {
  const { kernel, initrd } = await tinyGuest(at.folder);
  const { machines, devices } = await qemuFacts();
  return {
    name: "default/tiny",
    uuid: randomUUID(),
    accel: "tcg",
    hardware: decideHardware({ accel: "tcg", machines, devices, memoryBytes: 128n << 20n, nics, ...more }),
    kernelBoot: { kernel, initrd, args: GUEST_KERNEL_ARGS },
    disks: [],
    nics,
  };
}

/** The serial console as text that can be waited for. */
export interface TextConsole {
  /** Everything from the last match to the end of the next match of `pattern`; fails when the console ends or is late. */
  until(pattern: RegExp): Promise<string>;
  send(text: string): void;
  close(): void;
}

const CONSOLE_DEADLINE_MS = PATIENCE_MS;

function deadline(then: () => void): Disposable {
  const timer = setTimeout(then, CONSOLE_DEADLINE_MS);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

export async function textConsole(path: string): Promise<TextConsole> {
  const socket: Socket = connect(path);
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  let text = "";
  let ended = false;
  let wake = Promise.withResolvers<void>();
  const change = (): void => {
    wake.resolve();
    wake = Promise.withResolvers<void>();
  };
  socket.setEncoding("utf8");
  socket.on("data", (chunk) => {
    text += String(chunk);
    change();
  });
  socket.on("error", () => {});
  socket.on("close", () => {
    ended = true;
    change();
  });
  return {
    async until(pattern) {
      using _late = deadline(() => socket.destroy());
      for (;;) {
        const match = pattern.exec(text);
        if (match !== null) {
          const end = match.index + match[0].length;
          const before = text.slice(0, end);
          text = text.slice(end);
          return before;
        }
        if (ended) throw new Error(`the console ended before ${pattern}: ${text.slice(-500)}`);
        await wake.promise;
      }
    },
    send: (more) => void socket.write(more),
    close: () => void socket.destroy(),
  };
}
