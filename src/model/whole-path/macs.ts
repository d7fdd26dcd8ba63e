import { type Finding, findingAt } from "../manifest/finding.ts";
import type { Instance, InstanceNic, Run } from "./run.ts";

/** Bindings behind which the guest's MAC is seen by nobody but the pod. */
const HIDDEN = new Set(["masquerade", "slirp", "passt", "passtBinding"]);

/** MACs that two VMs give to NICs on one network (PB2712); within one VM a rule tells of it. */
export function macFindings({ instances }: Run): Finding[] {
  const first = new Map<string, { readonly instance: Instance; readonly nic: InstanceNic }>();
  return instances.flatMap((instance) =>
    instance.nics.flatMap((nic) => {
      const key = macKey(nic);
      if (key === undefined) return [];
      const other = first.get(key);
      if (other === undefined) {
        first.set(key, { instance, nic });
        return [];
      }
      if (other.instance.key === instance.key) return [];
      return [
        findingAt(instance.document, [...nic.at, "macAddress"], {
          code: "PB2712",
          severity: "warning",
          message: `The MAC ${nic.mac} of the interface "${nic.name}" is that of the interface "${other.nic.name}" of the ${other.instance.name} as well, and both are on ${segmentOf(nic)}.`,
          hint: "Give each its own, or leave macAddress out.",
        }),
      ];
    }),
  );
}

/** The MACs of an instance with the networks on which they are seen: two instances clash where they share one of these. */
export function macKeys({ nics }: Instance): readonly string[] {
  return nics.flatMap((nic) => macKey(nic) ?? []);
}

function macKey(nic: InstanceNic): string | undefined {
  const segment = segmentOf(nic);
  if (nic.mac === undefined || segment === undefined || HIDDEN.has(nic.binding ?? "")) return undefined;
  return `${nic.mac} ${segment}`;
}

/** What two NICs have in common that meet. */
function segmentOf({ network }: InstanceNic): string | undefined {
  switch (network?.kind) {
    case "pod":
      return "the pod network";
    case "multus":
      return network.definition === undefined ? undefined : `the definition ${network.definition}`;
    case "genie":
      return network.networkName === "" ? undefined : `the genie network ${network.networkName}`;
    default:
      return undefined;
  }
}
