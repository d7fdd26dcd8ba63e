import { Fault } from "../fault.ts";
import type { LinkFacts, PodFacts } from "../wiring/facts.ts";
import type { GuestNic, KernelState } from "../wiring/wiring.ts";
import type { NicContext } from "./binding.ts";

/** The pod's link of a NIC's network. Throws PB4002 where the pod has none of that name. */
export function podLink(nic: NicContext, facts: PodFacts): LinkFacts {
  const link = facts.links.find((candidate) => candidate.name === nic.podInterface);
  if (link !== undefined) return link;
  const names = facts.links.map(({ name }) => name);
  throw new Fault("PB4002", `The pod has no link "${nic.podInterface}" for the interface "${nic.name}".`, {
    place: nic.podInterface,
    cure: `It has: ${names.join(", ") || "none"}. Look at the CNI configuration of the ${nic.network.kind} network.`,
    data: { links: names },
  });
}

/** A kernel in which nothing is to be done. */
export const untouched: KernelState = { links: [], addresses: [], localRoutes: [], sysctls: [], tables: [] };

/** What QEMU is given for a NIC, but for how it is attached, its MAC and its MTU. */
export function guestNic(nic: NicContext, given: Pick<GuestNic, "attachment" | "mac" | "mtu">): GuestNic {
  return {
    name: nic.name,
    model: nic.model,
    queues: nic.queues,
    linkUp: nic.linkUp,
    ...(nic.bootOrder === undefined ? {} : { bootOrder: nic.bootOrder }),
    ...(nic.acpiIndex === undefined ? {} : { acpiIndex: nic.acpiIndex }),
    ...(nic.pciAddress === undefined ? {} : { pciAddress: nic.pciAddress }),
    ...given,
  };
}
