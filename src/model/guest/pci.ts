import { Fault } from "../fault.ts";

/** Where a PCI device sits. */
export interface PciPlace {
  /** `pcie.0`, or the id of the root port or bridge. */
  readonly bus: string;
  readonly slot: number;
  readonly function: number;
  /** Set on function 0 of a slot that has, or may get, more functions. */
  readonly multifunction: boolean;
}

export interface PciAddress {
  readonly slot: number;
  readonly function: number;
}

interface PlanRequest {
  readonly nics: readonly { readonly name: string; readonly express: boolean; readonly address?: PciAddress }[];
  /** Ids of the other devices. */
  readonly devices: readonly string[];
}

interface PciPlan {
  readonly ports: readonly { readonly id: string; readonly place: PciPlace; readonly chassis: number }[];
  readonly bridge?: { readonly id: string; readonly place: PciPlace };
  /** In the order of the request. */
  readonly nics: readonly PciPlace[];
  readonly devices: readonly { readonly id: string; readonly place: PciPlace }[];
}

const ROOT = "pcie.0";
const BRIDGE = "pci.conventional";
/** Ports kept free, so that NICs can be plugged while the guest runs. */
const SPARE_PORTS = 4;
const FUNCTIONS = 8;
/** Slots of bus 0 that q35 leaves free: 0 is the host bridge, 1 the display's, 0x1f the chipset's. */
const FIRST_SLOT = 0x02;
const LAST_SLOT = 0x1e;

/**
 * An address as the manifest has it, `0000:00:05.0`.
 *
 * Only bus 0 can be promised: the firmware numbers the other buses by itself.
 *
 * @throws Fault PB5052
 */
export function parsePciAddress(text: string, nic: string): PciAddress {
  const match = /^([\da-f]{4}):([\da-f]{2}):([01][\da-f])\.([0-7])$/i.exec(text);
  if (match === null) throw badAddress(nic, `${text} is no PCI address`);
  const [domain = 0, bus = 0, slot = 0, fn = 0] = match.slice(1).map((part) => Number.parseInt(part, 16));
  if (domain !== 0 || bus !== 0) throw badAddress(nic, `${text} is not on bus 0, and no other bus can be promised`);
  if (slot < FIRST_SLOT || slot > LAST_SLOT) throw badAddress(nic, `${text} is a slot of the machine itself`);
  return { slot, function: fn };
}

/**
 * Places every device: each NIC on a root port of its own (conventional ones together behind one bridge), devices that
 * are never unplugged as functions of bus 0, and spare root ports for hotplug. Addresses that were asked for come first.
 *
 * @throws Fault PB5052, PB5053
 */
export function pciPlan(request: PlanRequest): PciPlan {
  const reserved = reservedSlots(request);
  const free = slotsWithout(new Set(reserved.keys()));
  const nextPort = packer(free.up);
  const nextDevice = packer(free.down);
  const ports: { id: string; place: PciPlace; chassis: number }[] = [];
  const addPort = (): string => {
    const chassis = ports.length + 1;
    const id = `port.${chassis}`;
    ports.push({ id, place: nextPort(), chassis });
    return id;
  };
  let bridge: { id: string; place: PciPlace } | undefined;
  let bridgeSlot = 0;
  const nics = request.nics.map((nic): PciPlace => {
    if (nic.address !== undefined) {
      const { slot, function: fn } = nic.address;
      return { bus: ROOT, slot, function: fn, multifunction: fn === 0 && (reserved.get(slot)?.size ?? 0) > 1 };
    }
    if (nic.express) return { bus: addPort(), slot: 0, function: 0, multifunction: false };
    bridge ??= { id: BRIDGE, place: { bus: addPort(), slot: 0, function: 0, multifunction: false } };
    // The bridge's hotplug controller takes slot 0.
    bridgeSlot += 1;
    if (bridgeSlot > 0x1f) throw noRoom();
    return { bus: BRIDGE, slot: bridgeSlot, function: 0, multifunction: false };
  });
  for (let spare = 0; spare < SPARE_PORTS; spare += 1) addPort();
  const devices = request.devices.map((id) => ({ id, place: nextDevice() }));
  return { ports, ...(bridge === undefined ? {} : { bridge }), nics, devices };
}

/** Functions asked for, by slot of bus 0; a guest looks at other functions only where there is a function 0. */
function reservedSlots(request: PlanRequest): Map<number, Set<number>> {
  const slots = new Map<number, Set<number>>();
  for (const { name, address } of request.nics) {
    if (address === undefined) continue;
    const functions = slots.get(address.slot) ?? new Set();
    if (functions.has(address.function)) throw badAddress(name, `${show(address)} is taken by another interface`);
    slots.set(address.slot, functions.add(address.function));
  }
  for (const { name, address } of request.nics) {
    if (address !== undefined && slots.get(address.slot)?.has(0) === false) {
      throw badAddress(name, `${show(address)} would not be seen by the guest, as nothing has function 0 of that slot`);
    }
  }
  return slots;
}

/** The free slots of bus 0, handed out from both ends. */
function slotsWithout(taken: ReadonlySet<number>): { up: () => number; down: () => number } {
  const free: number[] = [];
  for (let slot = FIRST_SLOT; slot <= LAST_SLOT; slot += 1) if (!taken.has(slot)) free.push(slot);
  const take = (slot: number | undefined): number => {
    if (slot === undefined) throw noRoom();
    return slot;
  };
  return { up: () => take(free.shift()), down: () => take(free.pop()) };
}

/** Places one function after the other, eight to a slot. */
function packer(nextSlot: () => number): () => PciPlace {
  let slot = -1;
  let fn = FUNCTIONS;
  return () => {
    if (fn === FUNCTIONS) {
      slot = nextSlot();
      fn = 0;
    }
    const place = { bus: ROOT, slot, function: fn, multifunction: fn === 0 };
    fn += 1;
    return place;
  };
}

function show(address: PciAddress): string {
  return `0000:00:${address.slot.toString(16).padStart(2, "0")}.${address.function}`;
}

function badAddress(nic: string, why: string): Fault {
  return new Fault("PB5052", `The PCI address of interface ${nic} cannot be given: ${why}.`, {
    cure: "Use an address from 0000:00:02.0 to 0000:00:1e.0, or leave pciAddress out.",
    place: `spec.domain.devices.interfaces[${nic}].pciAddress`,
  });
}

function noRoom(): Fault {
  return new Fault("PB5053", "The guest has more devices than its PCI bus takes.", {
    cure: "Remove interfaces or disks.",
    place: "spec.domain.devices",
  });
}
