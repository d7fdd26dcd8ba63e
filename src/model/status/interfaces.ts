import { parseCidr } from "../addresses/cidr.ts";
import { formatIp } from "../addresses/ip.ts";
import type { InterfaceStatus } from "../api/vmi-status.ts";
import type { NicContext } from "../bindings/binding.ts";
import type { PodFacts } from "../wiring/facts.ts";
import type { GuestNic } from "../wiring/wiring.ts";

/** The pod's global addresses on that link, in kernel order, IPv4 first. */
export function podAddresses(facts: PodFacts, podInterface: string): readonly string[] {
  const link = facts.links.find(({ name }) => name === podInterface);
  const addresses = (link?.addresses ?? [])
    .filter(({ scope }) => scope === "global" || scope === "site")
    .flatMap(({ cidr }) => parseCidr(cidr) ?? []);
  return [4, 6].flatMap((family) =>
    addresses.filter((cidr) => cidr.family === family).map(({ address }) => formatIp(address)),
  );
}

/** What the VMI's status says of each NIC that QEMU has, the primary network's first. */
export function interfaceStatuses(
  nics: readonly NicContext[],
  guestNics: readonly GuestNic[],
  facts: PodFacts,
): readonly InterfaceStatus[] {
  const statuses = nics.flatMap((nic) => {
    const guest = guestNics.find(({ name }) => name === nic.name);
    if (guest === undefined) return [];
    const addresses = podAddresses(facts, nic.podInterface);
    const [first] = addresses;
    const status: InterfaceStatus = {
      name: nic.name,
      mac: guest.mac,
      ...(first === undefined ? {} : { ipAddress: first, ipAddresses: addresses }),
      infoSource: "domain",
      queueCount: guest.queues,
      podInterfaceName: nic.podInterface,
      linkState: guest.linkUp ? "up" : "down",
    };
    return [{ primary: isPrimary(nic), status }];
  });
  return [...statuses.filter(({ primary }) => primary), ...statuses.filter(({ primary }) => !primary)].map(
    ({ status }) => status,
  );
}

function isPrimary(nic: NicContext): boolean {
  return nic.network.kind === "pod" || (nic.network.kind === "multus" && nic.network.default);
}
