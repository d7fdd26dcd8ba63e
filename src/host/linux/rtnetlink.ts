import { formatCidr, parseCidr } from "../../model/addresses/cidr.ts";
import { formatIp } from "../../model/addresses/ip.ts";
import { formatMac } from "../../model/addresses/mac.ts";
import { Fault } from "../../model/fault.ts";
import { libc } from "./libc.ts";
import { asText, asU32, byType, decodeAttributes, encodePayload, type NetlinkMessage, u32 } from "./netlink.ts";
import { dump } from "./netlink-socket.ts";

/** A link as RTM_GETLINK tells of it. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** `veth`, `bridge`, `tun` (a tap as well), …; empty for a physical device and `lo`. */
  readonly kind: string;
  /** Empty where the link has no hardware address. */
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  readonly loopback: boolean;
  readonly noArp: boolean;
  /** Index of the bridge, bond or team that it is a port of. */
  readonly master?: number;
  /** Of a port: whether its bridge learns addresses from it. */
  readonly learning?: boolean;
  /** Index of the lower or peer link; it may be in another namespace. */
  readonly lower?: number;
  readonly txQueues: number;
  readonly rxQueues: number;
}

/** An address as RTM_GETADDR tells of it. */
export interface Address {
  readonly link: number;
  readonly family: 4 | 6;
  /** The local address with its prefix length, canonical. */
  readonly cidr: string;
  /** 0 global, 200 site, 253 link, 254 host. */
  readonly scope: number;
  readonly flags: number;
  /** The other end's address where it differs from the local one. */
  readonly peer?: string;
}

/** A route as RTM_GETROUTE tells of it. */
export interface Route {
  readonly family: 4 | 6;
  readonly table: number;
  /** rtm_type: 1 unicast, 2 local, 3 broadcast, 4 anycast, 5 multicast, 6 blackhole, 7 unreachable, 8 prohibit. */
  readonly type: number;
  readonly destination: string;
  readonly gateway?: string;
  /** Index of the link it leads out of. */
  readonly link?: number;
  readonly metric: number;
  readonly source?: string;
  readonly protocol: number;
  readonly scope: number;
  readonly flags: number;
  /** The further hops of a multipath route. */
  readonly hops?: readonly { readonly link: number; readonly gateway?: string; readonly weight: number }[];
}

/** A neighbour entry as RTM_GETNEIGH tells of it. */
export interface Neighbour {
  readonly family: 4 | 6;
  readonly link: number;
  readonly address: string;
  readonly mac: string;
  /** NUD_… bits; 0x80: permanent. */
  readonly state: number;
}

const RTM_GETLINK = 18;
const RTM_GETADDR = 22;
const RTM_GETROUTE = 26;
const RTM_GETNEIGH = 30;
const IFLA = { address: 1, name: 3, mtu: 4, link: 5, master: 10, info: 18, extMask: 29, txQueues: 31, rxQueues: 32 };
const IFLA_INFO_KIND = 1;
const IFLA_INFO_SLAVE_DATA = 5;
const IFLA_BRPORT_LEARNING = 8;
const RTEXT_FILTER_SKIP_STATS = 8;
const IFF_UP = 1;
const IFF_LOOPBACK = 8;
const IFF_NOARP = 0x80;
const IFA = { address: 1, local: 2, flags: 8 };
/** RTA_… numbers of route attributes. */
export const RTA = { destination: 1, link: 4, gateway: 5, priority: 6, source: 7, multipath: 9, table: 15, via: 18 };
const NDA = { destination: 1, mac: 2 };

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const ifNameToIndex = libc<[name: string], number>("uint if_nametoindex(const char *name)");

/** The index of the link called `name` in the current namespace. @throws Fault PB4015 where there is none. */
export function linkIndex(name: string): number {
  const index = ifNameToIndex(name);
  if (index > 0) return index;
  throw new Fault("PB4015", `There is no link "${name}".`, {
    place: name,
    cure: "It was deleted or renamed, or the wiring names a link that it does not make.",
    data: { about: name, errno: "ENODEV" },
  });
}

