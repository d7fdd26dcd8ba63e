import { type SpawnOptions, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { Fault } from "../../model/fault.ts";
import type { Found } from "./check.ts";
import { cureText } from "./check.ts";
import { forgetKernelAnswers } from "./kernel.ts";
import { forbidDaemons } from "./policy.ts";
import { findProgram } from "./programs.ts";
import { takeTurn } from "./turn.ts";

/** Gets one line of progress, without a line feed. */
export type Tell = (line: string) => void;

interface Ended {
  readonly status: number;
  readonly lastLines: string;
}

const installArguments = ["-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"];

/** Runs a program, tells its lines as they come, and keeps the last ones for an error. */
async function run(argv: readonly [string, ...string[]], tell: Tell, signal: AbortSignal): Promise<Ended> {
  const [program, ...rest] = argv;
  const options: SpawnOptions = {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" },
  };
  const child = spawn(program, rest, options);
  const stop = (): void => void child.kill("SIGTERM");
  signal.addEventListener("abort", stop, { once: true });
  const last: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    let open = "";
    stream?.setEncoding("utf8").on("data", (text: string) => {
      const lines = `${open}${text}`.split("\n");
      open = lines.pop() ?? "";
      for (const line of lines.map((each) => each.trim()).filter((each) => each !== "")) {
        tell(`  ${line}`);
        if (!/^(Reading|Building|Get:|Hit:|Ign:)/.test(line)) last.push(line);
        if (last.length > 8) last.shift();
      }
    });
  }
  try {
    const status = await new Promise<number>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code) => resolve(code ?? 1));
    });
    return { status, lastLines: last.join("\n") };
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** Why nothing can be installed here, as a fault; undefined when it can. */
export function refusal(missing: readonly Found[]): Fault | undefined {
  const byHand = missing.map(({ need }) => `  ${need.name}: ${cureText(need.cure)}`).join("\n");
  if (process.platform !== "linux") {
    return new Fault("PB6901", `Patchbay needs Linux; this is ${process.platform}.`, {
      cure: "Run it in a Debian 12 machine, virtual or not.",
    });
  }
  if (findProgram("apt-get") === undefined || !existsSync("/var/lib/dpkg/status")) {
    const system = /^PRETTY_NAME="?([^"\n]*)/m.exec(readOsRelease())?.[1] ?? "this system";
    return new Fault("PB6901", `Setup installs with Debian's apt-get, and ${system} has none.`, {
      cure: `Install by hand what these Debian packages bring, then run \`./patchbay setup --check\`:\n${byHand}`,
    });
  }
  if (process.getuid?.() !== 0) {
    return new Fault("PB6900", "Setup needs root to install packages and to add a user.", {
      cure: `Run \`sudo ./patchbay setup\`. It would run:\n${byHand}`,
    });
  }
  return undefined;
}

function readOsRelease(): string {
  return existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "";
}

function hasPackageLists(): boolean {
  const folder = "/var/lib/apt/lists";
  return existsSync(folder) && readdirSync(folder).some((name) => /_Packages(\.|$)/.test(name));
}

async function installPackages(packages: readonly string[], tell: Tell, signal: AbortSignal): Promise<void> {
  const update = async (): Promise<Ended> => {
    tell("apt-get update");
    return run(["apt-get", "update", "-q"], tell, signal);
  };
  const install = async (): Promise<Ended> => {
    tell(`apt-get install --no-install-recommends ${packages.join(" ")}`);
    return run(["apt-get", "install", "-q", ...installArguments, ...packages], tell, signal);
  };
  let before: Ended | undefined;
  if (!hasPackageLists()) before = await update();
  let ended = await install();
  // Lists that are old name packages that are gone, or do not name them yet.
  if (ended.status !== 0 && before === undefined && !signal.aborted) {
    before = await update();
    ended = await install();
  }
  if (signal.aborted)
    throw new Fault("PB6902", "Setup was interrupted.", { cure: "Run it again; it goes on from there." });
  if (ended.status === 0) return;
  const lines = before !== undefined && before.status !== 0 ? before.lastLines : ended.lastLines;
  throw new Fault("PB6902", `apt-get ended with status ${ended.status}; its last lines were:\n${lines}`, {
    cure: "Mend what they name (the network, /etc/apt/sources.list, the disk), then run `./patchbay setup` again.",
    data: { packages },
  });
}

/**
 * Brings what is missing: packages first, then commands. Kernel features are left to the caller to tell about.
 *
 * No daemon of a package is started, and the machine's own policy about that is put back however this ends. Throws
 * PB6900 to PB6903.
 */
export async function bring(missing: readonly Found[], tell: Tell): Promise<void> {
  const refused = refusal(missing);
  if (refused !== undefined) throw refused;
  const cures = missing.map(({ need }) => need.cure);
  const packages = [...new Set(cures.flatMap((cure) => (cure.kind === "package" ? [cure.name] : [])))];
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort();
  const endTurn = takeTurn();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupt);
  try {
    if (packages.length > 0) {
      const allowDaemons = forbidDaemons();
      try {
        await installPackages(packages, tell, interrupted.signal);
      } finally {
        allowDaemons();
      }
    }
    for (const cure of cures) {
      if (cure.kind !== "command") continue;
      tell(cure.argv.join(" "));
      const ended = await run(cure.argv, tell, interrupted.signal);
      if (ended.status !== 0) {
        throw new Fault("PB6902", `\`${cure.argv.join(" ")}\` ended with status ${ended.status}: ${ended.lastLines}`);
      }
    }
  } finally {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.off(signal, interrupt);
    endTurn();
    forgetKernelAnswers();
  }
}
