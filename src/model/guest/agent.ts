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