/** Links of the current namespace in index order. */
export function dumpLinks(fd: number): Link[] {
  return dump(
    fd,
    RTM_GETLINK,
    encodePayload(new Uint8Array(16), [u32(IFLA.extMask, RTEXT_FILTER_SKIP_STATS)]),
    "the links",
  )
    .flatMap(({ payload }) => (payload.length < 16 ? [] : [linkOf(payload)]))
    .sort((a, b) => a.index - b.index);
}

function linkOf(payload: Uint8Array): Link {
  const data = view(payload);
  const flags = data.getUint32(8, true);
  const attributes = byType(decodeAttributes(payload, 16));
  const info = byType(decodeAttributes(attributes.get(IFLA.info) ?? new Uint8Array(0)));
  const master = asU32(attributes.get(IFLA.master));
  const lower = asU32(attributes.get(IFLA.link));
  const learning = byType(decodeAttributes(info.get(IFLA_INFO_SLAVE_DATA) ?? new Uint8Array(0))).get(
    IFLA_BRPORT_LEARNING,
  );
  return {
    index: data.getInt32(4, true),
    name: asText(attributes.get(IFLA.name)) ?? "",
    kind: asText(info.get(IFLA_INFO_KIND)) ?? "",
    mac: formatMac(attributes.get(IFLA.address) ?? new Uint8Array(0)),
    mtu: asU32(attributes.get(IFLA.mtu)) ?? 0,
    up: (flags & IFF_UP) !== 0,
    loopback: (flags & IFF_LOOPBACK) !== 0,
    noArp: (flags & IFF_NOARP) !== 0,
    ...(master === undefined ? {} : { master }),
    ...(learning === undefined ? {} : { learning: learning[0] === 1 }),
    ...(lower === undefined ? {} : { lower }),
    txQueues: asU32(attributes.get(IFLA.txQueues)) ?? 1,
    rxQueues: asU32(attributes.get(IFLA.rxQueues)) ?? 1,
  };
}

/** Addresses of the current namespace, of both families, in kernel order. */
export function dumpAddresses(fd: number): Address[] {
  return dumpAddressMessages(fd).flatMap(({ payload }) => addressOf(payload) ?? []);
}

/** {@link dumpAddresses} as the kernel's own messages. */
export function dumpAddressMessages(fd: number): NetlinkMessage[] {
  return dump(fd, RTM_GETADDR, new Uint8Array(8), "the addresses");
}

/** The address of an RTM_NEWADDR message. */
export function addressOf(payload: Uint8Array): Address | undefined {
  const family = familyOf(payload);
  if (family === undefined || payload.length < 8) return undefined;
  const attributes = byType(decodeAttributes(payload, 8));
  const address = attributes.get(IFA.address);
  const local = attributes.get(IFA.local) ?? address;
  if (local === undefined) return undefined;
  const peer = address === undefined ? formatIp(local) : formatIp(address);
  return {
    link: view(payload).getUint32(4, true),
    family,
    cidr: `${formatIp(local)}/${payload[1] ?? 0}`,
    scope: payload[3] ?? 0,
    flags: asU32(attributes.get(IFA.flags)) ?? payload[2] ?? 0,
    ...(peer === formatIp(local) ? {} : { peer }),
  };
}

/** Routes of the current namespace, of both families and all tables, in kernel order; the cache is left out. */
export function dumpRoutes(fd: number): Route[] {
  return dumpRouteMessages(fd).flatMap(({ payload }) => routeOf(payload) ?? []);
}

/** {@link dumpRoutes} as the kernel's own messages, the cache included. */
export function dumpRouteMessages(fd: number): NetlinkMessage[] {
  return dump(fd, RTM_GETROUTE, new Uint8Array(12), "the routes");
}

