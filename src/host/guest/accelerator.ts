import { spawn } from "node:child_process";
import * as fs from "node:fs";
import { isJsonObject } from "../../model/json.ts";
import type { User } from "../setup/users.ts";
import { writeWhole } from "../whole-file.ts";
import { EXIT_PORT, INIT_REACHED, probeInitrd } from "./probe-init.ts";
import { findQemuUser } from "./process.ts";
import { qemuFacts, qemuPath } from "./qemu-facts.ts";

/** What guests run on. */
export interface Accelerator {
  readonly accel: "kvm" | "tcg";
  /** Why it is not KVM, as a sentence. */
  readonly reason?: string;
}

/** What a probe boot came to. */
export type ProbeBoot = { readonly reached: true } | { readonly reached: false; readonly words: string };

const KVM = "/dev/kvm";
const DEADLINE_SECONDS = 2;
const WORDS = 2_000;

/**
 * KVM where a guest kernel reaches its first process under it within 2 s, else TCG.
 *
 * That `/dev/kvm` is there proves nothing, nor that firmware runs: on some machines kernels hang under it. `kernel` is
 * one that guests boot; without one nothing can be proved, and TCG is the answer. The answer is kept in `dataDir` until
 * the machine boots again, or QEMU or the kernel changes.
 *
 * @throws Fault PB5054, PB5055
 */
export async function probeAccelerator(dataDir: string, kernel: string | undefined): Promise<Accelerator> {
  const { version } = await qemuFacts();
  const key = [bootId(), version, describe(KVM), kernel === undefined ? "" : `${kernel} ${describe(kernel)}`].join(
    " | ",
  );
  const cache = `${dataDir}/accelerator.json`;
  const kept = readKept(cache, key);
  if (kept !== undefined) return kept;
  const found = await probe(dataDir, kernel);
  try {
    writeWhole(cache, `${JSON.stringify({ key, ...found })}\n`);
  } catch {
    // Without the note the next start tries again, which costs two seconds at most.
  }
  return found;
}

async function probe(dataDir: string, kernel: string | undefined): Promise<Accelerator> {
  const tcg = (reason: string): Accelerator => ({ accel: "tcg", reason });
  if (!fs.existsSync(KVM)) {
    return tcg(`This machine has no ${KVM}: no hardware virtualisation, or the kvm module is not loaded.`);
  }
  const user = kvmUser();
  if (user === undefined) {
    const { mode, uid, gid } = fs.statSync(KVM);
    const rights = `mode ${(mode & 0o777).toString(8).padStart(4, "0")}, owner ${uid}:${gid}`;
    return tcg(`QEMU's user may not open ${KVM} (${rights}).`);
  }
  if (kernel === undefined) return tcg(`${KVM} is there, but there is no guest kernel yet to prove that it works.`);
  const boot = await probeBoot({ accel: "kvm", kernel, user, workDir: dataDir, seconds: DEADLINE_SECONDS });
  if (boot.reached) return { accel: "kvm" };
  return tcg(
    boot.words === ""
      ? `${KVM} is there, but a guest kernel did not start under it within ${DEADLINE_SECONDS} s.`
      : `QEMU cannot use ${KVM}: ${boot.words}`,
  );
}

/** QEMU's user, with the group of /dev/kvm where it needs that to open it; undefined where it cannot. */
export function kvmUser(): User | undefined {
  const user = findQemuUser();
  const device = fs.statSync(KVM, { throwIfNoEntry: false });
  if (device === undefined) return undefined;
  const { mode, uid, gid } = device;
  if (uid === user.uid && (mode & 0o600) === 0o600) return user;
  if (gid !== 0 && (mode & 0o060) === 0o060) return { ...user, gid };
  return (mode & 0o006) === 0o006 ? user : undefined;
}

/**
 * Boots a kernel whose first process ends QEMU. No process is left after `seconds`, not even where this one is killed
 * meanwhile.
 */
export function probeBoot(options: {
  readonly accel: "kvm" | "tcg";
  readonly kernel: string;
  readonly user: User;
  /** Gets the initrd for a moment; QEMU's user can pass through it. */
  readonly workDir: string;
  readonly seconds: number;
}): Promise<ProbeBoot> {
  const { accel, kernel, user, workDir, seconds } = options;
  const initrd = `${workDir}/probe-${process.pid}.cpio`;
  fs.writeFileSync(initrd, probeInitrd(), { mode: 0o644 });
  const qemu = [
    ...[qemuPath(), "-no-user-config", "-nodefaults", "-display", "none", "-no-reboot"],
    ...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
    ...["-machine", "q35", "-accel", accel, "-cpu", accel === "kvm" ? "host" : "max", "-m", "128M"],
    ...["-device", `isa-debug-exit,iobase=${EXIT_PORT},iosize=1`],
    ...["-kernel", kernel, "-initrd", initrd, "-append", "quiet panic=-1"],
  ];
  return new Promise<ProbeBoot>((resolve) => {
    const child = spawn("timeout", ["--signal=KILL", String(seconds), ...qemu], {
      ...user,
      cwd: "/",
      env: { PATH: "/usr/bin:/bin" },
      stdio: ["ignore", "ignore", "pipe"],
    });
    let words = "";
    child.stderr.on("data", (bytes: Buffer) => {
      words = (words + bytes.toString()).slice(-WORDS);
    });
    child.once("error", (error) => resolve({ reached: false, words: error.message }));
    child.once("close", (code) =>
      resolve(code === INIT_REACHED ? { reached: true } : { reached: false, words: words.trim() }),
    );
  }).finally(() => fs.rmSync(initrd, { force: true }));
}

function bootId(): string {
  return fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

/** Changes when the file does. */
function describe(path: string): string {
  const stat = fs.statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? "absent" : `${stat.mode} ${stat.uid} ${stat.gid} ${stat.size} ${stat.mtimeMs}`;
}

/** What was kept under the same key; anything else in the file counts as nothing. */
function readKept(path: string, key: string): Accelerator | undefined {
  try {
    const kept: unknown = JSON.parse(fs.readFileSync(path, "utf8"));
    if (!isJsonObject(kept) || kept["key"] !== key) return undefined;
    const { accel, reason } = kept;
    if (accel !== "kvm" && accel !== "tcg") return undefined;
    return { accel, ...(typeof reason === "string" ? { reason } : {}) };
  } catch {
    return undefined;
  }
}
