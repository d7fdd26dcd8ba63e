import type { NicContext } from "../bindings/binding.ts";
import type { PodFacts } from "../wiring/facts.ts";

/** Of a pod: what devices its networks have, as KubeVirt tells its launcher and binding plugins (reference 4.8). */
export const NETWORK_INFO_ANNOTATION = "kubevirt.io/network-info";

/**
 * The annotation's text: the devices of sriov interfaces and of those whose plugin asks for `downwardAPI: device-info`,
 * by the names of their networks. Undefined where no interface is one of those.
 */
export function networkInfo(nics: readonly NicContext[], { networkStatus }: PodFacts): string | undefined {
  const told = nics.filter(({ binding, plugin }) => binding === "sriov" || plugin?.downwardAPI === "device-info");
  if (told.length === 0) return undefined;
  const interfaces = told
    .toSorted((one, other) => (one.name < other.name ? -1 : 1))
    .map(({ name: network, podInterface }) => {
      const status = networkStatus.find((candidate) => candidate.interface === podInterface);
      const deviceInfo = status?.["device-info"];
      return {
        network,
        ...(deviceInfo === undefined ? {} : { deviceInfo }),
        ...(status?.mac === undefined ? {} : { mac: status.mac }),
      };
    });
  return JSON.stringify({ interfaces });
}
