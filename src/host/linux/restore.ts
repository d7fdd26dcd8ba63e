import { decodeAttributes, type NetlinkMessage } from "./netlink.ts";
import { batch, type NetlinkRequest, withRouteSocket } from "./netlink-socket.ts";
import {
  addressOf,
  dumpAddressMessages,
  dumpLinks,
  dumpNeighbourMessages,
  dumpRouteMessages,
  neighbourOf,
  type Route,
  RTA,
  routeOf,
} from "./rtnetlink.ts";

/**
 * What the kernel forgets of a link that goes down or gets another MAC, as the kernel itself told of it, so that it can be
 * told the same again: with the metrics, lifetimes and labels that nobody here reads.
 */
export interface Memory {
  readonly addresses: readonly Remembered[];
  /** Permanent ones. */
  readonly neighbours: readonly Remembered[];
  /** Those that come by themselves, from routers and redirects, are left out. */
  readonly routes: readonly Remembered[];
}

interface Remembered {
  /** The same for the same address, neighbour or route of the same link. */
  readonly key: string;
  /** For error messages. */
  readonly about: string;
  /** Indexes of the links that it needs. */
  readonly links: readonly number[];
  readonly payload: Uint8Array;
}

const RTM_NEWADDR = 20;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_NEWNEIGH = 28;
const NLM_F_EXCL = 0x200;
const NLM_F_CREATE = 0x400;
const NUD_PERMANENT = 0x80;
const RTN_UNICAST = 1;
const [RTPROT_REDIRECT, RTPROT_KERNEL, RTPROT_RA] = [1, 2, 9];
const RTNH_F_ONLINK = 4;

/** Reads what there is to remember of the current namespace. */
export function rememberHere(): Memory {
  return withRouteSocket((fd) => ({
    addresses: inOrderOfAdding(dumpAddressMessages(fd)),
    neighbours: dumpNeighbourMessages(fd).flatMap(({ payload }) => {
      const neighbour = neighbourOf(payload);
      if (neighbour === undefined || (neighbour.state & NUD_PERMANENT) === 0) return [];
      const { link, address, mac } = neighbour;
      return [{ key: `${link} ${address} ${mac}`, about: `neighbour ${address}`, links: [link], payload }];
    }),
    routes: dumpRouteMessages(fd).flatMap(({ payload }) => {
      const route = routeOf(payload);
      if (route === undefined || [RTPROT_REDIRECT, RTPROT_RA].includes(route.protocol)) return [];
      return [
        {
          key: routeKey(route),
          about: `route ${route.destination}`,
          links: linksOf(route),
          payload: withoutState(payload),
        },
      ];
    }),
  }));
}

/** Makes good what of `memory` is gone and has its link still, and gives the texts of what the kernel refuses. */
export function restoreHere(remembered: Memory): string[] {
  const memory = withLinks(remembered);
  const now = rememberHere();
  const left = [
    ...tell(RTM_NEWADDR, lost(memory.addresses, now.addresses)),
    ...tell(RTM_NEWNEIGH, lost(memory.neighbours, now.neighbours)),
  ];
  // An address brings routes of its own, also one that somebody had taken away.
  const { routes } = rememberHere();
  tell(RTM_DELROUTE, lost(routes, memory.routes).filter(isMadeByKernel).filter(isUnicast));
  const missing = lost(memory.routes, routes).filter((route) => !isMadeByKernel(route));
  // The way to a gateway has to be there before the routes through it.
  const isDirect = ({ payload }: Remembered): boolean => routeOf(payload)?.gateway === undefined;
  const [direct, far] = [missing.filter(isDirect), missing.filter((route) => !isDirect(route))];
  return [...left, ...tell(RTM_NEWROUTE, direct), ...tell(RTM_NEWROUTE, far)];
}

/** What went with a link can not come back. */
function withLinks({ addresses, neighbours, routes }: Memory): Memory {
  const there = new Set(withRouteSocket(dumpLinks).map(({ index }) => index));
  const has = ({ links }: Remembered): boolean => links.every((link) => there.has(link));
  return { addresses: addresses.filter(has), neighbours: neighbours.filter(has), routes: routes.filter(has) };
}

function linksOf({ link, hops = [] }: Route): readonly number[] {
  return [...(link === undefined ? [] : [link]), ...hops.map((hop) => hop.link)];
}

/** The kernel puts a new IPv6 address before the others and a new IPv4 address behind them. */
function inOrderOfAdding(messages: readonly NetlinkMessage[]): Remembered[] {
  const all = messages.flatMap(({ payload }) => {
    const address = addressOf(payload);
    if (address === undefined) return [];
    const { link, family, cidr, peer = "" } = address;
    return [{ family, key: `${link} ${cidr} ${peer}`, about: `address ${cidr}`, links: [link], payload }];
  });
  return [...all.filter(({ family }) => family === 4), ...all.filter(({ family }) => family === 6).toReversed()];
}

function routeKey({ flags: _, ...route }: Route): string {
  return JSON.stringify(route);
}

/** Without the flags that say how the link is at the moment, which a request must not have. */
function withoutState(payload: Uint8Array): Uint8Array {
  const copy = payload.slice();
  const data = new DataView(copy.buffer);
  data.setUint32(8, data.getUint32(8, true) & RTNH_F_ONLINK, true);
  for (const { type, value } of decodeAttributes(copy, 12)) {
    if (type !== RTA.multipath) continue;
    const hops = new DataView(value.buffer, value.byteOffset, value.byteLength);
    for (let at = 0; at + 8 <= value.length; at += Math.max(8, (hops.getUint16(at, true) + 3) & ~3)) {
      hops.setUint8(at + 2, hops.getUint8(at + 2) & RTNH_F_ONLINK);
    }
  }
  return copy;
}

function lost(before: readonly Remembered[], now: readonly Remembered[]): readonly Remembered[] {
  const there = new Set(now.map(({ key }) => key));
  return before.filter(({ key }) => !there.has(key));
}

function isMadeByKernel({ payload }: Remembered): boolean {
  return payload[5] === RTPROT_KERNEL;
}

function isUnicast({ payload }: Remembered): boolean {
  return payload[7] === RTN_UNICAST;
}

/** What is there already, or made by itself in this moment, is as good. */
function tell(type: number, remembered: readonly Remembered[]): string[] {
  if (remembered.length === 0) return [];
  const requests = remembered.map(
    ({ payload, about }): NetlinkRequest => ({
      type,
      flags: type === RTM_DELROUTE ? 0 : NLM_F_CREATE | NLM_F_EXCL,
      payload,
      about,
    }),
  );
  return withRouteSocket((fd) => batch(fd, requests)).flatMap((verdict, position) =>
    verdict.ok || verdict.errno === "EEXIST" ? [] : [`${remembered[position]?.about}: ${verdict.sentence}.`],
  );
}
