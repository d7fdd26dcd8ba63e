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

/** The pod with devices of these resources asked for, one for each mention, as requests and limits (reference 4.3). */
export function withClaims<P extends Pod>(pod: P, resources: readonly string[]): P {
  const [compute, ...others] = pod.spec?.containers ?? [];
  if (compute === undefined || resources.length === 0) return pod;
  const counted = Object.fromEntries(
    [...Map.groupBy(resources, (name) => name)].map(([name, all]) => [name, String(all.length)]),
  );
  const { requests = {}, limits = {} } = compute.resources ?? {};
  const asked = { ...compute.resources, requests: { ...requests, ...counted }, limits: { ...limits, ...counted } };
  return { ...pod, spec: { ...pod.spec, containers: [{ ...compute, resources: asked }, ...others] } };
}
