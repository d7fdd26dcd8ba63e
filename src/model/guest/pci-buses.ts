/** A bus that an address names: a root port's, which has one slot, or a bridge's, which has many. */
export interface ClaimedBus {
  readonly number: number;
  readonly kind: "port" | "bridge";
}

/** The numbers of a guest's PCI buses beside bus 0. */
export interface Buses {
  /** Root ports on bus 0. The firmware numbers buses in their order, so that the bus of port 3 is bus 3. */
  readonly ports: number;
  /** The port that the bridge for conventional devices is on: the last, as its own bus counts as well. */
  readonly bridge?: number;
  /** Ports that nobody claimed by their number, in order. */
  readonly free: readonly number[];
  /** Further root buses, each with its own number and with the claimed buses below it, in the order of their ports. */
  readonly expanders: readonly { readonly number: number; readonly buses: readonly ClaimedBus[] }[];
  /** Numbers that were claimed and that no bus can have. */
  readonly refused: readonly number[];
}

/** More numbers than these there are not. */
const LAST_BUS = 0xff;

/**
 * Numbers the buses of a guest that needs so many ports for what claims no number, and a bridge or not.
 *
 * A claimed number among the ports is that port. Any later one is below an expander: a root bus whose own number is the
 * one before, and whose ports are numbered from there on; a bridge takes the number after its port's.
 */
export function busesOf(request: {
  readonly claimed: readonly ClaimedBus[];
  readonly ports: number;
  readonly bridge: boolean;
}): Buses {
  const claimed = request.claimed.toSorted((one, other) => one.number - other.number);
  const behind = request.bridge ? 1 : 0;
  let ports = request.ports + behind;
  const owned = new Set<number>();
  const refused: number[] = [];
  const expanders: { number: number; buses: ClaimedBus[] }[] = [];
  /** The number that the next port of the last expander would have. */
  let next = 0;
  for (const bus of claimed) {
    const needed = bus.kind === "port" ? bus.number : bus.number - 1;
    if (needed <= ports + behind + 1) {
      if (bus.kind === "bridge") refused.push(bus.number);
      else {
        owned.add(bus.number);
        // The last port stays unclaimed: behind it, numbers are the bridge's.
        ports = Math.max(ports, bus.number) + 1;
      }
    } else if (needed < next || bus.number > LAST_BUS) refused.push(bus.number);
    else {
      const last = expanders.at(-1);
      if (last !== undefined && needed === next) last.buses.push(bus);
      else expanders.push({ number: needed - 1, buses: [bus] });
      next = bus.number + 1;
    }
  }
  const free = Array.from({ length: ports }, (_, index) => index + 1).filter((number) => !owned.has(number));
  const last = free.at(-1);
  return {
    ports,
    ...(request.bridge && last !== undefined ? { bridge: last } : {}),
    free: request.bridge ? free.slice(0, -1) : free,
    expanders,
    refused,
  };
}
