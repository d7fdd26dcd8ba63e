import { formatMac, parseMac } from "../addresses/mac.ts";
import type { Interface } from "../api/interfaces.ts";
import type { Network } from "../api/networks.ts";
import type { VmiSpec } from "../api/vmi.ts";
import type { NicContext, NicNetwork } from "../bindings/binding.ts";
import { bindingNamed, bindings } from "../bindings/registry.ts";
import { Fault } from "../fault.ts";
import { DEFAULT_VM_IPV6_NETWORK_CIDR, DEFAULT_VM_NETWORK_CIDR, PRIMARY_INTERFACE } from "../networks/pod-interface.ts";
import type { PodFacts } from "./facts.ts";
import { mergeWirings } from "./merge.ts";
import type { NicModel, Wiring } from "./wiring.ts";

/** QEMU and KubeVirt stop here (reference 7.4). */
const MAX_QUEUES = 256;

/** The interfaces of a defaulted manifest, each with the network of its name. */
export function nicContexts(spec: VmiSpec, hostName: string, vcpus: number): readonly NicContext[] {
  const devices = spec.domain.devices;
  const networks = spec.networks ?? [];
  return (devices.interfaces ?? [])
    .filter(({ state }) => state !== "absent")
    .map((iface, index): NicContext => {
      const place = `spec.domain.devices.interfaces[${index}]`;
      const network = networks.find(({ name }) => name === iface.name);
      if (network === undefined) {
        throw new Fault("PB4022", `${place}: no network is named "${iface.name}".`, {
          place,
          cure: "Add it to spec.networks.",
        });
      }
      const model = (iface.model ?? "virtio") as NicModel;
      const mac = iface.macAddress === undefined ? undefined : parseMac(iface.macAddress);
      const nicNetwork = networkOf(network, place);
      return {
        name: iface.name,
        index,
        binding: bindingOf(iface, place),
        network: nicNetwork,
        podInterface: podInterface(nicNetwork, place),
        model,
        ...(mac === undefined ? {} : { mac: formatMac(mac) }),
        ports: (iface.ports ?? []).map(({ protocol, port }) => ({
          protocol: protocol === "UDP" ? "udp" : "tcp",
          port,
        })),
        queues: devices.networkInterfaceMultiqueue === true && model === "virtio" ? Math.min(vcpus, MAX_QUEUES) : 1,
        linkUp: iface.state !== "down",
        dhcpOptions: {
          ntpServers: iface.dhcpOptions?.ntpServers ?? [],
          privateOptions: iface.dhcpOptions?.privateOptions ?? [],
          ...(iface.dhcpOptions?.tftpServerName === undefined
            ? {}
            : { tftpServerName: iface.dhcpOptions.tftpServerName }),
          ...(iface.dhcpOptions?.bootFileName === undefined ? {} : { bootFileName: iface.dhcpOptions.bootFileName }),
        },
        hostName,
        ...(spec.subdomain === undefined ? {} : { subdomain: spec.subdomain }),
        ...(iface.bootOrder === undefined ? {} : { bootOrder: iface.bootOrder }),
        ...(iface.acpiIndex === undefined ? {} : { acpiIndex: iface.acpiIndex }),
        ...(iface.pciAddress === undefined ? {} : { pciAddress: iface.pciAddress }),
      };
    });
}

/** The wiring of a pod with these NICs. Throws a Fault where the facts do not allow it. */
export function wire(nics: readonly NicContext[], facts: PodFacts): Wiring {
  return mergeWirings(
    facts.podUid,
    nics.map((nic) => bindingNamed(nic.binding, nic.name).wire(nic, facts)),
  );
}

/** Fields of an interface that choose how it is connected, whether this version can wire them or not. */
const BINDING_FIELDS = ["bridge", "masquerade", "slirp", "passt", "macvtap", "sriov", "passtBinding"] as const;

function bindingOf(iface: Interface, place: string): string {
  if (iface.binding !== undefined) return bindingNamed(`binding: ${iface.binding.name}`, place).name;
  const chosen = BINDING_FIELDS.find((field) => iface[field] !== undefined);
  if (chosen !== undefined) return bindingNamed(chosen, place).name;
  throw new Fault("PB4020", `${place}: the interface "${iface.name}" has no binding.`, {
    place,
    cure: `Add one of: ${[...bindings.keys()].join(", ")}.`,
  });
}

function networkOf(network: Network, place: string): NicNetwork {
  if (network.pod !== undefined) {
    return {
      kind: "pod",
      vmNetworkCIDR: network.pod.vmNetworkCIDR || DEFAULT_VM_NETWORK_CIDR,
      vmIPv6NetworkCIDR: network.pod.vmIPv6NetworkCIDR || DEFAULT_VM_IPV6_NETWORK_CIDR,
    };
  }
  const kind = network.multus === undefined ? "genie" : "multus";
  throw new Fault(
    "PB4021",
    `${place}: this version of Patchbay cannot connect the ${kind} network "${network.name}".`,
    {
      place,
      cure: "Use the pod network: `pod: {}`.",
    },
  );
}

function podInterface(network: NicNetwork, place: string): string {
  if (network.kind === "pod") return PRIMARY_INTERFACE;
  throw new Fault("PB4021", `${place}: this version of Patchbay cannot connect a ${network.kind} network.`, { place });
}
