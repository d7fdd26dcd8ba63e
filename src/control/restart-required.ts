import { canonicalJson } from "../model/api/canonical-json.ts";
import type { Interface } from "../model/api/interfaces.ts";
import type { Network } from "../model/api/networks.ts";
import type { VmiSpec } from "../model/api/vmi.ts";
import { isJsonObject } from "../model/json.ts";
import { DEFAULT_NETWORK, withDefaultDisks } from "../model/rules/defaults.ts";
import { readSpec } from "../model/rules/reading.ts";

/**
 * The fields of a VM's template that differ from its running VMI and take effect with a restart only, as paths below
 * `spec.template.spec`; empty where there is none.
 *
 * What may change in networks and interfaces is reference 8.4: a NIC's `state`, a NAD's name, a further NIC that brings
 * no pod network.
 */
export function fieldsThatNeedRestart(template: VmiSpec, running: VmiSpec): readonly string[] {
  const wanted = withDefaultDisks(withImplicitNic(readSpec(template), running));
  return [
    ...networksThatNeedRestart(wanted.networks ?? [], running.networks ?? []),
    ...interfacesThatNeedRestart(nicsOf(wanted), nicsOf(running)),
    ...differences(withoutNics(wanted), withoutNics(running), ""),
  ];
}

function nicsOf(spec: VmiSpec): readonly Interface[] {
  return spec.domain.devices.interfaces ?? [];
}

/** Where a template lists no NIC, the VMI has the one that was added for it. */
function withImplicitNic(template: VmiSpec, running: VmiSpec): VmiSpec {
  const { networks = [], domain } = template;
  const listed = networks.length > 0 || nicsOf(template).length > 0;
  if (listed || domain.devices.autoattachPodInterface === false) return template;
  const [nic, ...more] = nicsOf(running);
  if (nic?.name !== DEFAULT_NETWORK || more.length > 0) return template;
  const devices = { ...domain.devices, interfaces: [nic] };
  return { ...template, domain: { ...domain, devices }, networks: running.networks ?? [] };
}

function networksThatNeedRestart(wanted: readonly Network[], running: readonly Network[]): string[] {
  const named = ({ multus, ...network }: Network) =>
    canonicalJson({ ...network, ...(multus === undefined ? {} : { multus: { ...multus, networkName: "" } }) });
  const changed = running.flatMap((network) => {
    const now = wanted.find(({ name }) => name === network.name);
    return now !== undefined && named(now) === named(network) ? [] : [`networks[${network.name}]`];
  });
  const known = new Set(running.map(({ name }) => name));
  const added = wanted.filter(({ name, pod }) => pod !== undefined && !known.has(name));
  return [...changed, ...added.map(({ name }) => `networks[${name}]`)];
}

function interfacesThatNeedRestart(wanted: readonly Interface[], running: readonly Interface[]): string[] {
  const stateless = ({ state: _, ...nic }: Interface) => canonicalJson(nic);
  return running.flatMap((nic) => {
    if (nic.state === "absent") return [];
    const now = wanted.find(({ name }) => name === nic.name);
    return now !== undefined && stateless(now) === stateless(nic) ? [] : [`domain.devices.interfaces[${nic.name}]`];
  });
}

function withoutNics({ networks: _, domain, ...spec }: VmiSpec): object {
  const { interfaces: __, ...devices } = domain.devices;
  return { ...spec, domain: { ...domain, devices } };
}

/** The paths at which two values differ; a list is looked at as a whole. */
function differences(one: unknown, other: unknown, path: string): string[] {
  if (canonicalJson(one) === canonicalJson(other)) return [];
  if (!isJsonObject(one) || !isJsonObject(other)) return [path];
  return [...new Set([...Object.keys(one), ...Object.keys(other)])].flatMap((key) =>
    differences(one[key], other[key], path === "" ? key : `${path}.${key}`),
  );
}
