import { existsSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { writeWhole } from "../host/whole-file.ts";
import { isDnsSubdomain } from "../model/api/names.ts";
import { Fault } from "../model/fault.ts";
import { isJsonObject, textAt } from "../model/json.ts";
import { shellWord } from "../model/shell-word.ts";
import type { DataPaths } from "./paths.ts";

const LONGEST_LABEL = 63;

/** How a data folder's daemon was last started: what its next start, or its end, must agree with. */
export interface DaemonSettings {
  readonly nodeName: string;
  readonly imageDir?: string;
  readonly cniConfDir?: string;
  readonly cniBinDir?: string;
}

/** The settings of the last start; undefined where there was none. */
export function lastSettings(paths: DataPaths): DaemonSettings | undefined {
  if (!existsSync(paths.settings)) return undefined;
  try {
    const value: unknown = JSON.parse(readFileSync(paths.settings, "utf8"));
    const nodeName = isJsonObject(value) ? textAt(value, "nodeName") : undefined;
    if (isJsonObject(value) && nodeName !== undefined) {
      const folders = ["imageDir", "cniConfDir", "cniBinDir"].map((key) => [key, textAt(value, key)] as const);
      return { nodeName, ...Object.fromEntries(folders.filter(([, folder]) => folder !== undefined)) };
    }
  } catch (cause) {
    throw unreadable(paths.settings, cause);
  }
  throw unreadable(paths.settings, undefined);
}

/**
 * The name of this data folder's node: the one that was asked for, else the one it has, else the machine's.
 *
 * Guests belong to a node by its name. PB6116 where `asked` is another than that of guests that are there.
 */
export function nodeNameFor(paths: DataPaths, asked: string | undefined, guests: number): string {
  const last = lastSettings(paths)?.nodeName;
  if (asked !== undefined && last !== undefined && asked !== last && guests > 0) {
    throw new Fault("PB6116", `The guests of ${paths.root} belong to the node "${last}", not to "${asked}".`, {
      place: paths.settings,
      cure: `Leave --node-name out, or delete the VMs first: patchbay down --vms --data-dir ${shellWord(paths.root)}`,
      data: { last, asked, guests },
    });
  }
  return asked ?? last ?? nodeNameOf(hostname());
}

/** A node's name is a DNS subdomain, and the value of its label `kubernetes.io/hostname`. */
export function isNodeName(text: string): boolean {
  return isDnsSubdomain(text) && text.length <= LONGEST_LABEL;
}

/** What a node is called on a machine of that name: the kernel lets machines have names that Kubernetes refuses. */
export function nodeNameOf(machine: string): string {
  const near = machine
    .toLowerCase()
    .slice(0, LONGEST_LABEL)
    .split(".")
    .map((label) => label.replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-|-$/g, ""))
    .filter((label) => label !== "")
    .join(".");
  return near === "" ? "node" : near;
}

export function keepSettings(paths: DataPaths, settings: DaemonSettings): void {
  writeWhole(paths.settings, `${JSON.stringify(settings)}\n`);
}

function unreadable(file: string, cause: unknown): Fault {
  return new Fault("PB6101", `${file} cannot be read, so nobody knows which node the guests belong to.`, {
    place: file,
    cure: `Write {"nodeName": "NAME"} into it, with the name that \`spec.nodeName\` of the pods has.`,
    cause,
  });
}
