import { createHash } from "node:crypto";
import { mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DEBIAN_IMAGE } from "../../src/host/images/build-debian.ts";
import { exclusively } from "../../src/host/images/exclusive.ts";
import { runProgram } from "../../src/host/images/run-program.ts";
import { eventually, type TestHost } from "../daemon.ts";
import { type GuestShell, openShell } from "../guest/guest-shell.ts";
import { CACHE } from "../guest/image-cache.ts";
import { debianImageFolder, debianImages } from "./debian-image.ts";

/** The Debian guest with a root shell on its serial console, and nothing else that is different. */
export const SHELL_IMAGE = "patchbay/debian-shell:test";
/** A Debian guest without KVM on a busy machine. */
export const BOOTED_MS = 300_000;
const DISK = "/disk/debian.qcow2";
const SECTOR = 512;
/** Of the first partition's first sector in a PC's master boot record. */
const PARTITION_START = 446 + 8;
const DROP_IN = "/etc/systemd/system/serial-getty@ttyS0.service.d";
/** Once cloud-init has come to its end, a shell that echoes nothing. */
const SHELL = `[Service]
ExecStart=
ExecStart=/bin/sh -c 'until [ -e /run/cloud-init/result.json ]; do sleep 1; done; stty -echo; echo patchbay-guest: ready; exec sh'
StandardInput=tty
StandardOutput=tty
`;

/** Makes sure that the image is in the store of the Debian guest: made once, and again when that changes. */
export async function shellImage(): Promise<void> {
  const store = await debianImages(() => {});
  await exclusively(join(CACHE, "debian-shell.lock"), async () => {
    const keyFile = join(CACHE, "debian-shell.key");
    const base = await store.resolve(DEBIAN_IMAGE);
    const source = await readFile(import.meta.filename);
    const key = createHash("sha256").update(`${base?.digest}\0`).update(source).digest("hex");
    const made = await readFile(keyFile, "utf8").catch(() => "");
    if (made === key && (await store.resolve(SHELL_IMAGE)) !== undefined) return;
    const work = await mkdtemp(join(CACHE, "making-"));
    try {
      const [raw, disk, dropIn] = [join(work, "disk.raw"), join(work, "disk.qcow2"), join(work, "shell.conf")];
      await runProgram("qemu-img", ["convert", "-O", "raw", await store.extract(DEBIAN_IMAGE, DISK), raw]);
      await writeFile(dropIn, SHELL);
      const commands = join(work, "commands");
      await writeFile(commands, `mkdir ${DROP_IN}\nwrite ${dropIn} ${DROP_IN}/shell.conf\n`);
      await runProgram("debugfs", ["-w", "-f", commands, `${raw}?offset=${await partitionStart(raw)}`]);
      await runProgram("qemu-img", ["convert", "-O", "qcow2", "-c", "-o", "compression_type=zstd", raw, disk]);
      await store.create(SHELL_IMAGE, [{ path: DISK, source: disk }]);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
    await writeFile(keyFile, key);
  });
}

async function partitionStart(disk: string): Promise<number> {
  const file = await open(disk);
  try {
    const { buffer } = await file.read(Buffer.alloc(4), 0, 4, PARTITION_START);
    return buffer.readUInt32LE() * SECTOR;
  } finally {
    await file.close();
  }
}

/** Gives that image the names by which manifests call theirs. */
export async function tagShellImage(host: TestHost, ...names: readonly string[]): Promise<void> {
  for (const name of names) {
    const { code, stderr } = await host.patchbay(["image", "tag", SHELL_IMAGE, name, "--image-dir", debianImageFolder]);
    if (code !== 0) throw new Error(stderr);
  }
}

/** Waits until a Debian guest has booted, and opens its shell. */
export async function debianShell(host: TestHost, name: string): Promise<GuestShell> {
  const { folder } = await host.guest(name);
  await eventually(
    `the shell of ${name}`,
    async () => /patchbay-guest: ready/.test(await readFile(join(folder, "console.log"), "utf8").catch(() => "")),
    BOOTED_MS,
  );
  return openShell(host, name);
}
