import { type Delegate, type DelegationSources, delegatesOf, withDevice } from "../host/cni/delegation.ts";
import { readHostResolver } from "../host/cni/host-resolver.ts";
import type { CniHost } from "../host/cni/invocation.ts";
import {
  type AddedNetwork,
  type Attachment,
  addNetwork,
  checkNetwork,
  delNetwork,
  listCached,
} from "../host/cni/network.ts";
import { networkStatusOf } from "../host/cni/network-status.ts";
import { createNetns, deleteNetns, netnsPath } from "../host/linux/netns.ts";
import { openFilesLimit } from "../host/linux/open-files.ts";
import { readLinks } from "../host/linux/pod-facts.ts";
import type { Code } from "../model/codes/codes.ts";
import { Fault, isFault } from "../model/fault.ts";
import { podResolver } from "../model/networks/resolver.ts";
import type { DeviceClaim } from "../model/pods/device-resources.ts";
import type { PodFacts } from "../model/wiring/facts.ts";
import type { DeviceResources } from "./device-resources.ts";
import type { PodSource, SandboxRequest } from "./pod-source.ts";

/** What a machine without Kubernetes makes pods with. */
export interface StandaloneOptions extends DelegationSources {
  readonly binDirs: readonly string[];
  /** Where CNI's records are kept: `D/cni`. */
  readonly cacheDir: string;
  /** What one plugin may take; absent: CNI's own default. */
  readonly pluginTimeLimitMs?: number;
  /** Devices that networks claim; absent: there are none, as for pods without VMIs. */
  readonly devices?: DeviceResources;
}

/** Names are made of the pod's UID, so that what was made can be found without its record. */
function netnsName(podUid: string): string {
  return `patchbay-${podUid}`;
}

/**
 * Pods of a machine without Kubernetes: a namespace made here, wired by the CNI configurations that the pod's annotations
 * choose, as Multus and Genie do it.
 */
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
    await options.devices?.reset(podUid);
  };
  return {
    netnsOf: (podUid) => netnsPath(netnsName(podUid)),
    acquire: async (request, signal, waits) => {
      const asked = await delegatesOf(request.networks, options);
      try {
        const claims = await claimsOf(asked, request.podUid, signal);
        const delegates = asked.map((delegate) => {
          const claim = claims.find((one) => one.interface === delegate.ifName);
          return claim === undefined ? delegate : withDevice(delegate, claim.device);
        });
        const netns = createNetns(netnsName(request.podUid));
        const attached: Attached[] = [];
        for (const [position, delegate] of delegates.entries()) {
          const wanted = {
            network: delegate.network,
            containerId: request.podUid,
            ifName: delegate.ifName,
            netns,
            args: [...cniArgs(request), ...delegate.args],
            runtimeConfig: delegate.runtimeConfig,
            position,
          };
          attached.push(await attach(wanted, delegate, request, { ...host, signal, waits }));
        }
        const networkStatus = attached.map(({ added, delegate: { definition, primary, device } }) =>
          networkStatusOf(added, {
            default: primary,
            ...(definition === undefined ? {} : { name: definition }),
            ...(device === undefined ? {} : { device }),
          }),
        );
        const [primary] = attached;
        const { links, routes } = readLinks(netns);
        const resolver = podResolver({
          ...request,
          ...readHostResolver(),
          cniDns: primary?.added.result.dns,
        });
        const facts = {
          podUid: request.podUid,
          links,
          routes,
          resolver,
          networkStatus,
          ...handedOver(claims, request),
          ...openFiles(),
        };
        const differs = primary?.differs;
        return { netns, facts, networkStatus, ...(differs === undefined ? {} : { differs }) };
      } catch (thrown) {
        // What cannot be undone now is tried again when the pod is released.
        await release(request.podUid).catch(() => undefined);
        throw thrown;
      }
    },
    check: async (podUid, taken, signal) => {
      const { attachments } = listCached(options.cacheDir);
      const own = attachments.filter(({ containerId, finished }) => containerId === podUid && finished);
      for (const { containerId, ifName } of own) {
        if (!taken.includes(ifName)) await checkNetwork({ containerId, ifName }, { ...host, signal });
      }
    },
    release,
  };

  async function claimsOf(
    delegates: readonly Delegate[],
    podUid: string,
    signal: AbortSignal | undefined,
  ): Promise<readonly DeviceClaim[]> {
    const requests = delegates.flatMap(({ resourceName: resource, ifName }) =>
      resource === undefined ? [] : [{ resource, interface: ifName }],
    );
    return options.devices?.claim(podUid, requests, signal) ?? [];
  }
}

/** The PCI devices that the pod's networks have, of which its namespace shows nothing. */
function handedOver(claims: readonly DeviceClaim[], { networkNames }: SandboxRequest): Pick<PodFacts, "devices"> {
  const devices = claims.flatMap(({ interface: link, device: { pci, mac, mtu } }) => {
    const network = networkNames?.get(link);
    if (network === undefined || pci === undefined) return [];
    return [{ network, pci, ...(mac === undefined ? {} : { mac }), ...(mtu === undefined ? {} : { mtu }) }];
  });
  return devices.length === 0 ? {} : { devices };
}

/** Enough for a socket on every port of both families and protocols (document 003: about 2^18). */
const ENOUGH_FILES = 1 << 18;

function openFiles(): Pick<PodFacts, "openFiles"> {
  const limit = openFilesLimit();
  return limit < ENOUGH_FILES ? { openFiles: limit } : {};
}

interface Attached {
  readonly delegate: Delegate;
  readonly added: AddedNetwork;
  readonly differs?: Fault;
}

async function attach(
  wanted: Attachment,
  delegate: Delegate,
  { ips = [] }: SandboxRequest,
  host: CniHost,
): Promise<Attached> {
  try {
    const { added, differs } = await addWithAddresses(wanted, delegate.primary ? ips : [], host);
    if (delegate.primary && delegate.definition !== undefined && added.result.ips.length === 0) {
      throw withoutAddress(delegate.definition);
    }
    return { delegate, added, ...(differs === undefined ? {} : { differs }) };
  } catch (thrown) {
    throw isFault(thrown) && OF_CONFIGURATION.includes(thrown.code) ? placed(thrown, delegate.place) : thrown;
  }
}

/** A pod without an address is none: a kubelet waits for one for ever. */
function withoutAddress(definition: string): Fault {
  return new Fault("PB2708", `The default network ${definition} gave the pod no address.`, {
    place: definition,
    cure: "Give its plugin an ipam, such as host-local with a subnet.",
    data: { definition },
  });
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
    const runtimeConfig = { ...attachment.runtimeConfig, ips };
    return { added: await addNetwork({ ...attachment, runtimeConfig }, host) };
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
