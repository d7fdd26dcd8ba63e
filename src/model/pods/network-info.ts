import type { NicContext } from "../bindings/binding.ts";
import { objectAt, textAt } from "../json.ts";
import type { NetworkStatus, PodFacts } from "../wiring/facts.ts";

/** Of a pod: what devices its networks have, as KubeVirt tells its launcher and binding plugins (reference 4.8). */
const NETWORK_INFO_ANNOTATION = "kubevirt.io/network-info";

/** Of a pod: the PCI addresses of its networks' devices, as KubeVirt 1.1 tells its launcher (reference 4.8). */
const NETWORK_PCI_MAP_ANNOTATION = "kubevirt.io/network-pci-map";

/**
 * The annotations of a pod that tell what devices its networks have: of sriov interfaces in both forms, the older and the
 * newer, of plugins that ask for it in the newer one.
 */
export function deviceAnnotations(nics: readonly NicContext[], facts: PodFacts): Readonly<Record<string, string>> {
  const info = networkInfo(nics, facts);
  const map = networkPciMap(nics, facts);
  return {
    ...(info === undefined ? {} : { [NETWORK_INFO_ANNOTATION]: info }),
    ...(map === undefined ? {} : { [NETWORK_PCI_MAP_ANNOTATION]: map }),
  };
}

/** A JSON object with the PCI address of each sriov interface's device by the network's name; undefined without any. */
function networkPciMap(nics: readonly NicContext[], { networkStatus }: PodFacts): string | undefined {
  const own = nics.filter(({ binding }) => binding === "sriov");
  if (own.length === 0) return undefined;
  const addresses = sorted(own).flatMap(({ name, podInterface }) => {
    const device = statusOf(networkStatus, podInterface)?.["device-info"] ?? {};
    const address = textAt(objectAt(device, "pci"), "pci-address");
    return address === undefined ? [] : [[name, address]];
  });
  return JSON.stringify(Object.fromEntries(addresses));
}

/**
 * The annotation's text: the devices of sriov interfaces and of those whose plugin asks for `downwardAPI: device-info`,
 * by the names of their networks. Undefined where no interface is one of those.
 */
function networkInfo(nics: readonly NicContext[], { networkStatus }: PodFacts): string | undefined {
  const told = nics.filter(({ binding, plugin }) => binding === "sriov" || plugin?.downwardAPI === "device-info");
  if (told.length === 0) return undefined;
  const interfaces = sorted(told).map(({ name: network, podInterface }) => {
    const status = statusOf(networkStatus, podInterface);
    const deviceInfo = status?.["device-info"];
    return {
      network,
      ...(deviceInfo === undefined ? {} : { deviceInfo }),
      ...(status?.mac === undefined ? {} : { mac: status.mac }),
    };
  });
  return JSON.stringify({ interfaces });
}

/** By the names of their networks. */
function sorted(nics: readonly NicContext[]): readonly NicContext[] {
  return nics.toSorted((one, other) => (one.name < other.name ? -1 : 1));
}

function statusOf(all: PodFacts["networkStatus"], podInterface: string): NetworkStatus | undefined {
  return all.find((candidate) => candidate.interface === podInterface);
}
