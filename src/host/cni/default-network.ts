import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Cidr, formatCidr, hostAddress, networkOf, overlaps, parseCidr } from "../../model/addresses/cidr.ts";
import { formatIp } from "../../model/addresses/ip.ts";
import { formatMac } from "../../model/addresses/mac.ts";
import { Fault } from "../../model/fault.ts";
import type { JsonObject } from "../../model/json.ts";
import { DEFAULT_VM_IPV6_NETWORK_CIDR, DEFAULT_VM_NETWORK_CIDR } from "../../model/networks/pod-interface.ts";
import { listRecords, writeCniFile } from "./attachment-record.ts";
import { readNetwork } from "./conf-dir.ts";
import { masqueradePlugin } from "./masquerade-plugin.ts";

export type Families = "dual" | "ipv4" | "ipv6";

export interface DefaultNetworkOptions {
  readonly dataDir: string;
  /** Both where absent. */
  readonly families?: Families;
  /** Destinations that the host routes already, as CIDRs; default routes among them are ignored. */
  readonly hostRoutes?: readonly string[];
}

const FILE = "10-patchbay.conflist";
const DEFAULT_DATA_DIR = "/var/lib/patchbay";

/** The folder of CNI configurations that a daemon uses where none is named. */
export function defaultConfDir(dataDir: string): string {
  return join(dataDir, "cni", "net.d");
}

/** The name of the embedded network's bridge: `patchbay0` for the default data folder, else `pb` and eight hex digits. */
export function bridgeName(dataDir: string): string {
  const dir = resolve(dataDir);
  return dir === DEFAULT_DATA_DIR ? "patchbay0" : `pb${hash(dir).toString("hex", 0, 4)}`;
}

/**
 * The embedded network of a data folder as a `.conflist` object: bridge, host-local, masquerading, portmap.
 *
 * Bridge, subnets and the folder of addresses follow from the data folder's path, so that daemons with folders of their
 * own run side by side.
 *
 * @throws Fault PB3024 where the host's routes leave no subnet free.
 */
export function defaultConflist(options: DefaultNetworkOptions): JsonObject {
  const { families = "dual" } = options;
  const dir = resolve(options.dataDir);
  const seed = hash(dir);
  const taken = [DEFAULT_VM_NETWORK_CIDR, DEFAULT_VM_IPV6_NETWORK_CIDR, ...(options.hostRoutes ?? [])]
    .flatMap((text) => parseCidr(text) ?? [])
    .filter(({ prefixLength }) => prefixLength > 0);
  const subnets = [
    ...(families === "ipv6" ? [] : [freeIp4(seed, taken)]),
    ...(families === "ipv4" ? [] : [freeIp6(seed, taken)]),
  ];
  const bridge = bridgeName(dir);
  const gateways = subnets.map((subnet) =>
    formatCidr({ ...subnet, address: hostAddress(subnet, 1) ?? subnet.address }),
  );
  return {
    cniVersion: "1.0.0",
    name: "patchbay",
    plugins: [
      {
        type: "bridge",
        bridge,
        isGateway: true,
        hairpinMode: true,
        // A VM asks for the addresses that it had.
        capabilities: { ips: true },
        ipam: {
          type: "host-local",
          dataDir: join(dir, "cni", "host-local"),
          ranges: subnets.map((subnet, index) => [
            { subnet: formatCidr(subnet), gateway: gateways[index]?.replace(/\/.*/, "") },
          ]),
          routes: subnets.map(({ family }) => ({ dst: family === 4 ? "0.0.0.0/0" : "::/0" })),
        },
      },
      { type: "patchbay-masquerade", bridge, mac: bridgeMac(seed), gateways },
      { type: "portmap", capabilities: { portMappings: true }, snat: true },
    ],
  };
}

/**
 * Writes the embedded network's configuration where none is yet, and returns its path. What is there is kept: the
 * subnets stay the same when the host's routes change.
 *
 * @throws Fault PB3022, PB3024.
 */
