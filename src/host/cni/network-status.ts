import type { CniDns } from "../../model/networks/cni-result.ts";
import type { NodeDevice } from "../../model/pods/device-resources.ts";
import type { NetworkStatus } from "../../model/wiring/facts.ts";
import type { AddedNetwork } from "./network.ts";

export interface NetworkStatusOptions {
  /** True for the pod's primary network. */
  readonly default?: boolean;
  /** Where absent, the network's own name; for an attachment definition `namespace/name`. */
  readonly name?: string;
  /** The device that it has. */
  readonly device?: NodeDevice;
}

/**
 * One element of the network-status annotation, made of an ADD's result as Multus makes it: the last interface in the
 * pod, all addresses without prefix lengths, and the gateways of the default routes.
 */
export function networkStatusOf(added: AddedNetwork, options: NetworkStatusOptions = {}): NetworkStatus {
  const { result } = added;
  const link = result.interfaces.findLast(({ sandbox }) => sandbox !== undefined);
  const ips = result.ips.map(({ address }) => address.replace(/\/.*/, ""));
  const gateway = result.routes.flatMap((route) => {
    if (!route.destination.endsWith("/0")) return [];
    const v6 = route.destination.includes(":");
    return route.gateway ?? result.ips.find((ip) => ip.address.includes(":") === v6)?.gateway ?? [];
  });
  return {
    name: options.name ?? added.network,
    // Before 0.3.0 results name no interface.
    interface: link?.name ?? added.ifName,
    ...(ips.length === 0 ? {} : { ips }),
    ...(link?.mac === undefined ? {} : { mac: link.mac }),
    ...(link?.mtu === undefined ? {} : { mtu: link.mtu }),
    ...(options.default === true ? { default: true } : {}),
    dns: dnsOf(result.dns),
    ...(gateway.length === 0 ? {} : { gateway }),
    ...deviceInfo(options.device),
  };
}

/** Only PCI devices have one: the specification knows no macvtap. */
function deviceInfo(device: NodeDevice | undefined): Pick<NetworkStatus, "device-info"> {
  if (device?.pci === undefined) return {};
  return { "device-info": { type: "pci", version: "1.1.0", pci: { "pci-address": device.pci } } };
}

function dnsOf({ nameservers, domain, search, options }: CniDns): Readonly<Record<string, unknown>> {
  return {
    ...(nameservers.length === 0 ? {} : { nameservers }),
    ...(domain === undefined ? {} : { domain }),
    ...(search.length === 0 ? {} : { search }),
    ...(options.length === 0 ? {} : { options }),
  };
}
