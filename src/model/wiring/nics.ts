import { formatMac, parseMac } from "../addresses/mac.ts";
import type { BindingField, Interface } from "../api/interfaces.ts";
import type { PluginConfiguration } from "../api/kubevirt.ts";
import type { VmiSpec } from "../api/vmi.ts";
import type { DhcpOptions, NicContext } from "../bindings/binding.ts";
import { bindingOf, bindings } from "../bindings/registry.ts";
import { withSpoofGuard } from "../bindings/spoof-guard.ts";
import { Fault } from "../fault.ts";
import { topologyOf, vcpusOf } from "../guest/topology.ts";
import { connected } from "../networks/registry.ts";
import { keptInterfaces } from "../pods/kept-interfaces.ts";
import type { PodFacts } from "./facts.ts";
import { mergeWirings } from "./merge.ts";
import type { Forward, NicModel, Wiring } from "./wiring.ts";

/** QEMU and KubeVirt stop here (reference 7.4). */
const MAX_QUEUES = 256;

/** What the NICs of a VMI follow from. */
export interface NicsRequest {
  /** Defaults applied. */
  readonly spec: VmiSpec;
  readonly hostName: string;
  /** Of the VMI. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** Network binding plugins, as the KubeVirt resource registers them. */
  readonly plugins?: ReadonlyMap<string, PluginConfiguration>;
}

/** The interfaces of a manifest that are not absent, each with the network of its name, and the MAC that its VM keeps. */
export function nicContexts({ spec, hostName, annotations = {}, plugins }: NicsRequest): readonly NicContext[] {
  const { devices } = spec.domain;
  const networks = spec.networks ?? [];
  const vcpus = vcpusOf(topologyOf(spec.domain));
  const kept = new Map(keptInterfaces(annotations).map(({ name, mac }) => [name, mac]));
  return (devices.interfaces ?? []).flatMap((iface, index): NicContext[] => {
    if (iface.state === "absent") return [];
    const place = `spec.domain.devices.interfaces[${index}]`;
    const networkIndex = networks.findIndex(({ name }) => name === iface.name);
    const network = networks[networkIndex];
    const found = network === undefined ? undefined : connected(network, networks);
    if (found === undefined) {
      throw new Fault("PB4022", `${place}: no network is named "${iface.name}".`, {
        place,
        cure: "Add it to spec.networks.",
      });
    }
    const model = (iface.model ?? "virtio") as NicModel;
    const given = iface.macAddress === undefined ? undefined : parseMac(iface.macAddress);
    const keptMac = iface.macAddress ? undefined : kept.get(iface.name);
    const mac = given === undefined ? keptMac : formatMac(given);
    const { name: plugin } = iface.binding ?? {};
    return [
      {
        name: iface.name,
        index,
        binding: bindingField(iface, place),
        ...(plugin === undefined ? {} : { plugin: { ...plugins?.get(plugin), name: plugin } }),
        ...found,
        networkIndex,
        model,
        ...(mac === undefined ? {} : { mac }),
        ...(keptMac === undefined ? {} : { keepsMac: true }),
        ports: forwards(iface),
        queues: devices.networkInterfaceMultiqueue === true && model === "virtio" ? Math.min(vcpus, MAX_QUEUES) : 1,
        linkUp: iface.state !== "down",
        dhcpOptions: dhcpOptions(iface),
        hostName,
        annotations,
        ...(spec.subdomain === undefined ? {} : { subdomain: spec.subdomain }),
        ...(iface.bootOrder === undefined ? {} : { bootOrder: iface.bootOrder }),
        ...(iface.acpiIndex === undefined ? {} : { acpiIndex: iface.acpiIndex }),
        ...(iface.pciAddress === undefined ? {} : { pciAddress: iface.pciAddress }),
      },
    ];
  });
}

/** The wiring of a pod with these NICs. Throws a Fault where the facts do not allow it. */
export function wire(nics: readonly NicContext[], facts: PodFacts): Wiring {
  return mergeWirings(
    facts.podUid,
    nics.map((nic) => withSpoofGuard(nic, bindingOf(nic.binding).wire(nic, facts))),
  );
}

function bindingField(iface: Interface, place: string): BindingField {
  const chosen = bindings.find(({ field }) => iface[field] !== undefined);
  if (chosen !== undefined) return chosen.field;
  throw new Fault("PB4023", `${place}: the interface "${iface.name}" has no binding.`, {
    place,
    cure: `Add one of: ${bindings.map(({ field }) => field).join(", ")}.`,
  });
}

function forwards(iface: Interface): readonly Forward[] {
  const protocolOf = (protocol: string | undefined): Forward["protocol"] => (protocol === "UDP" ? "udp" : "tcp");
  return [
    ...(iface.ports ?? []).map(({ protocol, port }) => ({ protocol: protocolOf(protocol), port })),
    ...(iface.portRanges ?? []).map(({ protocol, start = 0, end = start }) => ({
      protocol: protocolOf(protocol),
      port: start,
      last: end,
    })),
  ];
}

function dhcpOptions({ dhcpOptions: given = {} }: Interface): DhcpOptions {
  const { ntpServers = [], privateOptions = [], tftpServerName, bootFileName } = given;
  return {
    ntpServers,
    privateOptions,
    ...(tftpServerName === undefined ? {} : { tftpServerName }),
    ...(bootFileName === undefined ? {} : { bootFileName }),
  };
}
