import { podNetworkOf } from "../host/cni/conf-dir.ts";
import { readHostResolver } from "../host/cni/host-resolver.ts";
import {
  type AddedNetwork,
  type Attachment,
  addNetwork,
  type CniHost,
  delNetwork,
  listCached,
} from "../host/cni/network.ts";
import { networkStatusOf } from "../host/cni/network-status.ts";
import { createNetns, deleteNetns, netnsPath } from "../host/linux/netns.ts";
import { readLinks } from "../host/linux/pod-facts.ts";
import type { Code } from "../model/codes/codes.ts";
import { Fault, isFault } from "../model/fault.ts";
import { PRIMARY_INTERFACE } from "../model/networks/pod-interface.ts";
import { podResolver } from "../model/networks/resolver.ts";
import type { PodSource, SandboxRequest } from "./pod-source.ts";

/** What a machine without Kubernetes makes pods with. */
export interface StandaloneOptions {
  readonly confDir: string;
  readonly binDirs: readonly string[];
  /** Where CNI's records are kept: `D/cni`. */
  readonly cacheDir: string;
  /** What one plugin may take; absent: CNI's own default. */
  readonly pluginTimeLimitMs?: number;
}

/** Names are made of the pod's UID, so that what was made can be found without its record. */
function netnsName(podUid: string): string {
  return `patchbay-${podUid}`;
}

/** Pods of a machine without Kubernetes: a namespace made here, wired by the first CNI configuration of the folder. */
export function standalonePods(options: StandaloneOptions): PodSource {
  const host: CniHost = {
    cacheDir: options.cacheDir,
    binDirs: options.binDirs,
    ...(options.pluginTimeLimitMs === undefined ? {} : { timeLimitMs: options.pluginTimeLimitMs }),
  };
  const release = async (podUid: string): Promise<void> => {
    const attachments = listCached(options.cacheDir).attachments.filter(({ containerId }) => containerId === podUid);
    try {
      for (const { containerId, ifName } of attachments.reverse()) await delNetwork({ containerId, ifName }, host);
    } finally {
      deleteNetns(netnsName(podUid));
    }
  };
  return {
    netnsOf: (podUid) => netnsPath(netnsName(podUid)),
    acquire: async (request, signal, waits) => {
      const { file, network } = podNetworkOf(options.confDir);
      try {
        const netns = createNetns(netnsName(request.podUid));
        const wanted = {
          network,
          containerId: request.podUid,
          ifName: PRIMARY_INTERFACE,
          netns,
          args: cniArgs(request),
        };
        const { added, differs } = await addWithAddresses(wanted, request.ips ?? [], { ...host, signal, waits });
        const networkStatus = [networkStatusOf(added, { default: true })];
        const { links, routes } = readLinks(netns);
        const resolver = podResolver({
          ...request,
          ...readHostResolver(),
          cniDns: added.result.dns,
        });
        const facts = { podUid: request.podUid, links, routes, resolver, networkStatus };
        return { netns, facts, networkStatus, ...(differs === undefined ? {} : { differs }) };
      } catch (thrown) {
        // What cannot be undone now is tried again when the pod is released.
        await release(request.podUid).catch(() => undefined);
        throw isFault(thrown) && OF_CONFIGURATION.includes(thrown.code) ? placed(thrown, file) : thrown;
      }
    },
    release,
  };
}

/** What a plugin answers that does not have the addresses that are asked for; not what keeps it from answering at all. */
const REFUSES_ADDRESSES: readonly Code[] = ["PB3000", "PB3012", "PB3018"];

/**
 * Attaches with these addresses where a plugin of the network takes such a wish (the capability `ips`), and where it does
 * not grant it, with any: a VM that has another address than before is better than one that does not start.
 */
async function addWithAddresses(
  attachment: Attachment,
  ips: readonly string[],
  host: CniHost,
): Promise<{ readonly added: AddedNetwork; readonly differs?: Fault }> {
  const able = attachment.network.plugins.some(({ capabilities }) => capabilities.includes("ips"));
  if (ips.length === 0 || !able) return { added: await addNetwork(attachment, host) };
  try {
    return { added: await addNetwork({ ...attachment, runtimeConfig: { ips } }, host) };
  } catch (thrown) {
    if (!isFault(thrown) || !REFUSES_ADDRESSES.includes(thrown.code)) throw thrown;
    const added = await addNetwork(attachment, host);
    return { added, differs: otherAddresses(ips, added, thrown) };
  }
}

function otherAddresses(ips: readonly string[], { network, result }: AddedNetwork, cause: Fault): Fault {
  const given = result.ips.map(({ address }) => address.replace(/\/.*/, "")).join(" and ");
  return new Fault(
    "PB3029",
    `The network "${network}" did not give the VM the addresses ${ips.join(" and ")} that it had; it has ${given} now. ${cause.message}`,
    { cure: "The VM keeps the new ones from now on: tell who called it by the old ones.", cause },
  );
}

/** What a plugin finds wrong with its configuration, which is to be mended there and not in the plugin. */
const OF_CONFIGURATION: readonly Code[] = ["PB3011", "PB3012", "PB3018", "PB3027"];

function placed(fault: Fault, place: string): Fault {
  const { code, message, cure, data } = fault;
  return new Fault(code, message, { place, data, cause: fault, ...(cure === undefined ? {} : { cure }) });
}

/** What kubelet's runtimes tell the plugins of the pod. */
function cniArgs({ namespace, name, podUid }: SandboxRequest): readonly (readonly [string, string])[] {
  return [
    ["IgnoreUnknown", "1"],
    ["K8S_POD_NAMESPACE", namespace],
    ["K8S_POD_NAME", name],
    ["K8S_POD_INFRA_CONTAINER_ID", podUid],
    ["K8S_POD_UID", podUid],
  ];
}
