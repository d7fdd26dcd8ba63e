import type { DevicePool } from "../pods/device-resources.ts";
import type { PolicyProblem, WantedCard } from "./policies.ts";
import type { Holders, SriovDevice } from "./steps.ts";

/** What keeps a policy of the node from making devices of its resource. */
export interface ResourceProblem extends PolicyProblem {
  /** With its prefix. */
  readonly resource: string;
}

/**
 * The pools of a node: one for each resource that its policies name, also where none of its devices is usable now, with
 * what is in the way of its policy. What `others` have, which are no pods of the node's, is handed to nobody.
 */
export function poolsOf(
  wanted: readonly WantedCard[],
  devices: readonly SriovDevice[],
  others: Holders,
  problems: readonly ResourceProblem[],
): readonly DevicePool[] {
  const groups = wanted.flatMap((card) => card.groups.map((group) => ({ ...group, mtu: card.mtu })));
  const resources = new Set([...groups, ...problems].map(({ resource }) => resource));
  return [...resources].map((resource) => ({
    resource,
    ...impediment(
      devices.some((device) => device.resource === resource)
        ? undefined
        : problems.find((problem) => problem.resource === resource),
    ),
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

function impediment(problem: ResourceProblem | undefined): Pick<DevicePool, "impeded"> {
  if (problem === undefined) return {};
  const { policy, fault } = problem;
  const by = `its SriovNetworkNodePolicy ${policy} has ${fault.code}: ${fault.message.replace(/\.$/, "")}`;
  return { impeded: { by, cure: fault.cure ?? "See the policy's status." } };
}
