import { Fault } from "../fault.ts";
import type { JsonObject } from "../json.ts";
import { nearMiss } from "../near-miss.ts";

/** Before the name of a macvtap resource. */
export const MACVTAP_RESOURCE = "macvtap.network.kubevirt.io/";

/** A device of a node that one pod at a time may have, as a device plugin of Kubernetes offers it. */
export interface NodeDevice {
  /** Unique within its pool; what CNI plugins get as `deviceID`: `0000:81:02.0`, `eth0Mvp3`. */
  readonly id: string;
  /** False: counted as capacity, and handed to nobody. Default true. */
  readonly healthy?: boolean;
  /** Why it is not healthy, as the end of a sentence: `held by process 4711 (qemu-system-x86)`. */
  readonly unhealthyFor?: string;
  /** Node of the machine's memory that it is near to. */
  readonly numaNode?: number;
  /** What the first plugin of the network's configuration gets beside `deviceID`. */
  readonly config?: JsonObject;
  /** `0000:81:02.0` where it is a PCI device, which Multus tells as `device-info`. */
  readonly pci?: string;
  /** Its IOMMU group, which one guest has as a whole (Documentation/driver-api/vfio.rst of Linux). */
  readonly iommuGroup?: number;
  readonly mac?: string;
  readonly mtu?: number;
}

/** The devices of one resource name, in the order in which they are handed out. */
export interface DevicePool {
  /** `macvtap.network.kubevirt.io/eth0`, `openshift.io/fast`. */
  readonly resource: string;
  readonly devices: readonly NodeDevice[];
  /** What must be there for it to have devices, where that is missing: `the link eth0`. */
  readonly lacks?: string;
  /** Else why it has no devices, as a part of a sentence, and what to do. */
  readonly impeded?: { readonly by: string; readonly cure: string };
}

/** What one attachment of a pod asks for. */
export interface DeviceRequest {
  readonly resource: string;
  /** The pod's link that it is for. */
  readonly interface: string;
}

/** A device that a pod has. */
export interface DeviceClaim extends DeviceRequest {
  readonly device: NodeDevice;
}

/** The devices that a pod has, with the pod's `namespace/name` for messages. */
export interface Holder {
  readonly pod: string;
  readonly claims: readonly DeviceClaim[];
}

/**
 * A free device for each request, in their order: the first of its resource that is left; all or none. Devices near the
 * same memory as those that the pod has got already come first. A PCI device that is taken is taken in the lists of all
 * resources (reference 7.6): a policy may have given it another resource's name meanwhile. Of an IOMMU group whose device a
 * pod has, others get none.
 *
 * @throws Fault PB6121 where the node has no such resource, PB6122 where every device of it is taken or unhealthy.
 */
export function allocateDevices(
  pools: readonly DevicePool[],
  holders: readonly Holder[],
  requests: readonly DeviceRequest[],
): readonly DeviceClaim[] {
  const others = holders.flatMap((holder) => holder.claims);
  const claims: DeviceClaim[] = [];
  for (const request of requests) {
    const { resource } = request;
    const pool = pools.find((one) => one.resource === resource);
    if (pool === undefined) throw notOffered(resource, pools);
    const free = pool.devices.filter(
      (device) =>
        device.healthy !== false &&
        !others.some((claim) => isOf(claim, resource, device) || isGroupOf(claim, device)) &&
        !claims.some((claim) => isOf(claim, resource, device)),
    );
    const near = new Set(claims.flatMap(({ device }) => device.numaNode ?? []));
    const device = free.find(({ numaNode }) => numaNode !== undefined && near.has(numaNode)) ?? free[0];
    if (device === undefined) throw insufficient(pool, holders, requests);
    claims.push({ ...request, device });
  }
  return claims;
}

/** True where a claim is of that device, under whichever resource's name. */
function isOf(claim: DeviceClaim, resource: string, { id, pci }: NodeDevice): boolean {
  return (claim.resource === resource && claim.device.id === id) || (pci !== undefined && claim.device.pci === pci);
}

function isGroupOf({ device }: DeviceClaim, { iommuGroup }: NodeDevice): boolean {
  return iommuGroup !== undefined && device.iommuGroup === iommuGroup;
}

