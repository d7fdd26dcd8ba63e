import type { VmiSpec } from "../api/vmi.ts";
import type { Problem } from "./problem.ts";
import type { Settings } from "./settings.ts";
import { interfacesOf, networksOf } from "./subject.ts";

/** Name of the NIC and of the network that are added. */
export const DEFAULT_NETWORK = "default";

export type Defaulted =
  | { readonly done: true; readonly spec: VmiSpec }
  /** The NIC that belongs there is not permitted. */
  | { readonly done: false; readonly problem: Pick<Problem, "code" | "message" | "cure"> };

/**
 * A spec with what KubeVirt adds: the default binding on the pod network where neither networks nor interfaces are given,
 * unless `autoattachPodInterface` is false, and a disk for each volume that no disk or filesystem uses.
 */
export function withDefaults(spec: VmiSpec, settings: Settings): Defaulted {
  const withNic = withDefaultNic(spec, settings);
  return withNic.done ? { done: true, spec: withDefaultDisks(withNic.spec) } : withNic;
}

function withDefaultNic(spec: VmiSpec, settings: Settings): Defaulted {
  const asked = spec.domain.devices.autoattachPodInterface !== false;
  if (!asked || networksOf(spec).length > 0 || interfacesOf(spec).length > 0) return { done: true, spec };
  const binding = settings.defaultBinding;
  if (binding === "bridge" && !settings.permitBridgeOnPodNetwork) {
    return refused(
      "bridge",
      "Set permitBridgeInterfaceOnPodNetwork or another defaultNetworkInterface in spec.configuration.network of the KubeVirt resource, or list networks and interfaces.",
    );
  }
  if (binding === "slirp" && !settings.permitSlirp) {
    return refused(
      "slirp",
      "Set permitSlirpInterface or another defaultNetworkInterface in spec.configuration.network of the KubeVirt resource, or list networks and interfaces.",
    );
  }
  const devices = { ...spec.domain.devices, interfaces: [{ name: DEFAULT_NETWORK, [binding]: {} }] };
  return {
    done: true,
    spec: { ...spec, domain: { ...spec.domain, devices }, networks: [{ name: DEFAULT_NETWORK, pod: {} }] },
  };
}

/** A spec with a disk for each volume that no disk or filesystem uses. */
export function withDefaultDisks(spec: VmiSpec): VmiSpec {
  const { disks = [], filesystems = [] } = spec.domain.devices;
  const users = new Set<unknown>([...disks, ...filesystems].map(({ name }) => name));
  const added = (spec.volumes ?? []).filter(({ name }) => !users.has(name)).map(({ name }) => ({ name }));
  if (added.length === 0) return spec;
  return { ...spec, domain: { ...spec.domain, devices: { ...spec.domain.devices, disks: [...disks, ...added] } } };
}

function refused(binding: string, cure: string): Defaulted {
  const message = `No interface is listed, and the default one, ${binding} on the pod network, is not permitted.`;
  return { done: false, problem: { code: "PB2096", message, cure } };
}
