import { Fault } from "../fault.ts";
import type { GuestNic } from "../wiring/wiring.ts";
import {
  type CpuHardware,
  channelId,
  type DiskBus,
  diskId,
  type GuestHardware,
  inputId,
  rngId,
  scsiId,
  tabletBusId,
  usbId,
  watchdogId,
} from "./hardware.ts";
import { chooseMachine } from "./machine-type.ts";
import { type PlanRequest, parsePciAddress, pciPlan, ROOT_BUS } from "./pci.ts";

/** What a hardware is decided from. */
export interface HardwareRequest {
  readonly accel: "kvm" | "tcg";
  /** Machine types and device types that the QEMU at hand offers. */
  readonly machines: readonly string[];
  readonly devices: readonly string[];
  /** The manifest's `spec.domain.machine.type`. */
  readonly machine?: string;
  /** Zero or absent counts as one. */
  readonly cpu?: {
    readonly model?: string;
    readonly sockets?: number;
    readonly cores?: number;
    readonly threads?: number;
  };
  readonly memoryBytes: bigint;
  readonly nics: readonly GuestNic[];
  readonly disks?: readonly { readonly name: string; readonly bus: DiskBus }[];
  readonly rng?: boolean;
  readonly graphics?: boolean;
  /** `spec.domain.devices.useVirtioTransitional`. */
  readonly virtioTransitional?: boolean;
  /**
   * Set where every device is to sit on bus 0 itself, in slots of their own: with these, which otherwise take the places
   * that the others leave. Then nothing can be plugged in later.
   */
  readonly rootComplex?: {
    readonly watchdog: boolean;
    readonly inputs: readonly { readonly name: string; readonly bus: string }[];
  };
}

const MEBI = 1n << 20n;
/** QEMU's q35 takes at most 288; one less than 256 works without an IOMMU. */
const MAX_CPUS = 255;
const MAX_SATA_DISKS = 6;

/**
 * Decides the hardware of a new guest. The same request gives the same hardware.
 *
 * @throws Fault PB5050 (machine type), PB5051 (NIC model), PB5052 (PCI address), PB5053 (sizes and counts)
 */
export function decideHardware(request: HardwareRequest): GuestHardware {
  const machine = chooseMachine(request.machines, request.machine);
  const { virtioTransitional = false } = request;
  const nics = request.nics.map((nic) => ({ nic, device: nicDevice(nic.model, virtioTransitional) }));
  for (const { nic, device } of nics) {
    if (!request.devices.includes(device)) throw modelMissing(nic, device, machine);
  }
  const disks = request.disks ?? [];
  const sata = disks.filter((disk) => disk.bus === "sata").length;
  if (sata > MAX_SATA_DISKS) {
    throw new Fault("PB5053", `The guest has ${sata} disks on the SATA bus, which takes ${MAX_SATA_DISKS}.`, {
      cure: "Give some of the disks bus virtio.",
      place: "spec.domain.devices.disks",
    });
  }
  const plan = pciPlan({
    nics: request.nics.map((nic) => placeWish(nic, virtioTransitional)),
    devices: deviceIds(request),
    rootComplex: request.rootComplex !== undefined,
  });
  return {
    version: 1,
    machine,
    cpu: decideCpu(request),
    memoryMiB: decideMemory(request.memoryBytes),
    ports: plan.ports,
    expanders: plan.expanders,
    fillers: plan.fillers,
    bridges: plan.bridges,
    nics: nics.map(({ nic, device }, index) => ({
      name: nic.name,
      device,
      model: nic.model,
      mac: nic.mac,
      mtu: nic.mtu,
      queues: nic.model === "virtio" ? nic.queues : 1,
      place: at(plan.nics, index),
      ...acpiIndexOf(nic, nics.slice(0, index)),
      ...(nic.bootOrder === undefined ? {} : { bootOrder: nic.bootOrder }),
    })),
    devices: plan.devices,
    graphics: request.graphics ?? false,
  };
}

/** What is on PCI beside NICs and buses; on the root complex in KubeVirt's order (reference 7.5). */
function deviceIds({ disks = [], rng, rootComplex }: HardwareRequest): readonly string[] {
  const scsi = disks.some((disk) => disk.bus === "scsi") ? [scsiId] : [];
  const usb = disks.some((disk) => disk.bus === "usb") ? [usbId] : [];
  const virtio = disks.filter((disk) => disk.bus === "virtio").map((disk) => diskId(disk.name));
  const entropy = rng === true ? [rngId] : [];
  if (rootComplex === undefined) return [channelId, ...entropy, ...scsi, ...usb, ...virtio];
  const { watchdog, inputs } = rootComplex;
  return [
    ...[...usb, ...scsi, channelId, ...(inputs.some(({ bus }) => bus === "usb") ? [tabletBusId] : [])],
    ...virtio,
    ...inputs.filter(({ bus }) => bus === "virtio").map(({ name }) => inputId(name)),
    ...(watchdog ? [watchdogId] : []),
    ...entropy,
  ];
}

/** The largest that QEMU takes (`hw/acpi/pcihp.c`). */
export const LARGEST_ACPI_INDEX = 16_383;

