import { Fault } from "../fault.ts";
import { busesOf, type ClaimedBus } from "./pci-buses.ts";

/** Where a PCI device sits. */
export interface PciPlace {
  /** `pcie.0`, or the id of the root port, bridge or expander. */
  readonly bus: string;
  readonly slot: number;
  readonly function: number;
  /** Set on function 0 of a slot that has, or may get, more functions. */
  readonly multifunction: boolean;
}

/** An address as the guest sees it. There is no PCI domain but 0. */
export interface PciAddress {
  readonly bus: number;
  readonly slot: number;
  readonly function: number;
}

/** What is to be placed. */
export interface PlanRequest {
  readonly nics: readonly {
    readonly name: string;
    /** Goes onto a root port of its own. */
    readonly express: boolean;
    /** Takes no other. */
    readonly onlyExpress: boolean;
    /** A device of the host, handed over. */
    readonly isHost: boolean;
    readonly address?: PciAddress;
  }[];
  /** Ids of the other devices. */
  readonly devices: readonly string[];
  /** True: each device without an address has a slot of bus 0 for itself, and there are no ports but for addresses. */
  readonly rootComplex?: boolean;
}

/** A device with its place. */
export interface Placed {
  readonly id: string;
  readonly place: PciPlace;
}

interface PciPlan {
  /** Those on bus 0 first; those on an expander follow in its order. */
  readonly ports: readonly (Placed & { readonly chassis: number })[];
  /** PCIe-to-PCI bridges; the first is for conventional devices without an address. */
  readonly bridges: readonly Placed[];
  /** Root buses beside bus 0. */
  readonly expanders: readonly (Placed & { readonly number: number })[];
  /** Devices that do nothing: a guest looks at a slot's other functions only where it finds function 0. */
  readonly fillers: readonly Placed[];
  /** In the order of the request. */
  readonly nics: readonly PciPlace[];
  readonly devices: readonly Placed[];
}

/** Of a VMI: `true` puts every PCI device on the root complex, as KubeVirt does it. */
export const ROOT_COMPLEX_ANNOTATION = "kubevirt.io/placePCIDevicesOnRootComplex";

/** The id of bus 0. */
export const ROOT_BUS = "pcie.0";
const BRIDGE = "pci.conventional";
/** Ports kept free, so that NICs can be plugged while the guest runs. */
const SPARE_PORTS = 4;
const FUNCTIONS = 8;
/** Slots of bus 0 that q35 leaves free: 0 is the host bridge, 1 the display's, 0x1f the chipset's. */
const FIRST_SLOT = 0x02;
const LAST_SLOT = 0x1e;
/** Left free on the root complex as KubeVirt leaves it: libvirt's place for sound (reference 7.5). */
const SOUND_SLOT = 0x1b;
/** Of a bus that is not the machine's own. */
const SLOTS = 0x20;

/**
 * An address as the manifest has it, `0000:81:00.1`.
 *
 * @throws Fault PB5052
 */
export function parsePciAddress(text: string, nic: string): PciAddress {
  const match = /^([\da-f]{4}):([\da-f]{2}):([01][\da-f])\.([0-7])$/i.exec(text);
  if (match === null) throw badAddress(nic, `${text} is no PCI address`);
  const [domain = 0, bus = 0, slot = 0, fn = 0] = match.slice(1).map((part) => Number.parseInt(part, 16));
  if (domain !== 0) throw badAddress(nic, `${text} is in PCI domain ${domain}, and the machine has domain 0 alone`);
  if (bus === 0 && (slot < FIRST_SLOT || slot > LAST_SLOT)) {
    throw badAddress(nic, `${text} is a slot of the machine itself`);
  }
  return { bus, slot, function: fn };
}

/**
 * Places every device: each NIC on a root port of its own (conventional ones together behind one bridge), devices that
 * are never unplugged as functions of bus 0, and spare root ports for hotplug.
 *
 * A NIC with an address gets it: on bus 0 as it is; on another bus behind the root port or the bridge that has its number.
 * On the root complex, what has none gets the slots of bus 0 from the first one on: NICs, devices of the host that are
 * handed over, other devices; what an address needs comes from the other end.
 *
 * @throws Fault PB5052, PB5053
 */
