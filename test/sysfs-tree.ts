import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

/** A folder of sysfs' shape with one card that can make virtual functions, for what no kernel at hand shows. */
export interface SysfsTree {
  readonly sys: string;
  /** Does what the kernel would do by now after what was written: makes functions, unbinds and probes drivers. */
  react(): void;
  read(path: string): string;
  write(path: string, text: string): void;
  remove(): void;
}

export const CARD = "0000:02:00.0";
const VENDOR = "0x8086";

/** The address of the card's virtual function of that index. */
export function functionAddress(index: number): string {
  return `0000:02:10.${index}`;
}

export function makeSysfs({ iommu = true, vfio = true, totalVfs = 7, numaNode = 0 } = {}): SysfsTree {
  const sys = mkdtempSync(join(tmpdir(), "patchbay-sysfs-"));
  const at = (...parts: string[]): string => join(sys, ...parts);
  const write = (path: string, text: string): void => writeFileSync(at(path), `${text}\n`);
  const read = (path: string): string => readFileSync(at(path), "utf8").trim();
  const card = `bus/pci/devices/${CARD}`;
  for (const folder of [`${card}/net/pf0`, "bus/pci/drivers/igb", "bus/pci/drivers/igbvf", "class/net"]) {
    mkdirSync(at(folder), { recursive: true });
  }
  if (vfio) mkdirSync(at("bus/pci/drivers/vfio-pci"));
  if (iommu) mkdirSync(at("kernel/iommu_groups/1/devices"), { recursive: true });
  const files = {
    [`${card}/class`]: "0x020000",
    [`${card}/vendor`]: VENDOR,
    [`${card}/device`]: "0x10c9",
    [`${card}/sriov_totalvfs`]: String(totalVfs),
    [`${card}/sriov_numvfs`]: "0",
    [`${card}/sriov_drivers_autoprobe`]: "1",
    [`${card}/net/pf0/mtu`]: "1500",
    [`${card}/net/pf0/flags`]: "0x1002",
    "bus/pci/drivers_probe": "",
  };
  for (const [path, text] of Object.entries(files)) write(path, text);
  for (const driver of ["igb", "igbvf", ...(vfio ? ["vfio-pci"] : [])]) write(`bus/pci/drivers/${driver}/unbind`, "");
  symlinkSync(at("bus/pci/drivers/igb"), at(card, "driver"));
  symlinkSync(at(card, "net/pf0"), at("class/net/pf0"));

  const addresses = (): string[] => readdirSync(at("bus/pci/devices")).filter((pci) => pci !== CARD);
  const makeFunction = (index: number): void => {
    const pci = functionAddress(index);
    const folder = `bus/pci/devices/${pci}`;
    mkdirSync(at(folder));
    write(`${folder}/driver_override`, "(null)");
    write(`${folder}/numa_node`, String(numaNode));
    symlinkSync(at(folder), at(card, `virtfn${index}`));
    if (!iommu) return;
    const group = `kernel/iommu_groups/${20 + index}`;
    mkdirSync(at(group, "devices", pci), { recursive: true });
    symlinkSync(at(group), at(folder, "iommu_group"));
  };
  const dropFunction = (index: number): void => {
    rmSync(at("bus/pci/devices", functionAddress(index)), { recursive: true });
    rmSync(at(card, `virtfn${index}`));
    rmSync(at(`kernel/iommu_groups/${20 + index}`), { recursive: true, force: true });
  };
  const unbind = (pci: string): void => rmSync(at("bus/pci/devices", pci, "driver"), { force: true });
  const probe = (pci: string): void => {
    const override = read(`bus/pci/devices/${pci}/driver_override`);
    const driver = override === "" || override === "(null)" ? "igbvf" : override;
    unbind(pci);
    symlinkSync(at("bus/pci/drivers", driver), at("bus/pci/devices", pci, "driver"));
  };
  return {
    sys,
    read,
    write,
    remove: () => rmSync(sys, { recursive: true, force: true }),
    react() {
      const wanted = Number(read(`${card}/sriov_numvfs`));
      const there = addresses().length;
      for (let index = wanted; index < there; index += 1) dropFunction(index);
      for (let index = there; index < wanted; index += 1) makeFunction(index);
      const probed = read("bus/pci/drivers_probe");
      if (probed !== "" && addresses().includes(probed)) probe(probed);
      write("bus/pci/drivers_probe", "");
    },
  };
}

/** The driver of a device of the tree. */
export function driverOf({ sys }: SysfsTree, pci: string): string | undefined {
  try {
    return basename(readlinkSync(join(sys, "bus/pci/devices", pci, "driver")));
  } catch {
    return undefined;
  }
}