/** Below 1 there is none (reference 1.2). QEMU starts no guest that has one twice. */
function acpiIndexOf(
  { name, acpiIndex = 0 }: GuestNic,
  before: readonly { readonly nic: GuestNic }[],
): { readonly acpiIndex?: number } {
  if (acpiIndex < 1) return {};
  const other = before.find(({ nic }) => nic.acpiIndex === acpiIndex);
  const place = `spec.domain.devices.interfaces[${name}].acpiIndex`;
  if (acpiIndex > LARGEST_ACPI_INDEX) {
    const cure = `Use 1 to ${LARGEST_ACPI_INDEX}.`;
    throw new Fault("PB5053", `The interface "${name}" cannot have the acpiIndex ${acpiIndex}.`, { cure, place });
  }
  if (other !== undefined) {
    const message = `The interfaces "${other.nic.name}" and "${name}" have the same acpiIndex ${acpiIndex}.`;
    throw new Fault("PB5053", message, { cure: "Give each its own, or none.", place });
  }
  return { acpiIndex };
}

/**
 * Whether the guest is told the ACPI index of each NIC, in their order.
 *
 * QEMU 7.2 describes buses below the root ports of bus 0 in ACPI, and of their slots function 0; neither what sits on bus 0
 * itself nor what is below another root bus. Where another function has an index, it is told of function 0.
 *
 * @throws Fault PB5052, PB5053 where there is no such guest
 */
export function acpiIndexesTold(
  nics: readonly PlacedNic[],
  { virtioTransitional }: { readonly virtioTransitional: boolean },
): readonly boolean[] {
  const plan = pciPlan({
    nics: nics.map((nic) => placeWish(nic, virtioTransitional)),
    devices: [],
  });
  const ports = plan.ports.flatMap(({ id, place }) => (place.bus === ROOT_BUS ? [id] : []));
  const bridges = plan.bridges.flatMap(({ id, place }) => (ports.includes(place.bus) ? [id] : []));
  return plan.nics.map(({ bus, function: fn }) => fn === 0 && [...ports, ...bridges].includes(bus));
}

/** What decides where a NIC goes. */
interface PlacedNic {
  readonly name: string;
  readonly model: string;
  readonly pciAddress?: string;
}

function placeWish({ name, model, pciAddress }: PlacedNic, virtioTransitional: boolean): PlanRequest["nics"][number] {
  return {
    name,
    express: !CONVENTIONAL.has(model) && !(virtioTransitional && model === "virtio"),
    onlyExpress: model === "e1000e" || model === "igb",
    isHost: model === "vfio-pci",
    ...(pciAddress === undefined ? {} : { address: parsePciAddress(pciAddress, name) }),
  };
}

/** Models that are not PCI Express. */
const CONVENTIONAL: ReadonlySet<string> = new Set(["e1000", "ne2k_pci", "pcnet", "rtl8139"]);

/** QEMU's device for a model. */
function nicDevice(model: GuestNic["model"], transitional: boolean): string {
  if (model !== "virtio") return model;
  return transitional ? "virtio-net-pci-transitional" : "virtio-net-pci";
}

function modelMissing(nic: GuestNic, device: string, machine: string): Fault {
  const cure =
    nic.model === "igb"
      ? `igb needs QEMU 8.0 or newer, and this node's newest machine type is ${machine}: use e1000e or virtio, or install a newer QEMU.`
      : "Use another model, such as virtio.";
  return new Fault("PB5051", `QEMU on this node has no ${device}, which interface ${nic.name} asks for.`, {
    cure,
    place: `spec.domain.devices.interfaces[${nic.name}].model`,
  });
}

/**
 * `host-model` and `host-passthrough` mean the best that the accelerator has: the host's CPU under KVM, everything that
 * TCG emulates otherwise, which depends on QEMU's version alone.
 */
function decideCpu(request: HardwareRequest): CpuHardware {
  const count = (value: number | undefined) => (value === undefined || value === 0 ? 1 : value);
  const { model } = request.cpu ?? {};
  // Behind a comma QEMU reads features.
  if (model !== undefined && !/^[\w.-]*$/.test(model)) {
    throw new Fault("PB5053", `"${model}" is no CPU model.`, {
      cure: "Name one that `qemu-system-x86_64 -cpu help` lists, or leave the choice to the node.",
      place: "spec.domain.cpu.model",
    });
  }
  const cpu = {
    model:
      model === undefined || model === "" || model === "host-model" || model === "host-passthrough"
        ? request.accel === "kvm"
          ? "host"
          : "max"
        : model,
    sockets: count(request.cpu?.sockets),
    cores: count(request.cpu?.cores),
    threads: count(request.cpu?.threads),
  };
  const cpus = cpu.sockets * cpu.cores * cpu.threads;
  if (!Number.isSafeInteger(cpus) || cpus < 1 || cpus > MAX_CPUS) {
    throw new Fault("PB5053", `A guest cannot have ${cpus} CPUs (sockets × cores × threads).`, {
      cure: `Ask for at most ${MAX_CPUS}.`,
      place: "spec.domain.cpu",
    });
  }
  return cpu;
}

/** Whole MiB, rounded up. */
function decideMemory(bytes: bigint): number {
  const mebibytes = (bytes + MEBI - 1n) / MEBI;
  if (bytes <= 0n || mebibytes > 1n << 30n) {
    throw new Fault("PB5053", `A guest cannot have ${bytes} bytes of memory.`, {
      cure: "Give it memory such as 256Mi.",
      place: "spec.domain.memory.guest",
    });
  }
  return Number(mebibytes);
}

function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new RangeError(`no element ${index}`);
  return item;
}
