import { BlockList, isIP, isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";

/** Where the API listens, how it is reached there, and what its certificate must prove beside the loopback names. */
export interface Listening {
  /** An IP address. */
  readonly address: string;
  /** As it stands in URLs; the loopback address where every address is listened on. */
  readonly urlHost: string;
  readonly proves: readonly string[];
}

/** `address` must be one, without a zone. The wildcards prove every address that the machine has now. */
export function listeningAt(address: string): Listening {
  const isEvery = every.check(address, isIPv6(address) ? "ipv6" : "ipv4");
  const reached = isEvery ? (isIPv6(address) ? "::1" : "127.0.0.1") : address;
  return {
    address,
    urlHost: isIPv6(reached) ? `[${reached}]` : reached,
    proves: isEvery ? machineAddresses() : [address],
  };
}

const every = new BlockList();
every.addAddress("0.0.0.0");
every.addAddress("::", "ipv6");

function machineAddresses(): readonly string[] {
  return Object.values(networkInterfaces())
    .flatMap((found) => found ?? [])
    .map(({ address }) => address)
    .filter((address) => isIP(address) !== 0 && !address.startsWith("fe80:"));
}