/** The route of an RTM_NEWROUTE message; undefined for one of the cache. */
export function routeOf(payload: Uint8Array): Route | undefined {
  const RTM_F_CLONED = 0x200;
  const family = familyOf(payload);
  if (family === undefined || payload.length < 12) return undefined;
  const flags = view(payload).getUint32(8, true);
  if ((flags & RTM_F_CLONED) !== 0) return undefined;
  const attributes = byType(decodeAttributes(payload, 12));
  const destination = attributes.get(RTA.destination) ?? new Uint8Array(family === 4 ? 4 : 16);
  const gateway = gatewayOf(attributes);
  const link = asU32(attributes.get(RTA.link));
  const source = attributes.get(RTA.source);
  const hops = attributes.get(RTA.multipath);
  return {
    family,
    table: asU32(attributes.get(RTA.table)) ?? payload[4] ?? 0,
    type: payload[7] ?? 0,
    destination: canonical(`${formatIp(destination)}/${payload[1] ?? 0}`),
    ...(gateway === undefined ? {} : { gateway }),
    ...(link === undefined ? {} : { link }),
    metric: asU32(attributes.get(RTA.priority)) ?? 0,
    ...(source === undefined ? {} : { source: formatIp(source) }),
    protocol: payload[5] ?? 0,
    scope: payload[6] ?? 0,
    flags,
    ...(hops === undefined ? {} : { hops: hopsOf(hops) }),
  };
}

function familyOf(payload: Uint8Array): 4 | 6 | undefined {
  return payload[0] === 2 ? 4 : payload[0] === 10 ? 6 : undefined;
}

/** RTA_GATEWAY, or the address behind the family of RTA_VIA (an IPv4 route over an IPv6 neighbour). */
function gatewayOf(attributes: ReadonlyMap<number, Uint8Array>): string | undefined {
  const gateway = attributes.get(RTA.gateway) ?? attributes.get(RTA.via)?.subarray(2);
  return gateway === undefined ? undefined : formatIp(gateway);
}

/** An array of struct rtnexthop, each followed by its attributes. */
function hopsOf(bytes: Uint8Array): NonNullable<Route["hops"]> {
  const data = view(bytes);
  const hops = [];
  for (let offset = 0; offset + 8 <= bytes.length; ) {
    const length = data.getUint16(offset, true);
    if (length < 8 || offset + length > bytes.length) break;
    const gateway = gatewayOf(byType(decodeAttributes(bytes.subarray(offset, offset + length), 8)));
    hops.push({
      link: data.getInt32(offset + 4, true),
      ...(gateway === undefined ? {} : { gateway }),
      weight: (bytes[offset + 3] ?? 0) + 1,
    });
    offset += (length + 3) & ~3;
  }
  return hops;
}

function canonical(cidr: string): string {
  const parsed = parseCidr(cidr);
  return parsed === undefined ? cidr : formatCidr(parsed);
}

/** Neighbour entries of the current namespace, of both families, in kernel order. */
export function dumpNeighbours(fd: number): Neighbour[] {
  return dumpNeighbourMessages(fd).flatMap(({ payload }) => neighbourOf(payload) ?? []);
}

/** {@link dumpNeighbours} as the kernel's own messages. */
export function dumpNeighbourMessages(fd: number): NetlinkMessage[] {
  return dump(fd, RTM_GETNEIGH, new Uint8Array(12), "the neighbours");
}

/** The neighbour entry of an RTM_NEWNEIGH message. */
export function neighbourOf(payload: Uint8Array): Neighbour | undefined {
  const family = familyOf(payload);
  if (family === undefined || payload.length < 12) return undefined;
  const attributes = byType(decodeAttributes(payload, 12));
  return {
    family,
    link: view(payload).getInt32(4, true),
    address: formatIp(attributes.get(NDA.destination) ?? new Uint8Array(0)),
    mac: formatMac(attributes.get(NDA.mac) ?? new Uint8Array(0)),
    state: view(payload).getUint16(8, true),
  };
}
