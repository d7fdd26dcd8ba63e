import { accessSync, constants, existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "../../model/fault.ts";
import { nearMiss } from "../../model/near-miss.ts";

/** Where plugins are looked for: Debian's folder and the one that most CNI projects install to. */
export const DEFAULT_BIN_DIRS: readonly string[] = ["/usr/lib/cni", "/opt/cni/bin"];

/** The plugins of Debian's package containernetworking-plugins. */
const PACKAGED = new Set(
  "bandwidth bridge dhcp firewall host-device host-local ipvlan loopback macvlan portmap ptp sbr static tuning vlan vrf".split(
    " ",
  ),
);

/**
 * The path of a plugin's binary: the first executable file of that name.
 *
 * @throws Fault PB3006 where there is none, PB3007 where there is a file that cannot be executed.
 */
export function findPlugin(type: string, binDirs: readonly string[] = DEFAULT_BIN_DIRS): string {
  let barred: string | undefined;
  for (const dir of binDirs) {
    const path = join(dir, type);
    try {
      if (!statSync(path).isFile()) continue;
      accessSync(path, constants.X_OK);
      return path;
    } catch (thrown) {
      if (thrown instanceof Error && "code" in thrown && thrown.code === "EACCES") barred ??= path;
    }
  }
  if (barred !== undefined) {
    throw new Fault("PB3007", `The CNI plugin "${type}" cannot be executed: ${barred} is not executable.`, {
      place: barred,
      cure: `chmod +x ${barred}`,
      data: { plugin: type },
    });
  }
  const near = PACKAGED.has(type) ? undefined : nearMiss(type, [...binDirs.flatMap(entries), ...PACKAGED]);
  const where =
    binDirs.length === 1 ? `not in the folder ${binDirs[0]}` : `in none of the folders ${binDirs.join(", ")}`;
  throw new Fault("PB3006", `The CNI plugin "${type}" is ${where}.`, {
    cure: cureOf(type, near, binDirs),
    data: { plugin: type, binDirs, ...(near === undefined ? {} : { near }) },
  });
}

/** True where one of the folders has a plugin of that name, usable or not. */
export function hasPlugin(type: string, binDirs: readonly string[]): boolean {
  return binDirs.some((dir) => existsSync(join(dir, type)));
}

function cureOf(type: string, near: string | undefined, binDirs: readonly string[]): string {
  const elsewhere = DEFAULT_BIN_DIRS.find((dir) => !binDirs.includes(dir) && existsSync(join(dir, type)));
  if (elsewhere !== undefined)
    return `It is in ${elsewhere}: add that folder to --cni-bin-dir, or put the binary there.`;
  if (PACKAGED.has(type)) return "Install it with: apt-get install containernetworking-plugins.";
  const meant = near === undefined ? "Put" : `Did you mean "${near}"? Else put`;
  return `${meant} its binary there, or name its folder with --cni-bin-dir.`;
}

function entries(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}
