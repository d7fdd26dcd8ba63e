import { networkOf, parseCidr } from "../addresses/cidr.ts";
import { formatIp, parseIp6 } from "../addresses/ip.ts";
import { parseMac } from "../addresses/mac.ts";
import { canonicalDomain } from "../packets/dns-names.ts";
import { decodeNd, encodeNd, type NdMessage, type NdOption } from "../packets/icmp6.ts";
import type { RouterAdvertisementService } from "../wiring/wiring.ts";
import { badAddresses, badDomains, checked, isWhole, type ServiceCheck } from "./check.ts";
import type { ServeNote } from "./note.ts";

/** All nodes of the link: where unsolicited advertisements go. */
export const ALL_NODES = "ff02::1";

/** MAX_RTR_LIFETIME of RFC 4861 section 6.2.1. */
const LONGEST_LIFETIME = 9000;
const FOR_EVER = 0xffffffff;
const HOP_LIMIT = 64;
/** IPv6 needs 1280. */
const SMALLEST_MTU = 1280;

/** Looks through a router advertisement service before it starts. */
export function checkRouter(service: RouterAdvertisementService): ServiceCheck {
  const { mac, linkLocal, prefix, routerLifetime } = service;
  return checked(
    [
      [parseMac(mac) !== undefined, `the router's MAC "${mac}" is no Ethernet address`],
      [isLinkLocal(linkLocal), `the router's address "${linkLocal}" is not link-local`],
      [parseCidr(prefix)?.family === 6, `the prefix "${prefix}" is no IPv6 network`],
      [
        isWhole(routerLifetime, LONGEST_LIFETIME),
        `the router lifetime ${routerLifetime} is not between 0 and ${LONGEST_LIFETIME}`,
      ],
    ],
    [...badAddresses(6, "DNS server", service.dnsServers), ...badDomains(service.searchDomains)],
  );
}

/** In fe80::/10. */
function isLinkLocal(text: string): boolean {
  const bytes = parseIp6(text);
  return bytes !== undefined && bytes[0] === 0xfe && ((bytes[1] ?? 0) & 0xc0) === 0x80;
}

/**
 * The advertisement of a service (RFC 4861 section 4.2, RFC 8106).
 *
 * The prefix is on-link for ever and not autonomous: the address comes by DHCPv6. DNS lives as long as the router.
 */
export function advertisement(service: RouterAdvertisementService): NdMessage {
  const prefix = parseCidr(service.prefix);
  const mac = parseMac(service.mac);
  const addresses = service.dnsServers.filter((text) => parseIp6(text) !== undefined);
  const names = service.searchDomains.filter((name) => canonicalDomain(name) !== undefined);
  const lifetime = service.routerLifetime === 0 ? LONGEST_LIFETIME : service.routerLifetime;
  const options: readonly NdOption[] = [
    ...(mac === undefined ? [] : [{ is: "sourceMac", mac } as const]),
    ...(isWhole(service.mtu, 0xffffffff) && service.mtu >= SMALLEST_MTU
      ? [{ is: "mtu", mtu: service.mtu } as const]
      : []),
    ...(prefix === undefined
      ? []
      : [
          {
            is: "prefix",
            prefix: formatIp(networkOf(prefix).address),
            prefixLength: prefix.prefixLength,
            onLink: true,
            autonomous: false,
            validLifetime: FOR_EVER,
            preferredLifetime: FOR_EVER,
          } as const,
        ]),
    ...(addresses.length === 0 ? [] : [{ is: "dnsServers", lifetime, addresses } as const]),
    ...(names.length === 0 ? [] : [{ is: "dnsSearch", lifetime, names } as const]),
  ];
  return {
    type: "ra",
    hopLimit: HOP_LIMIT,
    managed: service.managed,
    otherConfig: service.otherConfig,
    routerLifetime: service.routerLifetime,
    reachableTime: 0,
    retransTimer: 0,
    options,
  };
}

/** What a router makes of one ICMPv6 packet. */
export interface RouterAnswer {
  readonly notes: readonly ServeNote[];
  readonly reply?: { readonly bytes: Uint8Array; readonly to: string };
}

/**
 * The answer to a router solicitation, at once: to the sender, or to all nodes where it has no address yet.
 *
 * Hop limit (255) and checksum are the socket's to check (RFC 4861 section 6.1.1). There is one host on the link, so
 * that the random delay and the pause between answers of section 6.2.6 would only cost it time.
 */
export function answerSolicitation(
  service: RouterAdvertisementService,
  packet: Uint8Array,
  source: string,
): RouterAnswer {
  const read = decodeNd(packet);
  if (!read.ok) return { notes: [{ kind: "malformed", message: `From ${source}: ${read.detail}.` }] };
  if (read.value.type !== "rs") return { notes: [] };
  const unspecified = source === "::";
  if (unspecified && read.value.options.some(({ is }) => is === "sourceMac")) {
    return { notes: [{ kind: "ignored", message: "A solicitation from :: that names a source MAC." }] };
  }
  return {
    notes: [{ kind: "advertised", message: `Answered the solicitation of ${source}.` }],
    reply: { bytes: encodeNd(advertisement(service)), to: unspecified ? ALL_NODES : source },
  };
}

const INITIAL_ADVERTISEMENTS = 3;
/** MIN_DELAY_BETWEEN_RAS: the shortest pause that RFC 4861 allows, for a guest that comes up meanwhile. */
const INITIAL_PAUSE = 3_000;
const LONGEST_PAUSE = 600_000;

/**
 * Milliseconds until the next unsolicited advertisement when `sent` have gone out; `random` is from [0, 1).
 *
 * At once, two more three seconds apart, then at a third of the router's lifetime, at most ten minutes, less a random
 * part (RFC 4861 sections 6.2.1 and 6.2.4).
 */
export function nextAdvertisement(service: RouterAdvertisementService, sent: number, random: number): number {
  if (sent === 0) return 0;
  if (sent < INITIAL_ADVERTISEMENTS) return INITIAL_PAUSE;
  const third = service.routerLifetime === 0 ? LONGEST_PAUSE : (service.routerLifetime * 1000) / 3;
  const longest = Math.min(LONGEST_PAUSE, Math.max(INITIAL_PAUSE, third));
  const shortest = Math.max(INITIAL_PAUSE, longest / 3);
  return Math.round(shortest + random * (longest - shortest));
}
