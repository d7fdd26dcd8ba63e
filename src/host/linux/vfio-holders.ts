import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { SYS } from "./sriov-inventory.ts";

/**
 * Which program has a device by VFIO just now, by the device's PCI address: `process 4711 (qemu-system-x86)`. Devices that
 * nobody has are left out. Never throws.
 *
 * Whoever drives a device has the file of its IOMMU group open, or since Linux 6.6 the device's own.
 */
export function vfioHolders(
  devices: readonly string[],
  sys: string = SYS,
  dev = "/dev/vfio",
): ReadonlyMap<string, string> {
  const files = new Map<string, string>(
    devices.flatMap((pci) =>
      filesOf(pci, sys).flatMap((name) => (existsSync(join(dev, name)) ? [[`/vfio/${name}`, pci] as const] : [])),
    ),
  );
  const holders = new Map<string, string>();
  if (files.size === 0) return holders;
  for (const pid of entries("/proc").filter((name) => /^\d+$/.test(name))) {
    for (const fd of entries(`/proc/${pid}/fd`)) {
      // What a container has at /dev is another file system, and its files' paths begin elsewhere.
      const [end = ""] = /\/vfio\/(?:devices\/)?[^/]+$/.exec(linkOf(`/proc/${pid}/fd/${fd}`) ?? "") ?? [];
      const pci = files.get(end);
      if (pci !== undefined) holders.set(pci, `process ${pid}${nameOf(pid)}`);
    }
  }
  return holders;
}

/** Below `/dev/vfio`. */
function filesOf(pci: string, sys: string): readonly string[] {
  const folder = join(sys, "bus/pci/devices", pci);
  const group = linkOf(join(folder, "iommu_group"));
  const own = entries(join(folder, "vfio-dev")).map((name) => `devices/${name}`);
  return group === undefined ? own : [basename(group), ...own];
}

function nameOf(pid: string): string {
  try {
    return ` (${readFileSync(`/proc/${pid}/comm`, "utf8").trim()})`;
  } catch {
    // It has just ended.
    return "";
  }
}

function entries(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
