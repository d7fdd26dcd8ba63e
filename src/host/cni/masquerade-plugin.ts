import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { formatCidr, networkOf, parseCidr } from "../../model/addresses/cidr.ts";
import { Fault } from "../../model/fault.ts";
import type { JsonObject } from "../../model/json.ts";
import { type NftTable, replaceTable } from "../../model/wiring/nft.ts";
import { within } from "../linux/netns.ts";
import { runNft } from "../linux/nftables.ts";
import type { HostSide } from "./host-side.ts";
import { ip } from "./iproute.ts";

/** What the configuration of `patchbay-masquerade` says. */
interface Masquerade {
  readonly bridge: string;
  readonly mac: string;
  /** The gateways' addresses with prefix length, one a family at most. */
  readonly gateways: readonly string[];
}

/**
 * The host's side of the embedded network: its bridge, and the masquerading of what leaves it.
 *
 * One nftables table of its own, called like the bridge, in place of the bridge plugin's `ipMasq`: that runs a dozen
 * iptables processes for each pod, needs the kernel's xt modules, and leaves its tables behind. The bridge is made
 * beforehand, because only then its MAC stays the same whatever ports come and go, and its IPv6 address is usable at
 * once (without duplicate address detection).
 */
export const masqueradePlugin: HostSide = {
  async prepare(network, config, hostNetns) {
    const settings = settingsOf(network, config);
    const { bridge, gateways } = settings;
    const key = `${hostNetns ?? ""}\n${bridge}`;
    const making = underway.get(key) ?? makeBridge(network, settings, hostNetns);
    underway.set(key, making);
    try {
      await making;
    } finally {
      underway.delete(key);
    }
    inHost(hostNetns, () => {
      if (gateways.some((gateway) => gateway.includes(":"))) keepAdvertisedRoutes();
      runNft(replaceTable(tableOf(bridge, gateways)));
    });
  },

  async unused(network, config, hostNetns) {
    const { bridge } = settingsOf(network, config);
    inHost(hostNetns, () => {
      runNft(`table inet ${bridge}\ndelete table inet ${bridge}\n`);
    });
    if (!inHost(hostNetns, () => existsSync(`/proc/sys/net/ipv4/conf/${bridge}`))) return;
    const deleted = await ip(hostNetns, ["link", "delete", "dev", bridge, "type", "bridge"], "");
    if (deleted !== undefined && !/Cannot find device/.test(deleted)) {
      throw unprepared(network, `the bridge ${bridge}`, deleted);
    }
  },
};

/**
 * The bridge plugin switches IPv6 forwarding on, at which the kernel drops the host's own default route where it came
 * from router advertisements, unless the link accepts them while forwarding (accept_ra 2).
 */
function keepAdvertisedRoutes(): void {
  const conf = "/proc/sys/net/ipv6/conf";
  if (!existsSync(conf) || readFileSync(`${conf}/all/forwarding`, "utf8").trim() !== "0") return;
  for (const link of readdirSync(conf)) {
    const accept = `${conf}/${link}/accept_ra`;
    try {
      if (link !== "lo" && readFileSync(accept, "utf8").trim() === "1") writeFileSync(accept, "2");
    } catch {
      // The link is gone meanwhile, or /proc/sys is read-only: then forwarding is not switched on either.
    }
  }
}

/** Bridges that are being made, by host and name. */
const underway = new Map<string, Promise<void>>();

async function makeBridge(network: string, wanted: Masquerade, hostNetns: string | undefined): Promise<void> {
  const { bridge, mac, gateways } = wanted;
  if (inHost(hostNetns, () => existsSync(`/proc/sys/net/ipv4/conf/${bridge}`))) return;
  const batch = [
    `link add name ${bridge} address ${mac} type bridge`,
    ...gateways.map((gateway) => `address add ${gateway} dev ${bridge}${gateway.includes(":") ? " nodad" : ""}`),
    `link set ${bridge} up`,
  ];
  const said = await ip(hostNetns, ["-batch", "-"], `${batch.join("\n")}\n`);
  if (said !== undefined) throw unprepared(network, `the bridge ${bridge}`, said);
}

/** The table that masquerades what leaves the bridge's subnets for another interface. */
export function tableOf(bridge: string, gateways: readonly string[]): NftTable {
  const rules = gateways.flatMap((gateway) => {
    const cidr = parseCidr(gateway);
    if (cidr === undefined) return [];
    const [word, multicast] = cidr.family === 4 ? ["ip", "224.0.0.0/4"] : ["ip6", "ff00::/8"];
    const subnet = formatCidr(networkOf(cidr));
    return [`${word} saddr ${subnet} ${word} daddr != { ${subnet}, ${multicast} } counter masquerade`];
  });
  return {
    family: "inet",
    name: bridge,
    sets: [],
    chains: [{ name: "postrouting", hook: { type: "nat", at: "postrouting", priority: 100 }, rules }],
  };
}

function settingsOf(network: string, config: JsonObject): Masquerade {
  const { bridge, mac, gateways } = config;
  const valid = Array.isArray(gateways) ? gateways.filter((item): item is string => typeof item === "string") : [];
  if (
    typeof bridge !== "string" ||
    !/^[a-zA-Z0-9][a-zA-Z0-9_-]{0,14}$/.test(bridge) ||
    typeof mac !== "string" ||
    valid.length === 0 ||
    !valid.every((gateway) => parseCidr(gateway) !== undefined)
  ) {
    throw new Fault("PB3004", `The plugin "patchbay-masquerade" of the network "${network}" lacks a proper field.`, {
      cure: 'It takes "bridge" (a name), "mac" and "gateways" (addresses with prefix length).',
      data: { config },
    });
  }
  return { bridge, mac, gateways: valid };
}

function unprepared(network: string, what: string, said: string): Fault {
  return new Fault("PB3025", `For the network "${network}", ${what} cannot be made or removed: ${said}.`, {
    place: what,
    cure: "See whether something else uses that name, and that nftables and iproute2 are installed.",
  });
}

function inHost<T>(hostNetns: string | undefined, fn: () => T extends PromiseLike<unknown> ? never : T): T {
  return hostNetns === undefined ? fn() : within(hostNetns, fn);
}