export function pciPlan(request: PlanRequest): PciPlan {
  const { rootComplex = false } = request;
  const taken = takenFunctions(request);
  const free = request.nics.filter(({ address }) => address === undefined);
  const buses = busesOf({
    claimed: claimedBuses(request),
    ports: rootComplex ? 0 : free.filter(({ express }) => express).length + SPARE_PORTS,
    bridge: !rootComplex && free.some(({ express }) => !express),
  });
  const asked = new Set(request.nics.flatMap(({ address }) => (address?.bus === 0 ? [address.slot] : [])));
  const slots = slotsWithout(asked, rootComplex);
  const onRoot = (): PciPlace => ({ bus: ROOT_BUS, slot: slots.up(), function: 0, multifunction: false });
  const rootPlaces = rootComplex
    ? new Map(free.toSorted((one, other) => Number(one.isHost) - Number(other.isHost)).map((nic) => [nic, onRoot()]))
    : undefined;
  const devicePlaces = rootComplex ? request.devices.map(onRoot) : undefined;
  const nextDevice = packer(slots.down);
  const nextPort = rootComplex ? nextDevice : packer(slots.up);
  const ports: (Placed & { readonly chassis: number })[] = [];
  const bridges: Placed[] = [];
  const addPort = (place: PciPlace): string => {
    const chassis = ports.length + 1;
    ports.push({ id: `port.${chassis}`, place, chassis });
    return `port.${chassis}`;
  };
  const addBridge = (id: string, port: string): string => {
    bridges.push({ id, place: { bus: port, slot: 0, function: 0, multifunction: false } });
    return id;
  };
  const busIds = new Map([[0, ROOT_BUS]]);
  for (let bus = 1; bus <= buses.ports; bus += 1) busIds.set(bus, addPort(nextPort()));
  if (buses.bridge !== undefined) addBridge(BRIDGE, busIds.get(buses.bridge) ?? ROOT_BUS);
  const expanders = buses.expanders.map(({ number, buses: below }) => {
    const id = `root.${hex(number)}`;
    for (const [slot, bus] of below.entries()) {
      const port = addPort({ bus: id, slot, function: 0, multifunction: false });
      busIds.set(bus.number, bus.kind === "port" ? port : addBridge(`bus.${hex(bus.number)}`, port));
    }
    return { id, number, place: nextDevice() };
  });
  const placeAt = (name: string, express: boolean, address: PciAddress): PciPlace => {
    const { bus, slot, function: fn } = address;
    const id = busIds.get(bus);
    if (id === undefined || buses.refused.includes(bus) || (bus > 0 && bus <= buses.ports && slot > 0)) {
      throw badAddress(name, `bus ${hex(bus)} cannot have what is asked of it beside the other buses`);
    }
    if (bridges.some((bridge) => bridge.id === id) && (slot === 0 || express)) {
      throw badAddress(name, `bus ${hex(bus)} has other slots as well, and so it is none for this device`);
    }
    return { bus: id, slot, function: fn, multifunction: fn === 0 && (taken.get(slotOf(address))?.size ?? 0) > 1 };
  };
  const nextFree = buses.free[Symbol.iterator]();
  let bridgeSlot = 0;
  const nics = request.nics.map((nic): PciPlace => {
    const { name, express, onlyExpress, address } = nic;
    if (address !== undefined) return placeAt(name, onlyExpress, address);
    const root = rootPlaces?.get(nic);
    if (root !== undefined) return root;
    if (express) return { bus: `port.${nextFree.next().value ?? 0}`, slot: 0, function: 0, multifunction: false };
    // The bridge's hotplug controller takes slot 0.
    bridgeSlot += 1;
    if (bridgeSlot >= SLOTS) throw noRoom(rootComplex);
    return { bus: BRIDGE, slot: bridgeSlot, function: 0, multifunction: false };
  });
  const fillers = [...taken].flatMap(([slot, functions]): Placed[] => {
    const [one] = functions.values();
    if (functions.has(0) || one === undefined) return [];
    return [{ id: `filler.${slot}`, place: { ...placeAt("", false, one), function: 0, multifunction: true } }];
  });
  return {
    ports,
    bridges,
    expanders,
    fillers,
    nics,
    devices: request.devices.map((id, index) => ({ id, place: devicePlaces?.[index] ?? nextDevice() })),
  };
}

/** A root port's bus has slot 0 alone; where another slot is asked for, it has to be a bridge's. */
function claimedBuses(request: PlanRequest): readonly ClaimedBus[] {
  const kinds = new Map<number, ClaimedBus["kind"]>();
  for (const { address } of request.nics) {
    if (address === undefined || address.bus === 0) continue;
    if (address.slot > 0) kinds.set(address.bus, "bridge");
    else if (!kinds.has(address.bus)) kinds.set(address.bus, "port");
  }
  return [...kinds].map(([number, kind]) => ({ number, kind }));
}

/** The addresses asked for, by slot and function. */
function takenFunctions(request: PlanRequest): ReadonlyMap<string, ReadonlyMap<number, PciAddress>> {
  const slots = new Map<string, Map<number, PciAddress>>();
  for (const { name, address } of request.nics) {
    if (address === undefined) continue;
    const functions = slots.get(slotOf(address)) ?? new Map<number, PciAddress>();
    if (functions.has(address.function)) throw badAddress(name, `${show(address)} is taken by another interface`);
    slots.set(slotOf(address), functions.set(address.function, address));
  }
  return slots;
}

/** The free slots of bus 0, handed out from both ends. */
function slotsWithout(
  taken: ReadonlySet<number>,
  rootComplex: boolean,
): { readonly up: () => number; readonly down: () => number } {
  const free: number[] = [];
  for (let slot = FIRST_SLOT; slot <= LAST_SLOT; slot += 1) {
    if (!taken.has(slot) && !(rootComplex && slot === SOUND_SLOT)) free.push(slot);
  }
  const take = (slot: number | undefined): number => {
    if (slot === undefined) throw noRoom(rootComplex);
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
    const place = { bus: ROOT_BUS, slot, function: fn, multifunction: fn === 0 };
    fn += 1;
    return place;
  };
}

function slotOf({ bus, slot }: PciAddress): string {
  return `${hex(bus)}.${hex(slot)}`;
}

function show(address: PciAddress): string {
  return `0000:${hex(address.bus)}:${hex(address.slot)}.${address.function}`;
}

function hex(number: number): string {
  return number.toString(16).padStart(2, "0");
}

function badAddress(nic: string, why: string): Fault {
  return new Fault("PB5052", `The PCI address of interface ${nic} cannot be given: ${why}.`, {
    cure: "Use a slot from 0000:00:02.0 to 0000:00:1e.0, or one of a bus that nothing else has, such as 0000:81:00.0; or leave pciAddress out.",
    place: `spec.domain.devices.interfaces[${nic}].pciAddress`,
  });
}

function noRoom(rootComplex: boolean): Fault {
  return new Fault("PB5053", "The guest has more devices than its PCI bus takes.", {
    cure: `Remove interfaces or disks${rootComplex ? `, or the annotation ${ROOT_COMPLEX_ANNOTATION}` : ""}.`,
    place: "spec.domain.devices",
  });
}
