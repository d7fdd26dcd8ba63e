import { execFile } from "node:child_process";
import { constants, existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { Fault } from "../../model/fault.ts";
import type { SriovStep } from "../../model/sriov/steps.ts";
import { findProgram } from "../setup/programs.ts";
import { SYS } from "./sriov-inventory.ts";

const run = promisify(execFile);
const MODPROBE_MS = 20_000;
const IFF_UP = 1;
/** Never makes a file. */
const IN_PLACE = constants.O_WRONLY | constants.O_TRUNC;

/**
 * Does one step to a card or virtual function, below `sys` (sysfs, or a folder of its shape).
 *
 * @throws Fault PB4203 (in use), PB4204 (no driver, or it does not take the device), PB4206 (the kernel refused)
 */
export async function executeSriov(step: SriovStep, sys: string = SYS): Promise<void> {
  const device = (pci: string): string => join(sys, "bus/pci/devices", pci);
  switch (step.do) {
    case "card.functions": {
      const file = join(device(step.pci), "sriov_numvfs");
      // Drivers may not probe what is about to be bound to another one; a kernel without the switch probes anyway.
      const probing = join(device(step.pci), "sriov_drivers_autoprobe");
      const earlier = !step.probe && existsSync(probing) ? await read(probing) : undefined;
      if (earlier !== undefined) await write(probing, "0");
      try {
        if ((await read(file)) !== "0") await write(file, "0");
        if (step.count > 0) await write(file, String(step.count));
      } finally {
        if (earlier !== undefined) await write(probing, earlier);
      }
      break;
    }
    case "link.mtu":
      await write(join(sys, "class/net", step.link, "mtu"), String(step.mtu));
      break;
    case "link.up": {
      const file = join(sys, "class/net", step.link, "flags");
      await write(file, `0x${(Number(await read(file)) | IFF_UP).toString(16)}`);
      break;
    }
    case "driver.load":
      await load(step.driver);
      break;
    case "driver.bind":
      await bind(device(step.pci), step.pci, step.driver, sys);
      break;
  }
}

/** Lets the present driver go and has the wanted one take the device: `driver_override`, then a probe. */
async function bind(folder: string, pci: string, driver: string | undefined, sys: string): Promise<void> {
  // An empty line is no override (Documentation/ABI/testing/sysfs-bus-pci).
  await write(join(folder, "driver_override"), driver ?? "");
  if (existsSync(join(folder, "driver"))) await write(join(folder, "driver/unbind"), pci);
  await write(join(sys, "bus/pci/drivers_probe"), pci);
}

async function load(driver: string): Promise<void> {
  const modprobe = findProgram("modprobe");
  const cure = "Install the kernel's modules, or a kernel with CONFIG_VFIO_PCI.";
  if (modprobe === undefined) {
    throw new Fault("PB4204", `The kernel has no driver ${driver}, and there is no modprobe to load it.`, {
      place: driver,
      cure: "Install it with: apt-get install kmod.",
    });
  }
  try {
    await run(modprobe, [driver], { timeout: MODPROBE_MS });
  } catch (cause) {
    const words = cause instanceof Error && "stderr" in cause ? String(cause.stderr).trim().split("\n")[0] : "";
    throw new Fault("PB4204", `The kernel has no driver ${driver}${words ? `: ${words.replace(/\.$/, "")}` : ""}.`, {
      place: driver,
      cure,
      cause,
    });
  }
}

async function read(file: string): Promise<string> {
  try {
    return (await readFile(file, "utf8")).trim();
  } catch (cause) {
    throw refused("read", file, undefined, cause);
  }
}

async function write(file: string, value: string): Promise<void> {
  try {
    await writeFile(file, `${value}\n`, { flag: IN_PLACE });
  } catch (cause) {
    throw refused("write", file, value, cause);
  }
}

function refused(what: "read" | "write", file: string, value: string | undefined, cause: unknown): Fault {
  const errno = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
  const about = value === undefined ? file : `"${value}" to ${file}`;
  if (errno === "EBUSY") {
    return new Fault("PB4203", `The kernel refused to ${what} ${about}: the device is in use (EBUSY).`, {
      place: file,
      cure: "See what uses its virtual functions: guests, containers, or links that are up in another namespace.",
      cause,
    });
  }
  return new Fault("PB4206", `The kernel refused to ${what} ${about}: ${errno}.`, {
    place: file,
    cure: cureOf(errno),
    data: { errno },
    cause,
  });
}

function cureOf(errno: string): string {
  switch (errno) {
    case "ENOENT":
      return "The card or its driver went away: see lspci -k.";
    case "EROFS":
      return "/sys is mounted read-only: run outside of the container, or make it writable.";
    case "EACCES":
    case "EPERM":
      return "Run the daemon as root, outside of a container.";
    case "EINVAL":
    case "ERANGE":
      return "The card does not take this value: choose a smaller one.";
    default:
      return "dmesg has what the card's driver says of it.";
  }
}
