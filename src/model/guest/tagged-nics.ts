import type { Interface } from "../api/interfaces.ts";
import { type GuestHardware, guestPciAddress } from "./hardware.ts";

/** A NIC as cloud-init's metadata tell of it, where it has a tag (OpenStack's device tagging; reference 7.7). */
export interface TaggedNic {
  readonly type: "nic";
  readonly bus: "pci";
  /** As the guest sees it: `0000:01:00.0`. */
  readonly address: string;
  readonly mac?: string;
  readonly tags: readonly string[];
}

/** The NICs with a tag, in the manifest's order. Of a device that is handed over only a MAC of the manifest's is known. */
export function taggedNics(interfaces: readonly Interface[], hardware: GuestHardware): readonly TaggedNic[] {
  return interfaces.flatMap(({ name, tag = "", macAddress }): TaggedNic[] => {
    const address = guestPciAddress(hardware, name);
    const nic = hardware.nics.find((one) => one.name === name);
    if (tag === "" || address === undefined || nic === undefined) return [];
    const isKnown = nic.model !== "vfio-pci" || macAddress !== undefined;
    return [{ type: "nic", bus: "pci", address, ...(isKnown ? { mac: nic.mac } : {}), tags: [tag] }];
  });
}
