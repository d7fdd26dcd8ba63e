import type { Domain } from "../api/domain.ts";
import type { Pod } from "../api/pod.ts";
import type { NicContext } from "../bindings/binding.ts";
import { passtOverhead } from "../bindings/passt.ts";
import { parseQuantity } from "../guest/quantity.ts";
import { memoryOf } from "../guest/topology.ts";

type Resources = NonNullable<NonNullable<NonNullable<Pod["spec"]>["containers"]>[number]["resources"]>;

/**
 * What the bindings of a guest ask for: memory beside the guest's own (reference 4.9), of each plugin once. Undefined where
 * none asks for any.
 */
export function bindingResources(domain: Domain, nics: readonly NicContext[]): Resources | undefined {
  const byName = new Map(
    nics.flatMap(({ plugin }) => {
      const asked = plugin?.computeResourceOverhead?.requests?.["memory"];
      const octets = asked === undefined ? undefined : parseQuantity(String(asked));
      return plugin === undefined || octets === undefined ? [] : [[plugin.name, octets] as const];
    }),
  );
  const overhead = [...byName.values()].reduce((sum, octets) => sum + octets, passtOverhead(nics));
  if (overhead === 0n && byName.size === 0) return undefined;
  return { requests: { memory: String(memoryOf(domain) + overhead) } };
}

/** Before the name of a network: the variable of the compute container that names the network's resource. */
const RESOURCE_NAME_VARIABLE = "KUBEVIRT_RESOURCE_NAME_";

/**
 * The pod with what the definitions of its networks claim (reference 4.3): `claimed` has the resource of each multus
 * network by its name, empty where the definition names none. Devices are asked for one a network, as requests and
 * limits; variables tell the container the resource of each network.
 */
export function withClaims<P extends Pod>(pod: P, claimed: ReadonlyMap<string, string>): P {
  const [compute, ...others] = pod.spec?.containers ?? [];
  if (compute === undefined || claimed.size === 0) return pod;
  const env = [...claimed].map(([network, value]) => ({ name: `${RESOURCE_NAME_VARIABLE}${network}`, value }));
  const named = [...claimed.values()].filter((resource) => resource !== "");
  const counted = Object.fromEntries(
    [...Map.groupBy(named, (name) => name)].map(([name, all]) => [name, String(all.length)]),
  );
  const { requests = {}, limits = {} } = compute.resources ?? {};
  const resources = { ...compute.resources, requests: { ...requests, ...counted }, limits: { ...limits, ...counted } };
  const container = {
    ...compute,
    env: [...(compute.env ?? []), ...env],
    ...(named.length === 0 ? {} : { resources }),
  };
  return { ...pod, spec: { ...pod.spec, containers: [container, ...others] } };
}
