import { Fault } from "../../model/fault.ts";
import type { CniPlugin } from "../../model/networks/cni-config.ts";
import { executeHere } from "../linux/execute.ts";
import { within } from "../linux/netns.ts";

/** Takes the pod's end of a bridge's link down where its configuration asks for that, which bridge 1.1 ignores. */
export function disableContainerInterface({ type, config }: CniPlugin, netns: string, link: string): void {
  if (!asksForIt({ type, config })) return;
  const { failure } = within(netns, () => executeHere([{ do: "link.set", name: link, up: false }]));
  if (failure !== undefined) throw failure.fault;
}

/**
 * Refuses what newer plugins refuse: an address on a link that is down.
 *
 * @throws Fault PB3012
 */
export function refuseAddressOnDisabled({ type, config, ipamType }: CniPlugin, network: string): void {
  if (!asksForIt({ type, config }) || ipamType === undefined) return;
  throw new Fault(
    "PB3012",
    `The network "${network}" has disableContainerInterface and an ipam: the link that would have the address is down.`,
    {
      cure: "Remove one of them from the CNI configuration.",
      data: { plugin: type },
    },
  );
}

const asksForIt = ({ type, config }: Pick<CniPlugin, "type" | "config">): boolean =>
  type === "bridge" && config["disableContainerInterface"] === true;
