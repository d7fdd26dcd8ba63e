import { networkOf, parseCidr } from "../addresses/cidr.ts";
import { formatIp, parseIp4, sameBytes } from "../addresses/ip.ts";
import type { Dhcp4Message } from "./dhcp4.ts";
import { concat, part, pieces, readU16 } from "./octets.ts";

/** Option codes (RFC 2132, RFC 3397, RFC 3442). */
export const option4 = {
  subnetMask: 1,
  router: 3,
  dnsServers: 6,
  hostName: 12,
  domainName: 15,
  interfaceMtu: 26,
  ntpServers: 42,
  requestedAddress: 50,
  leaseTime: 51,
  messageType: 53,
  serverIdentifier: 54,
  parameterRequestList: 55,
  message: 56,
  maximumMessageSize: 57,
  clientIdentifier: 61,
  tftpServerName: 66,
  bootFileName: 67,
  domainSearch: 119,
  classlessRoutes: 121,
} as const;

/** Values of option 53. */
export const messageType4 = {
  discover: 1,
  offer: 2,
  request: 3,
  decline: 4,
  ack: 5,
  nak: 6,
  release: 7,
  inform: 8,
} as const;

/** The value of an option; undefined where the message has none. */
export function optionOf(message: Dhcp4Message, code: number): Uint8Array | undefined {
  return message.options.find((option) => option.code === code)?.value;
}

/** An option that is one octet; undefined where absent or of another length. */
export function octetOf(message: Dhcp4Message, code: number): number | undefined {
  const value = optionOf(message, code);
  return value?.length === 1 ? value[0] : undefined;
}

/** An option that is a 16-bit number; undefined where absent or of another length. */
export function u16Of(message: Dhcp4Message, code: number): number | undefined {
  const value = optionOf(message, code);
  return value?.length === 2 ? readU16(value, 0) : undefined;
}

/** An option that is one address; undefined where absent or of another length. */
export function addressOf(message: Dhcp4Message, code: number): string | undefined {
  const value = optionOf(message, code);
  return value?.length === 4 ? formatIp(value) : undefined;
}

/** An option that is a list of addresses; undefined where absent, empty or not of whole addresses. */
export function addressesOf(message: Dhcp4Message, code: number): readonly string[] | undefined {
  const value = optionOf(message, code);
  return value === undefined || value.length === 0 ? undefined : pieces(value, 4)?.map(formatIp);
}

/** Addresses one after the other; text that is no IPv4 address is left out. */
export function addresses4(list: readonly string[]): Uint8Array {
  return concat(...list.flatMap((address) => parseIp4(address) ?? []));
}

/** A route of option 121: `0.0.0.0/0` is a default route, gateway `0.0.0.0` is on-link. */
export interface ClasslessRoute {
  readonly destination: string;
  readonly gateway: string;
}

/** Option 121 (RFC 3442): prefix length, its significant octets, gateway. Undefined for text that is no IPv4 route. */
export function encodeClasslessRoute(route: ClasslessRoute): Uint8Array | undefined {
  const destination = parseCidr(route.destination);
  const gateway = parseIp4(route.gateway);
  if (destination === undefined || destination.family !== 4 || gateway === undefined) return undefined;
  const significant = networkOf(destination).address.subarray(0, Math.ceil(destination.prefixLength / 8));
  return concat([destination.prefixLength], significant, gateway);
}

/** Reads option 121; undefined where it is malformed, host bits included. */
export function decodeClasslessRoutes(value: Uint8Array): readonly ClasslessRoute[] | undefined {
  const routes: ClasslessRoute[] = [];
  let at = 0;
  while (at < value.length) {
    const prefixLength = value[at] ?? 33;
    const significant = Math.ceil(prefixLength / 8);
    const end = at + 1 + significant + 4;
    if (prefixLength > 32 || end > value.length) return undefined;
    const address = concat(part(value, at + 1, at + 1 + significant), new Uint8Array(4 - significant));
    if (!sameBytes(address, networkOf({ family: 4, address, prefixLength }).address)) return undefined;
    routes.push({
      destination: `${formatIp(address)}/${prefixLength}`,
      gateway: formatIp(value.subarray(end - 4, end)),
    });
    at = end;
  }
  return routes;
}
