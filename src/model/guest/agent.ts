import { canonicalIp } from "../addresses/ip.ts";
import { canonicalMac } from "../addresses/mac.ts";
import { isJsonObject } from "../json.ts";

/** What is known of the agent in a guest (qemu-ga). Plain data, kept with the pod. */
export interface AgentReport {
  /**
   * `closed`: no program of the guest has the agent's channel open. `open`: one has. `mute`: one has, and gives no answer
   * that can be understood; `trouble` says why.
   */
  readonly channel: "closed" | "open" | "mute";
  readonly trouble?: string;
  /** What it said last; absent before it said anything, and some time after its channel was closed. */
  readonly said?: AgentAnswers;
  /** True when the guest has had time to get its addresses: what it lacks by now, it lacks. */
  readonly settled: boolean;
}

export interface AgentAnswers {
  /** In the agent's order, without the loopback. */
  readonly interfaces: readonly AgentInterface[];
  readonly os?: GuestOs;
  readonly hostname?: string;
  readonly timezone?: string;
  /** Version of the agent. */
  readonly version?: string;
  readonly users?: readonly GuestUser[];
  readonly filesystems?: readonly GuestFilesystem[];
}

/** A user who is logged in to the guest, as KubeVirt names the fields. */
export interface GuestUser {
  readonly userName: string;
  /** Of Windows. */
  readonly domain?: string;
  /** Seconds since 1970. */
  readonly loginTime?: number;
}

/** A mounted file system of the guest, as KubeVirt names the fields. */
export interface GuestFilesystem {
  readonly diskName: string;
  readonly mountPoint: string;
  readonly fileSystemType: string;
  /** -1 where the guest does not say. */
  readonly usedBytes: number;
  readonly totalBytes: number;
  readonly disk: readonly { readonly serial?: string; readonly busType: string }[];
}

/** A network interface as the guest has it. */
export interface AgentInterface {
  readonly name: string;
  /** Lower case with colons; absent where it has none. */
  readonly mac?: string;
  /** Canonical text, each once, in the agent's order. */
  readonly addresses: readonly string[];
}

/** `status.guestOSInfo`, as KubeVirt names its fields. */
export type GuestOs = { readonly [Field in (typeof OS_FIELDS)[number][1]]?: string };

/** The agent's names and KubeVirt's. */
const OS_FIELDS = [
  ["name", "name"],
  ["kernel-release", "kernelRelease"],
  ["version", "version"],
  ["pretty-name", "prettyName"],
  ["version-id", "versionId"],
  ["kernel-version", "kernelVersion"],
  ["machine", "machine"],
  ["id", "id"],
] as const;

/** More than any guest has; what a guest says beyond is not read. */
const MAX_INTERFACES = 256;
const MAX_ADDRESSES = 32;
const MAX_TEXT = 128;
const MAX_USERS = 64;
const MAX_FILESYSTEMS = 64;
const MAX_DISKS = 8;

/**
 * What `guest-network-get-interfaces` returned (qga/qapi-schema.json of QEMU); undefined where it is no list.
 *
 * Members that are no interfaces, no MACs or no addresses are passed over. Never throws.
 */
export function readAgentInterfaces(value: unknown): readonly AgentInterface[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.slice(0, MAX_INTERFACES).flatMap((item: unknown): AgentInterface[] => {
    if (!isJsonObject(item)) return [];
    const name = shortText(item["name"]);
    if (name === undefined || name === "lo") return [];
    const mac = typeof item["hardware-address"] === "string" ? canonicalMac(item["hardware-address"]) : undefined;
    return [{ name, ...(mac === undefined ? {} : { mac }), addresses: readAddresses(item["ip-addresses"]) }];
  });
}

/** What `guest-get-osinfo` returned; undefined where nothing of it can be read. Never throws. */
export function readGuestOs(value: unknown): GuestOs | undefined {
  if (!isJsonObject(value)) return undefined;
  const fields = OS_FIELDS.flatMap(([theirs, ours]) => {
    const text = shortText(value[theirs]);
    return text === undefined ? [] : [[ours, text] as const];
  });
  return fields.length === 0 ? undefined : Object.fromEntries(fields);
}

/** What `guest-get-host-name`, `guest-get-timezone` or `guest-info` returned: the text under that key. Never throws. */
export function readAgentText(value: unknown, key: "host-name" | "zone" | "version"): string | undefined {
  return isJsonObject(value) ? shortText(value[key]) : undefined;
}

/** What `guest-get-users` returned; undefined where it is no list. Never throws. */
export function readAgentUsers(value: unknown): readonly GuestUser[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.slice(0, MAX_USERS).flatMap((item: unknown): GuestUser[] => {
    const userName = isJsonObject(item) ? shortText(item["user"]) : undefined;
    if (!isJsonObject(item) || userName === undefined) return [];
    const [domain, since] = [shortText(item["domain"]), item["login-time"]];
    const loginTime = typeof since === "number" && Number.isFinite(since) && since > 0 ? Math.floor(since) : undefined;
    return [
      { userName, ...(domain === undefined ? {} : { domain }), ...(loginTime === undefined ? {} : { loginTime }) },
    ];
  });
}

/** What `guest-get-fsinfo` returned; undefined where it is no list. Never throws. */
export function readAgentFilesystems(value: unknown): readonly GuestFilesystem[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.slice(0, MAX_FILESYSTEMS).flatMap((item: unknown): GuestFilesystem[] => {
    if (!isJsonObject(item)) return [];
    const [diskName, mountPoint] = [shortText(item["name"]), shortText(item["mountpoint"])];
    const fileSystemType = shortText(item["type"]);
    if (diskName === undefined || mountPoint === undefined || fileSystemType === undefined) return [];
    const [usedBytes, totalBytes] = [readSize(item["used-bytes"]), readSize(item["total-bytes"])];
    return [{ diskName, mountPoint, fileSystemType, usedBytes, totalBytes, disk: readDisks(item["disk"]) }];
  });
}

function readSize(value: unknown): number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : -1;
}

function readDisks(value: unknown): GuestFilesystem["disk"] {
  if (!Array.isArray(value)) return [];
  return value.slice(0, MAX_DISKS).flatMap((item: unknown) => {
    const busType = isJsonObject(item) ? shortText(item["bus-type"]) : undefined;
    if (!isJsonObject(item) || busType === undefined) return [];
    const serial = shortText(item["serial"]);
    return [{ ...(serial === undefined ? {} : { serial }), busType }];
  });
}

function readAddresses(value: unknown): readonly string[] {
  if (!Array.isArray(value)) return [];
  const found = new Set<string>();
  for (const item of value.slice(0, MAX_INTERFACES)) {
    const text: unknown = isJsonObject(item) ? item["ip-address"] : undefined;
    // Windows names the zone of a link-local address.
    const address = typeof text === "string" ? canonicalIp(text.replace(/%.*$/s, "")) : undefined;
    if (address !== undefined && found.size < MAX_ADDRESSES) found.add(address);
  }
  return [...found];
}

/** A guest's text as it may stand in a status: no control characters, not long; undefined where nothing is left. */
function shortText(value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  const text = value
    .slice(0, 4 * MAX_TEXT)
    .replace(/\p{C}/gu, "")
    .trim()
    .slice(0, MAX_TEXT)
    .toWellFormed();
  return text === "" ? undefined : text;
}