/** A node's `status.capacity` and `status.allocatable` of the pools: how many devices there are, and can be had. */
export function resourceCounts(pools: readonly DevicePool[]): {
  readonly capacity: Readonly<Record<string, string>>;
  readonly allocatable: Readonly<Record<string, string>>;
} {
  const counted = (count: (pool: DevicePool) => number): Readonly<Record<string, string>> =>
    Object.fromEntries(pools.map((pool) => [pool.resource, String(count(pool))]));
  return {
    capacity: counted(({ devices }) => devices.length),
    allocatable: counted(({ devices }) => devices.filter(({ healthy }) => healthy !== false).length),
  };
}

function notOffered(resource: string, pools: readonly DevicePool[]): Fault {
  const offered = pools.map((pool) => pool.resource);
  const has = offered.length === 0 ? "It offers none." : `It offers ${offered.join(", ")}.`;
  return new Fault("PB6121", `Insufficient ${resource}: this node offers no device of that name. ${has}`, {
    place: resource,
    cure: cureOf(resource, offered),
    data: { resource, offered },
  });
}

/** What is to be done about a resource that is not among those that are offered. */
export function cureOf(resource: string, offered: readonly string[]): string {
  // Prefixes are long and the same: only what follows tells resources apart.
  const prefix = resource.slice(0, resource.lastIndexOf("/") + 1);
  const rest = offered.flatMap((one) => (one.startsWith(prefix) ? [one.slice(prefix.length)] : []));
  const name = resource.slice(prefix.length);
  const near = nearMiss(name, rest);
  if (near !== undefined) return `Did you mean "${prefix}${near}"?`;
  return prefix === MACVTAP_RESOURCE
    ? `Add "${name}" to DP_MACVTAP_CONF of the ConfigMap macvtap-deviceplugin-config, or make the link ${name}.`
    : "Name another in the annotation k8s.v1.cni.cncf.io/resourceName, or add the SriovNetworkNodePolicy that makes it.";
}

function insufficient(
  { resource, devices, lacks, impeded }: DevicePool,
  holders: readonly Holder[],
  requests: readonly DeviceRequest[],
): Fault {
  const of = ({ claims }: Holder): boolean =>
    claims.some(
      (claim) =>
        claim.resource === resource ||
        devices.some((device) => isOf(claim, resource, device) || isGroupOf(claim, device)),
    );
  const pods = holders.filter(of).map(({ pod }) => pod);
  const asked = requests.filter((request) => request.resource === resource).length;
  const unusable = devices.filter(({ healthy }) => healthy === false);
  const unhealthy = unusable.length;
  const reasons = [...new Set(unusable.flatMap(({ unhealthyFor }) => unhealthyFor ?? []))];
  const all = devices.length === 1 ? "1 device" : `${devices.length === 0 ? "no" : devices.length} devices`;
  const facts = [
    ...(lacks === undefined ? [] : [`${lacks} is not there`]),
    ...(impeded === undefined ? [] : [impeded.by]),
    ...(pods.length === 0 ? [] : [`in use by ${pods.length > 5 ? `${pods.length} pods` : pods.join(", ")}`]),
    ...(unhealthy === 0 ? [] : [`${unhealthy} not usable${reasons.length === 0 ? "" : `: ${reasons.join(", ")}`}`]),
    ...(asked > 1 ? [`${asked} asked for at once`] : []),
  ];
  return new Fault(
    "PB6122",
    `Insufficient ${resource}: the node has ${all} of it${facts.length === 0 ? "" : `; ${facts.join("; ")}`}.`,
    {
      place: resource,
      cure:
        lacks !== undefined
          ? `Bring ${lacks} about, or name another; the VM starts by itself then.`
          : impeded !== undefined
            ? `${impeded.cure} The VM starts by itself then.`
            : pods.length === 0
              ? "Make more devices of it, or ask for fewer; the VM starts by itself then."
              : "Delete a VMI that has one, or make more devices of it; the VM starts by itself then.",
      data: { resource, devices: devices.length, unhealthy, pods },
    },
  );
}
