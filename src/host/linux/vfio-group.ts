import { chmodSync, chownSync, existsSync, readlinkSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { Fault } from "../../model/fault.ts";
import { SYS } from "./sriov-inventory.ts";

/** Who a device file is given to. */
export interface FileOwner {
  readonly uid: number;
  readonly gid: number;
}

const ROOT: FileOwner = { uid: 0, gid: 0 };
const OWNER_ONLY = 0o600;
const EVERYBODY = 0o666;

/**
 * Gives the file of a device's IOMMU group to a user, so that a QEMU without rights can open it.
 *
 * @throws Fault PB4211 where the device has no group, or there is no such file
 */
export function grantGroup(pci: string, owner: FileOwner, sys: string = SYS, dev = "/dev/vfio"): void {
  const group = groupOf(pci, sys);
  if (group === undefined) {
    throw refused(
      pci,
      "it has no IOMMU group",
      "Switch the IOMMU on (intel_iommu=on), and bind the device to vfio-pci.",
    );
  }
  const file = join(dev, group);
  const container = join(dev, "vfio");
  if (!existsSync(file) || !existsSync(container)) {
    const missing = existsSync(file) ? container : file;
    const cure = "Load vfio-pci (modprobe vfio-pci), and see that the device is bound to it.";
    throw refused(pci, `${missing} is not there`, cure);
  }
  try {
    chownSync(file, owner.uid, owner.gid);
    chmodSync(file, OWNER_ONLY);
    // The kernel makes it so; a rule of udev may say otherwise.
    if ((statSync(container).mode & EVERYBODY) !== EVERYBODY) chmodSync(container, EVERYBODY);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw refused(pci, why, "Run the daemon as root, outside of a container.", cause);
  }
}

/** Takes the file back; nothing to do where the device or its group is gone. Can be done again. */
export function revokeGroup(pci: string, sys: string = SYS, dev = "/dev/vfio"): void {
  const group = groupOf(pci, sys);
  const file = group === undefined ? undefined : join(dev, group);
  if (file === undefined || !existsSync(file)) return;
  chownSync(file, ROOT.uid, ROOT.gid);
  chmodSync(file, OWNER_ONLY);
}

function groupOf(pci: string, sys: string): string | undefined {
  try {
    return basename(readlinkSync(join(sys, "bus/pci/devices", pci, "iommu_group")));
  } catch {
    return undefined;
  }
}

function refused(pci: string, why: string, cure: string, cause?: unknown): Fault {
  return new Fault("PB4211", `The device ${pci} cannot be handed to QEMU: ${why}.`, {
    place: pci,
    cure,
    ...(cause === undefined ? {} : { cause }),
  });
}
