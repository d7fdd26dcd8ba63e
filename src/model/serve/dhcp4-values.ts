import { maskOf } from "../addresses/cidr.ts";
import { parseIp4 } from "../addresses/ip.ts";
import { parseMac } from "../addresses/mac.ts";
import type { Dhcp4Option } from "../packets/dhcp4.ts";
import { addresses4, encodeClasslessRoute, option4 } from "../packets/dhcp4-options.ts";
import { canonicalDomain, encodeNames } from "../packets/dns-names.ts";
import { concat, u16, u32 } from "../packets/octets.ts";
import type { Dhcp4Service } from "../wiring/wiring.ts";
import { badAddresses, badDomains, checked, isWhole, leftOut, type ServiceCheck } from "./check.ts";

/** The smallest MTU of option 26 (RFC 2132 section 5.1). */
const SMALLEST_MTU = 68;

/**
 * The options that a service hands out, those that matter most first; values that cannot be sent are left out and
 * named by {@link checkDhcp4}. With `lease` the lease time is one of them.
 *
 * The subnet mask stands before the routers (RFC 2132 section 3.3).
 */
export function dhcp4Values(service: Dhcp4Service, lease: boolean): readonly Dhcp4Option[] {
  const routes = concat(...service.classlessRoutes.flatMap((route) => encodeClasslessRoute(route) ?? []));
  const mtu = isMtu(service.mtu) ? concat(u16(service.mtu)) : new Uint8Array();
  const domain = service.domainName === undefined ? undefined : canonicalDomain(service.domainName);
  const wanted: readonly (readonly [number, Uint8Array])[] = [
    [option4.leaseTime, lease ? concat(u32(Math.min(service.leaseSeconds, 0xffffffff))) : new Uint8Array()],
    [option4.subnetMask, maskOf(4, service.prefixLength)],
    [option4.classlessRoutes, routes],
    [option4.router, addresses4(service.routers)],
    [option4.dnsServers, addresses4(service.dnsServers)],
    [option4.interfaceMtu, mtu],
    [option4.hostName, utf8(service.hostName)],
    [option4.domainName, utf8(domain)],
    [option4.domainSearch, encodeNames(service.searchDomains)],
    [option4.bootFileName, utf8(service.bootFileName)],
    [option4.tftpServerName, utf8(service.tftpServerName)],
    [option4.ntpServers, addresses4(service.ntpServers)],
  ];
  const given = wanted.filter(([, value]) => value.length > 0).map(([code, value]) => ({ code, value }));
  return [
    ...given,
    ...service.privateOptions.filter(isPrivate).map(({ option, value }) => ({ code: option, value: utf8(value) })),
  ];
}

function isMtu(mtu: number): boolean {
  return isWhole(mtu, 0xffff) && mtu >= SMALLEST_MTU;
}

/** Site-specific codes that KubeVirt lets a manifest set. */
function isPrivate({ option }: { readonly option: number }): boolean {
  return Number.isInteger(option) && option >= 224 && option <= 254;
}

function utf8(text: string | undefined): Uint8Array {
  return new TextEncoder().encode(text ?? "");
}

/** Looks through a DHCPv4 service before it starts. */
export function checkDhcp4(service: Dhcp4Service): ServiceCheck {
  const { serverAddress, clientAddress, clientMac, prefixLength, leaseSeconds, mtu } = service;
  const domains = [...(service.domainName === undefined ? [] : [service.domainName]), ...service.searchDomains];
  return checked(
    [
      [parseIp4(serverAddress) !== undefined, `the server address "${serverAddress}" is no IPv4 address`],
      [parseIp4(clientAddress) !== undefined, `the guest's address "${clientAddress}" is no IPv4 address`],
      [
        clientMac === undefined || parseMac(clientMac) !== undefined,
        `the guest's MAC "${clientMac}" is no Ethernet address`,
      ],
      [isWhole(prefixLength, 32), `the prefix length ${prefixLength} is not between 0 and 32`],
      [isWhole(leaseSeconds), `the lease time ${leaseSeconds} is no number of seconds`],
    ],
    [
      ...badAddresses(4, "router", service.routers),
      ...badAddresses(4, "DNS server", service.dnsServers),
      ...badAddresses(4, "NTP server", service.ntpServers),
      ...badDomains(domains),
      ...service.classlessRoutes
        .filter((route) => encodeClasslessRoute(route) === undefined)
        .map(({ destination, gateway }) => leftOut(`the route ${destination} via ${gateway} is no IPv4 route`)),
      ...service.privateOptions
        .filter((option) => !isPrivate(option))
        .map(({ option }) => leftOut(`option ${option} is not one of the private options 224 to 254`)),
      ...(isMtu(mtu) ? [] : [leftOut(`the MTU ${mtu} is not between ${SMALLEST_MTU} and 65535`)]),
    ],
  );
}