export function ensureDefaultNetwork(options: DefaultNetworkOptions): string {
  const file = join(defaultConfDir(options.dataDir), FILE);
  if (!existsSync(file)) writeCniFile(file, `${JSON.stringify(defaultConflist(options), null, 2)}\n`);
  return file;
}

/**
 * Takes the embedded network's bridge and rules off the host, unless something is attached to it.
 *
 * Touches nothing but what this data folder's configuration names.
 *
 * @returns true where nothing of it is left.
 * @throws Fault PB3003–PB3005 (a damaged configuration), PB3025 (the host refuses).
 */
export async function removeDefaultNetwork(dataDir: string, cacheDir: string, hostNetns?: string): Promise<boolean> {
  const file = join(defaultConfDir(dataDir), FILE);
  if (!existsSync(file)) return true;
  const { network } = readNetwork(file);
  if (listRecords(cacheDir).records.some((record) => record.network.name === network.name)) return false;
  for (const { type, config } of network.plugins) {
    if (type === "patchbay-masquerade") await masqueradePlugin.unused(network.name, config, hostNetns);
  }
  return true;
}

function hash(dir: string): Buffer {
  return createHash("sha256").update(dir).digest();
}

/** Locally administered, unicast. */
function bridgeMac(seed: Buffer): string {
  return formatMac(Uint8Array.of(0x02, ...seed.subarray(8, 13)));
}

/**
 * A /24 that overlaps nothing taken: of 10.0.0.0/8, else of 172.16.0.0/12, else of 192.168.0.0/16; else one of
 * 10.0.0.0/8 that only wide routes (/16 and wider, such as a VPN's to all private addresses) cover.
 */
function freeIp4(seed: Buffer, taken: readonly Cidr[]): Cidr {
  const four = taken.filter(({ family }) => family === 4);
  const narrow = four.filter(({ prefixLength }) => prefixLength > 16);
  const start = seed.readUInt16BE(4);
  for (const [space, routes] of [
    ["10.0.0.0/8", four],
    ["172.16.0.0/12", four],
    ["192.168.0.0/16", four],
    ["10.0.0.0/8", narrow],
  ] as const) {
    const whole = parseCidr(space);
    if (whole === undefined) continue;
    const spans = routes.map(span24);
    const [first, last] = span24(whole);
    const count = last - first + 1;
    for (let step = 0; step < count; step += 1) {
      const number = first + ((start + step) % count);
      if (spans.some(([low, high]) => number >= low && number <= high)) continue;
      return { family: 4, address: Uint8Array.of(number >> 16, number >> 8, number, 0), prefixLength: 24 };
    }
  }
  throw new Fault(
    "PB3024",
    "The embedded network finds no free IPv4 subnet: the host has routes to all private ones.",
    {
      cure: "Write a CNI configuration with a subnet of your choice, and name its folder with --cni-conf-dir.",
    },
  );
}

/** The first and the last /24 that a network touches, as the number of its first three octets. */
function span24(cidr: Cidr): readonly [number, number] {
  const [a = 0, b = 0, c = 0] = networkOf(cidr).address;
  const first = a * 65536 + b * 256 + c;
  return [first, first + 2 ** Math.max(0, 24 - cidr.prefixLength) - 1];
}

/** A /64 of a unique local prefix (RFC 4193) made of the hash; the next where that is taken. */
function freeIp6(seed: Buffer, taken: readonly Cidr[]): Cidr {
  const six = taken.filter(({ family, prefixLength }) => family === 6 && prefixLength > 8);
  for (let step = 0; step < 256; step += 1) {
    const address = new Uint8Array(16);
    address.set([0xfd, ((seed[16] ?? 0) + step) & 0xff, ...seed.subarray(17, 21)]);
    const subnet: Cidr = { family: 6, address, prefixLength: 64 };
    if (!six.some((route) => overlaps(route, subnet))) return subnet;
  }
  throw new Fault(
    "PB3024",
    `The embedded network finds no free IPv6 subnet in ${formatIp(Uint8Array.of(0xfd, ...new Uint8Array(15)))}/8.`,
    {
      cure: "Write a CNI configuration with a subnet of your choice, and name its folder with --cni-conf-dir.",
    },
  );
}
