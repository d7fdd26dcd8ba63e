import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type KernelFeature, probeKernel, type Sighting } from "./kernel.ts";
import { findProgram, isStaticElf } from "./programs.ts";
import { findUser } from "./users.ts";

/** What is looked for: the thing itself, never the package that usually brings it. */
export type Probe =
  | { readonly kind: "program"; readonly name: string }
  | { readonly kind: "static-program"; readonly name: string }
  | { readonly kind: "library"; readonly soname: string }
  | { readonly kind: "file"; readonly anyOf: readonly [string, ...string[]] }
  | { readonly kind: "device"; readonly path: string }
  | { readonly kind: "user"; readonly name: string }
  /** A setting of the kernel that is a number, with slashes below /proc/sys; `atLeast` in decimal digits. */
  | { readonly kind: "sysctl"; readonly key: string; readonly atLeast: string }
  | { readonly kind: "kernel"; readonly feature: KernelFeature };

const libraryFolders: Readonly<Record<string, readonly string[]>> = {
  x64: ["/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu"],
  arm64: ["/usr/lib/aarch64-linux-gnu", "/lib/aarch64-linux-gnu"],
};

function found(where: string | undefined): Sighting {
  return where === undefined ? { state: "missing" } : { state: "found", where };
}

function findAccount(name: string): Sighting {
  const user = findUser(name);
  return user === undefined ? { state: "missing" } : { state: "found", where: `uid ${user.uid}` };
}

function findDevice(path: string): Sighting {
  try {
    closeSync(openSync(path, "r+"));
    return { state: "found", where: path };
  } catch (thrown) {
    if (!existsSync(path)) return { state: "missing" };
    const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : String(thrown);
    return (code === "EACCES" || code === "EPERM") && process.getuid?.() !== 0
      ? { state: "untried", because: "it is there; only root may open it" }
      : { state: "unknown", because: `opening it answers ${code}` };
  }
}

function lookAtSysctl(key: string, atLeast: bigint): Sighting {
  let value: string;
  try {
    value = readFileSync(join("/proc/sys", key), "latin1").trim();
  } catch {
    // Of the network's some are the first namespace's alone.
    return { state: "untried", because: "it is not shown here; look outside of the container" };
  }
  if (!/^\d+$/.test(value)) return { state: "unknown", because: `it is "${value}", no number` };
  return BigInt(value) >= atLeast ? { state: "found", where: value } : { state: "missing", because: `it is ${value}` };
}

/** Looks once. Never throws for what a machine may lack. */
export function look(probe: Probe): Sighting {
  switch (probe.kind) {
    case "program":
      return found(findProgram(probe.name));
    case "static-program": {
      const file = findProgram(probe.name);
      return found(file !== undefined && isStaticElf(file) ? file : undefined);
    }
    case "library": {
      const folders = [...(libraryFolders[process.arch] ?? []), "/usr/lib64", "/usr/lib", "/usr/local/lib", "/lib"];
      return found(folders.map((folder) => join(folder, probe.soname)).find((file) => existsSync(file)));
    }
    case "file":
      return found(probe.anyOf.find((file) => existsSync(file)));
    case "device":
      return findDevice(probe.path);
    case "user":
      return findAccount(probe.name);
    case "sysctl":
      return lookAtSysctl(probe.key, BigInt(probe.atLeast));
    case "kernel":
      return probeKernel(probe.feature);
  }
}
