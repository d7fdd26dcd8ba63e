import type { InterfaceStatus } from "../api/vmi-status.ts";
import type { NicContext } from "../bindings/binding.ts";
import { isPrimary } from "../networks/network.ts";
import { type PodFacts, podAddresses } from "../wiring/facts.ts";
import type { GuestNic } from "../wiring/wiring.ts";

/** What the VMI's status says of each NIC that QEMU has, the primary network's first. */
export function interfaceStatuses(
  nics: readonly NicContext[],
  guestNics: readonly GuestNic[],
  facts: PodFacts,
): readonly InterfaceStatus[] {
  const statuses = nics.flatMap((nic) => {
    const guest = guestNics.find(({ name }) => name === nic.name);
    if (guest === undefined) return [];
    // A bridge hands the pod's IPv4 address over and nothing else.
    const addresses = podAddresses(facts, nic.podInterface).filter(
      (address) => nic.binding !== "bridge" || !address.includes(":"),
    );
    const [first] = addresses;
    const status: InterfaceStatus = {
      name: nic.name,
      mac: guest.mac,
      ...(first === undefined ? {} : { ipAddress: first, ipAddresses: addresses }),
      infoSource: isTold(facts, nic) ? "domain, multus-status" : "domain",
      queueCount: guest.queues,
      podInterfaceName: nic.podInterface,
      linkState: guest.linkUp ? "up" : "down",
    };
    return [{ primary: isPrimary(nic.network, nic.podInterface), status }];
  });
  return [...statuses.filter(({ primary }) => primary), ...statuses.filter(({ primary }) => !primary)].map(
    ({ status }) => status,
  );
}

/** True for a secondary network of which the pod's network-status annotation tells (reference 1.8). */
function isTold({ networkStatus }: PodFacts, { network, podInterface }: NicContext): boolean {
  return !isPrimary(network, podInterface) && networkStatus.some((status) => status.interface === podInterface);
}
