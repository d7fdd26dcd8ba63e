import { isLinkLocal } from "../addresses/ip.ts";
import type { NicContext } from "../bindings/binding.ts";
import type { AgentInterface, AgentReport } from "../guest/agent.ts";
import type { PodFacts } from "../wiring/facts.ts";
import type { Wiring } from "../wiring/wiring.ts";
import type { ConditionClaim } from "./conditions.ts";
import { interfacesOf, podAddressesOf } from "./interfaces.ts";
import { assign, claim, inOrder, unclaim, type VmiStatusChange } from "./vmi.ts";

const CONNECTED = "AgentConnected";
const DIFFER = "GuestAddressesDiffer";
/** More addresses are not named in a message. */
const MAX_NAMED = 4;

/** What the status says of the guest's agent, of the guest's system, and of addresses that the guest lacks. */
export function agentChange(
  agent: AgentReport | undefined,
  nics: readonly NicContext[],
  wiring: Wiring,
  facts: PodFacts,
): VmiStatusChange {
  const lacks = agent?.settled === true ? addressesLacking(agent.said?.interfaces, nics, wiring, facts) : [];
  return inOrder(
    connected(agent),
    lacks.length === 0
      ? unclaim(DIFFER)
      : claim({ type: DIFFER, status: "True", reason: "PB5064", message: lacks.join(" ") }),
    guestOs(agent),
  );
}

/** Nothing is said of the agent of a guest that has ended. */
export const agentGone: VmiStatusChange = inOrder(unclaim(CONNECTED), unclaim(DIFFER));

/** As KubeVirt has it: there while the agent's channel is open. */
function connected(agent: AgentReport | undefined): VmiStatusChange {
  switch (agent?.channel) {
    case "open":
      return claim({ type: CONNECTED, status: "True" });
    case "mute": {
      const mute: ConditionClaim = { type: CONNECTED, status: "False", reason: "PB5063" };
      return claim(agent.trouble === undefined ? mute : { ...mute, message: agent.trouble });
    }
    default:
      return unclaim(CONNECTED);
  }
}

function guestOs(agent: AgentReport | undefined): VmiStatusChange {
  const os = agent?.said?.os;
  if (os !== undefined) return assign({ guestOSInfo: os });
  return ({ guestOSInfo: _, ...status }) => status;
}

/**
 * A sentence for each family of each NIC whose guest lacks the address that packets to the pod's end up at: the one that
 * is served to it.
 */
function addressesLacking(
  told: readonly AgentInterface[] | undefined,
  nics: readonly NicContext[],
  wiring: Wiring,
  facts: PodFacts,
): readonly string[] {
  if (told === undefined) return [];
  return nics.flatMap((nic) => {
    const guest = wiring.nics.find(({ name }) => name === nic.name);
    const served = wiring.services.find((services) => services.nic === nic.name);
    if (guest === undefined || !guest.linkUp || served === undefined) return [];
    const inGuest = interfacesOf(told, guest.mac);
    const [first] = inGuest;
    const who = `${nic.name} (${first === undefined ? `no NIC of the guest has its MAC ${guest.mac}` : first.name})`;
    const own = inGuest.flatMap(({ addresses }) => addresses);
    return [served.dhcp4?.clientAddress, served.dhcp6?.clientAddress].flatMap((lead) => {
      if (lead === undefined || own.includes(lead)) return [];
      const v6 = lead.includes(":");
      const ofFamily = (address: string): boolean => address.includes(":") === v6;
      const pod = podAddressesOf(nic, facts).filter(ofFamily);
      const others = own.filter((address) => ofFamily(address) && !isLinkLocal(address)).slice(0, MAX_NAMED);
      const way = pod.includes(lead)
        ? `the pod's ${lead} is to be the guest's`
        : `the pod's ${pod[0]} leads to ${lead}`;
      const instead = others.length === 0 ? `no IPv${v6 ? 6 : 4} address` : `${others.join(" and ")} alone`;
      return pod.length === 0 ? [] : [`${who}: ${way}, and the guest's agent tells of ${instead}.`];
    });
  });
}
