import { formatIp, parseIp6 } from "../addresses/ip.ts";
import { arpAnnouncement, encodeArp } from "../packets/arp.ts";
import { BROADCAST_MAC, encodeEthernet, etherType, multicastMac } from "../packets/ethernet.ts";
import { encodeNd, ICMP6, withChecksum } from "../packets/icmp6.ts";
import { encodeIp6 } from "../packets/ip6.ts";
import { ALL_NODES } from "./router.ts";

/**
 * The Ethernet frame that tells a link where an address is now: an ARP announcement for 4 octets (RFC 5227), an
 * unsolicited neighbour advertisement with the override flag for 16 (RFC 4861 section 7.2.6).
 */
export function announcementFrame(address: Uint8Array, mac: Uint8Array): Uint8Array {
  if (address.length === 4) {
    const payload = encodeArp(arpAnnouncement(mac, address));
    return encodeEthernet({ destination: BROADCAST_MAC, source: mac, type: etherType.arp, payload });
  }
  const everybody = parseIp6(ALL_NODES) ?? new Uint8Array(16);
  const message = encodeNd({
    type: "na",
    router: false,
    solicited: false,
    override: true,
    target: formatIp(address),
    options: [{ is: "targetMac", mac }],
  });
  const payload = encodeIp6({
    source: address,
    destination: everybody,
    nextHeader: ICMP6,
    hopLimit: 255,
    payload: withChecksum(message, address, everybody),
  });
  return encodeEthernet({ destination: multicastMac(everybody), source: mac, type: etherType.ipv6, payload });
}
