import type { DevicePool } from "../pods/device-resources.ts";
import type { WantedCard } from "./policies.ts";
import type { SriovDevice } from "./steps.ts";

/** The pools of a node: one for each resource that its policies name, also where none of its devices is usable now. */
export function poolsOf(wanted: readonly WantedCard[], devices: readonly SriovDevice[]): readonly DevicePool[] {
  const groups = wanted.flatMap((card) => card.groups.map((group) => ({ ...group, mtu: card.mtu })));
  return [...new Set(groups.map(({ resource }) => resource))].map((resource) => ({
    resource,
    devices: devices
      .filter((device) => device.resource === resource)
      .map(({ pci, numaNode, policy }) => {
        const mtu = groups.find((group) => group.policy === policy)?.mtu;
        return {
          id: pci,
          pci,
          ...(numaNode === undefined ? {} : { numaNode }),
          ...(mtu === undefined ? {} : { mtu }),
        };
      }),
  }));
}
