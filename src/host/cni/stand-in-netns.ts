import { basename, dirname } from "node:path";
import { Fault } from "../../model/fault.ts";
import type { CniPlugin } from "../../model/networks/cni-config.ts";
import { parseCniResult } from "../../model/networks/cni-result.ts";
import { createNetns, deleteNetns, isNetns, NETNS_DIR } from "../linux/netns.ts";
import type { AttachmentRecord } from "./attachment-record.ts";
import { ip } from "./iproute.ts";

/** The other end of the link that stands in; nobody sees it. */
const PEER = "gone";

/**
 * True for a plugin that leaves rules on the host where its DEL finds no namespace: bridge and ptp of the CNI project read
 * the addresses that they masqueraded from the pod's link, and bridge does not take its MAC spoof check away either.
 */
export function needsNetnsToDelete({ type, config }: Pick<CniPlugin, "type" | "config">): boolean {
  const isOne = type === "bridge" || type === "ptp";
  return isOne && (config["ipMasq"] === true || config["macspoofchk"] === true);
}

/**
 * Runs `act` with a namespace in place of a pod's that is gone: of its name, with a link of the attachment's name that has
 * the addresses of the recorded result. Does so only where the namespace had a name of ip-netns(8).
 *
 * A daemon that dies meanwhile leaves it where whoever releases the pod deletes it.
 */
export async function withStandInNetns<T>(record: AttachmentRecord, act: () => Promise<T>): Promise<T> {
  const { netns, ifName, result, network } = record;
  const name = basename(netns);
  if (dirname(netns) !== NETNS_DIR || result === undefined || isNetns(netns)) return act();
  // The plain file that a reboot leaves of a name.
  deleteNetns(name);
  createNetns(name);
  try {
    const reading = parseCniResult(result, network.cniVersion);
    const ips = "result" in reading ? reading.result.ips : [];
    const batch = [
      `link add name ${ifName} type veth peer name ${PEER}`,
      ...ips.map(({ address }) => `address add ${address} dev ${ifName}${address.includes(":") ? " nodad" : ""}`),
    ];
    const said = await ip(netns, ["-batch", "-"], `${batch.join("\n")}\n`);
    if (said !== undefined) {
      throw new Fault(
        "PB3025",
        `The network "${network.name}" cannot be taken away from a pod that is gone: ${said}.`,
        {
          place: netns,
          cure: "See that iproute2 is installed, then delete the VMI again.",
        },
      );
    }
    return await act();
  } finally {
    deleteNetns(name);
  }
}
