import { sha256 } from "@noble/hashes/sha2.js";

/** The pod's link of its primary network, as every runtime names it. */
export const PRIMARY_INTERFACE = "eth0";
/** What a masqueraded guest gets where the network says nothing (reference 1.1). */
export const DEFAULT_VM_NETWORK_CIDR = "10.0.2.0/24";
export const DEFAULT_VM_IPV6_NETWORK_CIDR = "fd10:0:2::/120";

/** Hex digits that still fit the 15 octets of a link name behind `k6t-`. */
const HASH_DIGITS = 11;
const HASHED = "pod";

/** The pod's link of a secondary network: `pod` and the first digits of the SHA-256 of the network's name (reference 4.1). */
export function hashedInterface(networkName: string): string {
  const digest = sha256(new TextEncoder().encode(networkName));
  const hex = Array.from(digest, (octet) => octet.toString(16).padStart(2, "0")).join("");
  return `${HASHED}${hex.slice(0, HASH_DIGITS)}`;
}

/** The tap of a pod's link: `tap0` for `eth0`, `tap16477688c0e` for `pod16477688c0e`. */
export function tapName(podInterface: string): string {
  return `tap${podInterface.slice(3)}`;
}

/** The in-pod bridge of a pod's link: `k6t-eth0`, `k6t-16477688c0e`. */
export function bridgeName(podInterface: string): string {
  return `k6t-${withoutHashMark(podInterface)}`;
}

/** What the pod's link is called once a stand-in has its name: `eth0-nic`, `16477688c0e-nic`. */
export function movedName(podInterface: string): string {
  return `${withoutHashMark(podInterface)}-nic`;
}

function withoutHashMark(podInterface: string): string {
  return podInterface.startsWith(HASHED) ? podInterface.slice(HASHED.length) : podInterface;
}
