import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename, join } from "node:path";
import {
  type PhysicalFunction,
  type SriovInventory,
  VFIO_DRIVER,
  type VirtualFunction,
} from "../../model/sriov/inventory.ts";

/** Where the kernel shows devices. Tests give a folder of the same shape. */
export const SYS = "/sys";

const NETWORK_CLASS = /^0x02/;
const IFF_UP = 1;

/** The cards of this machine that can make virtual functions, and those that they have made. Never throws. */
export function readSriovInventory(sys: string = SYS): SriovInventory {
  const devices = join(sys, "bus/pci/devices");
  const cards = entries(devices).flatMap((pci) => cardOf(sys, pci) ?? []);
  return {
    cards,
    drivers: entries(join(sys, "bus/pci/drivers")),
    iommu: entries(join(sys, "kernel/iommu_groups")).length > 0,
  };
}

function cardOf(sys: string, pci: string): PhysicalFunction | undefined {
  const folder = join(sys, "bus/pci/devices", pci);
  const totalVfs = numberIn(folder, "sriov_totalvfs") ?? 0;
  if (totalVfs < 1 || !NETWORK_CLASS.test(textIn(folder, "class") ?? "")) return undefined;
  const driver = linkIn(folder, "driver");
  const indexes = entries(folder)
    .flatMap((name) => /^virtfn(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((one, other) => one - other);
  return {
    pci,
    ...netOf(folder, true),
    vendor: hexIn(folder, "vendor"),
    device: hexIn(folder, "device"),
    ...(driver === undefined ? {} : { driver }),
    totalVfs,
    vfs: indexes.flatMap((index) => functionOf(sys, folder, index) ?? []),
  };
}

function functionOf(sys: string, card: string, index: number): VirtualFunction | undefined {
  const pci = linkIn(card, `virtfn${index}`);
  if (pci === undefined) return undefined;
  const folder = join(sys, "bus/pci/devices", pci);
  const [driver, group] = [linkIn(folder, "driver"), linkIn(folder, "iommu_group")];
  const override = textIn(folder, "driver_override");
  const numaNode = numberIn(folder, "numa_node");
  return {
    index,
    pci,
    ...(driver === undefined ? {} : { driver }),
    // The kernel writes "(null)" for none.
    ...(override === undefined || override === "" || override === "(null)" ? {} : { override }),
    ...(group === undefined ? {} : { group: Number(group), alone: isAlone(sys, group, pci) }),
    ...(numaNode === undefined || numaNode < 0 ? {} : { numaNode }),
    ...netOf(folder, false),
  };
}

/** What VFIO asks of a group: no other device of it that the host drives, bridges apart (Documentation/driver-api/vfio.rst). */
function isAlone(sys: string, group: string, own: string): boolean {
  return entries(join(sys, "kernel/iommu_groups", group, "devices"))
    .filter((pci) => pci !== own)
    .every((pci) => {
      const folder = join(sys, "bus/pci/devices", pci);
      const driver = linkIn(folder, "driver");
      return driver === undefined || driver === VFIO_DRIVER || driver === "pcieport" || driver === "pci-stub";
    });
}

/** The device's link with its MTU, and for cards whether it is up; nothing where it has none here. */
function netOf(folder: string, withState: boolean): { link?: string; mtu?: number; up?: boolean } {
  const [link] = entries(join(folder, "net"));
  if (link === undefined) return {};
  const net = join(folder, "net", link);
  const [mtu, flags] = [numberIn(net, "mtu"), Number(textIn(net, "flags") ?? "0")];
  return {
    link,
    ...(mtu === undefined ? {} : { mtu }),
    ...(withState ? { up: (flags & IFF_UP) !== 0 } : {}),
  };
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

function textIn(folder: string, file: string): string | undefined {
  try {
    return readFileSync(join(folder, file), "utf8").trim();
  } catch {
    return undefined;
  }
}

function numberIn(folder: string, file: string): number | undefined {
  const text = textIn(folder, file);
  return text === undefined || !/^-?\d+$/.test(text) ? undefined : Number(text);
}

function hexIn(folder: string, file: string): string {
  return (textIn(folder, file) ?? "").replace(/^0x/, "").toLowerCase();
}

/** The last part of what a symbolic link leads to: a driver's name, a device's address, a group's number. */
function linkIn(folder: string, name: string): string | undefined {
  const path = join(folder, name);
  try {
    return existsSync(path) || name !== "driver" ? basename(readlinkSync(path)) : undefined;
  } catch {
    return undefined;
  }
}
