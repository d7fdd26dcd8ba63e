import type { DevicePool } from "../pods/device-resources.ts";
import type { WantedCard } from "./policies.ts";
import type { Holders, SriovDevice } from "./steps.ts";

/**
 * The pools of a node: one for each resource that its policies name, also where none of its devices is usable now. What
 * `others` have, which are no pods of the node's, is handed to nobody.
 */
export function poolsOf(
  wanted: readonly WantedCard[],
  devices: readonly SriovDevice[],
  others: Holders,
): readonly DevicePool[] {
  const groups = wanted.flatMap((card) => card.groups.map((group) => ({ ...group, mtu: card.mtu })));
  return [...new Set(groups.map(({ resource }) => resource))].map((resource) => ({
    resource,
    devices: devices
      .filter((device) => device.resource === resource)
      .map(({ pci, numaNode, group, policy }) => {
        const mtu = groups.find((one) => one.policy === policy)?.mtu;
        const by = others.get(pci);
        return {
          id: pci,
          pci,
          ...(group === undefined ? {} : { iommuGroup: group }),
          ...(by === undefined ? {} : { healthy: false, unhealthyFor: `held by ${by}` }),
          ...(numaNode === undefined ? {} : { numaNode }),
          ...(mtu === undefined ? {} : { mtu }),
        };
      }),
  }));
}
