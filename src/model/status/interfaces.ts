import { isLinkLocal } from "../addresses/ip.ts";
import type { BindingField } from "../api/interfaces.ts";
import type { InterfaceStatus } from "../api/vmi-status.ts";
import type { NicContext } from "../bindings/binding.ts";
import type { AgentAnswers, AgentInterface } from "../guest/agent.ts";
import { isPrimary } from "../networks/network.ts";
import { type PodFacts, podAddresses } from "../wiring/facts.ts";
import type { GuestNic } from "../wiring/wiring.ts";

/** More interfaces that only the guest knows are not shown (reference 1.8, rule 5). */
const MAX_GUEST_ONLY = 10;

/**
 * What the VMI's status says of each NIC that QEMU has, the primary network's first, and of each interface that only the
 * guest knows: reference 1.8, with one rule more (ADR 0013): an address that the pod has is never taken away.
 */
export function interfaceStatuses(
  nics: readonly NicContext[],
  guestNics: readonly GuestNic[],
  facts: PodFacts,
  agent?: AgentAnswers,
): readonly InterfaceStatus[] {
  const told = agent?.interfaces ?? [];
  const known = new Set<string | undefined>();
  const entries = nics.flatMap((nic) => {
    const guest = guestNics.find(({ name }) => name === nic.name);
    if (guest === undefined) return [];
    const mac = guest.attachment.kind === "vfio" ? nic.mac : guest.mac;
    const inGuest = known.has(mac) ? [] : interfacesOf(told, mac);
    if (mac !== undefined) known.add(mac);
    return [{ primary: isPrimary(nic.network, nic.podInterface), status: nicStatus(nic, guest, mac, facts, inGuest) }];
  });
  return [
    ...entries.filter(({ primary }) => primary).map(({ status }) => status),
    ...entries.filter(({ primary }) => !primary).map(({ status }) => status),
    ...told
      .filter(({ mac }) => mac === undefined || !known.has(mac))
      .slice(0, MAX_GUEST_ONLY)
      .map(guestOnly),
    ...nics.filter(({ name }) => guestNics.every((guest) => guest.name !== name)).flatMap((nic) => podOnly(nic, facts)),
  ];
}

/**
 * The interfaces of the guest with a NIC's MAC: beside the NIC itself those that stand on it with the same one, such as a
 * bridge, a bond or a VLAN.
 */
export function interfacesOf(told: readonly AgentInterface[], mac: string | undefined): readonly AgentInterface[] {
  return mac === undefined ? [] : told.filter((one) => one.mac === mac);
}

function nicStatus(
  nic: NicContext,
  guest: GuestNic,
  mac: string | undefined,
  facts: PodFacts,
  inGuest: readonly AgentInterface[],
): InterfaceStatus {
  const [first] = inGuest;
  const sources = ["domain", ...(first === undefined ? [] : ["guest-agent"])];
  const handedOver = guest.attachment.kind === "vfio";
  return {
    name: nic.name,
    ...(mac === undefined ? {} : { mac }),
    ...addressFields(
      merged(
        nic.binding,
        podAddressesOf(nic, facts),
        inGuest.flatMap(({ addresses }) => addresses),
      ),
    ),
    ...(first === undefined ? {} : { interfaceName: first.name }),
    infoSource: [...sources, ...(isTold(facts, nic) ? ["multus-status"] : [])].join(", "),
    ...(handedOver ? {} : { queueCount: guest.queues }),
    podInterfaceName: nic.podInterface,
    ...(handedOver ? {} : { linkState: guest.linkUp ? "up" : "down" }),
  };
}

/** The addresses of a NIC that the pod's link has, as the guest is reached by them. */
export function podAddressesOf(nic: NicContext, facts: PodFacts): readonly string[] {
  // A bridge hands the pod's IPv4 address over and nothing else.
  return podAddresses(facts, nic.podInterface).filter((address) => nic.binding !== "bridge" || !address.includes(":"));
}

/** Bindings that put the guest on the pod's link itself, where each of its addresses can be reached. */
const ON_THE_LINK: readonly BindingField[] = ["bridge", "macvtap", "sriov"];

/**
 * Per family: what the pod has comes first and stays, whatever the guest tells; the guest's own addresses follow where
 * they can be reached, and stand alone where the pod has none.
 */
function merged(binding: BindingField, pod: readonly string[], guest: readonly string[]): readonly string[] {
  return [false, true].flatMap((v6) => {
    const ofFamily = (address: string): boolean => address.includes(":") === v6;
    const given = pod.filter(ofFamily);
    const own = [...new Set(guest.filter(ofFamily))];
    if (given.length === 0) return own.filter((address) => binding !== "masquerade" || !isLinkLocal(address));
    if (!ON_THE_LINK.includes(binding)) return given;
    return [...given, ...own.filter((address) => !given.includes(address) && !isLinkLocal(address))];
  });
}

function guestOnly({ name, mac, addresses }: AgentInterface): InterfaceStatus {
  const v4First = [...addresses].sort((one, other) => Number(one.includes(":")) - Number(other.includes(":")));
  return {
    ...(mac === undefined ? {} : { mac }),
    ...addressFields(v4First),
    interfaceName: name,
    infoSource: "guest-agent",
  };
}

/** A NIC that QEMU does not have, though the pod has its link. */
function podOnly(nic: NicContext, facts: PodFacts): InterfaceStatus[] {
  if (!isTold(facts, nic)) return [];
  return [{ name: nic.name, infoSource: "multus-status", podInterfaceName: nic.podInterface }];
}

function addressFields(addresses: readonly string[]): Pick<InterfaceStatus, "ipAddress" | "ipAddresses"> {
  const [first] = addresses;
  return first === undefined ? {} : { ipAddress: first, ipAddresses: [...addresses] };
}

/** True for a secondary network of which the pod's network-status annotation tells. */
function isTold({ networkStatus }: PodFacts, { network, podInterface }: NicContext): boolean {
  return !isPrimary(network, podInterface) && networkStatus.some((status) => status.interface === podInterface);
}
