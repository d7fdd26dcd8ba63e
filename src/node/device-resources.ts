import { unlessAborted } from "../host/unless-aborted.ts";
import {
  allocateDevices,
  type DeviceClaim,
  type DevicePool,
  type DeviceRequest,
  type NodeDevice,
} from "../model/pods/device-resources.ts";
import type { PodRecords } from "./records.ts";

/** Where devices of one kind come from: macvtap links that can be made, virtual functions of a card. */
export interface DeviceSource {
  /** Whether a resource of that name is of this kind, be there one or not. */
  owns(resource: string): boolean;
  /** Settles once its pools are known; absent: they always are. */
  readonly ready?: Promise<void>;
  /** Its pools as they are now; asked at each claim. Throws a Fault where they cannot be known. */
  pools(): readonly DevicePool[];
  /** Makes a device of its own ready for a pod, before CNI's ADD. Throws a Fault: then the pod does not start. */
  prepare?(device: NodeDevice, podUid: string): Promise<void>;
  /** Takes back what {@link prepare} did, after CNI's DEL; nothing to do where it did nothing. Can be done again. */
  reset?(device: NodeDevice, podUid: string): Promise<void>;
}

/** The devices of a node, and whose they are. */
export interface DeviceResources {
  /** Those of every source, by resource name. */
  pools(): readonly DevicePool[];
  /**
   * Devices for a pod, kept in its record before they are made ready. While `signal` is not aborted it waits for the
   * sources of what is asked for to know what they have.
   *
   * @throws Fault PB6121, PB6122 (none to be had), and what the sources throw; the signal's reason.
   */
  claim(podUid: string, requests: readonly DeviceRequest[], signal?: AbortSignal): Promise<readonly DeviceClaim[]>;
  /** Lets a pod's devices be reset. They are free for others once its record has them no more, or is gone. */
  reset(podUid: string): Promise<void>;
}

/**
 * Counts the devices of a node as Kubernetes' device plugins and kubelet do. Whose a device is stands in the records of
 * the pods alone, so that nothing is left of a pod that has none.
 */
export function makeDeviceResources(records: PodRecords, sources: readonly DeviceSource[]): DeviceResources {
  const pools = (): readonly DevicePool[] => sources.flatMap((source) => source.pools());
  return {
    pools,
    async claim(podUid, requests, signal) {
      if (requests.length === 0) return [];
      await unlessAborted(Promise.all(requests.map(({ resource }) => sourceOf(resource)?.ready)), signal);
      const own = records.get(podUid);
      if (own === undefined) return [];
      // No await between the look at the records and the claim's own: of two pods one gets the device.
      const holders = records
        .all()
        .filter((record) => record.podUid !== podUid)
        .map(({ pod, devices = [] }) => ({ pod: `${pod.namespace}/${pod.name}`, claims: devices }));
      const claims = allocateDevices(pools(), holders, requests);
      records.put({ ...own, devices: claims });
      for (const { resource, device } of claims) await sourceOf(resource)?.prepare?.(device, podUid);
      return claims;
    },
    async reset(podUid) {
      for (const { resource, device } of records.get(podUid)?.devices ?? []) {
        await sourceOf(resource)?.reset?.(device, podUid);
      }
    },
  };

  function sourceOf(resource: string): DeviceSource | undefined {
    return sources.find((source) => source.owns(resource));
  }
}
