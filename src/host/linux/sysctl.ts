import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { Fault } from "../../model/fault.ts";
import { errnoOf, fileFault } from "./libc.ts";

const ROOT = "/proc/sys";

/**
 * The file of a sysctl key with slashes: `net/ipv4/conf/eth0.5/forwarding`.
 *
 * @throws Fault PB4017 for a key that is not below net/ or would leave it.
 */
function sysctlPath(key: string): string {
  const parts = key.split("/");
  const plain = parts.every((part) => part !== "" && part !== "." && part !== ".." && !part.includes("\0"));
  if (parts[0] !== "net" || parts.length < 2 || !plain) {
    throw new Fault("PB4017", `"${key}" is not a sysctl of the network.`, {
      place: key,
      cure: "Write it with slashes below net: net/ipv4/ip_forward.",
    });
  }
  return `${ROOT}/${key}`;
}

/** The value of a sysctl of the current namespace, its numbers one blank apart; undefined where the kernel has none. */
export function readSysctl(key: string): string | undefined {
  const path = sysctlPath(key);
  try {
    return readFileSync(path, "utf8").trimEnd().replaceAll("\t", " ");
  } catch (thrown) {
    const fault = fileFault(thrown, path);
    if (errnoOf(fault) === "ENOENT") return undefined;
    throw fault;
  }
}

/** Writes a sysctl of the current namespace. @throws Fault PB4016 where the kernel has none or refuses the value. */
export function writeSysctl(key: string, value: string): void {
  const path = sysctlPath(key);
  try {
    writeFileSync(path, `${value}\n`, { flag: "r+" });
  } catch (thrown) {
    const fault = fileFault(thrown, path);
    const errno = errnoOf(fault);
    const cure =
      errno === "ENOENT"
        ? "The kernel or the link it belongs to is not there."
        : errno === "EROFS"
          ? "/proc/sys is mounted read-only: run outside of the container, or make it writable."
          : undefined;
    throw new Fault("PB4016", `The sysctl ${key} cannot be set to "${value}": ${sentenceOf(fault)}`, {
      place: key,
      data: { key, value, errno },
      cause: fault,
      ...(cure === undefined ? {} : { cure }),
    });
  }
}

function sentenceOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** Keys of every file below a folder of sysctls (`net/ipv4/conf`) in the current namespace, sorted. */
export function listSysctls(folder: string): string[] {
  const path = sysctlPath(folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(ROOT.length + 1))
    .sort();
}
