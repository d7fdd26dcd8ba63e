import { Fault } from "../fault.ts";
import { type PhysicalFunction, type SriovInventory, VFIO_DRIVER, type VirtualFunction } from "./inventory.ts";
import type { PolicyProblem, WantedCard, WantedGroup } from "./policies.ts";

/** Something that is done to a card or to one of its virtual functions. */
export type SriovStep =
  /**
   * The number of virtual functions; a card that has some goes by way of none. `probe`: drivers may take the new ones, as
   * far as the card's own switch lets them.
   */
  | { readonly do: "card.functions"; readonly pci: string; readonly count: number; readonly probe: boolean }
  | { readonly do: "link.mtu"; readonly link: string; readonly mtu: number }
  | { readonly do: "link.up"; readonly link: string }
  | { readonly do: "driver.load"; readonly driver: string }
  /** Which driver takes a device: a name, or nothing for the kernel's own choice. */
  | { readonly do: "driver.bind"; readonly pci: string; readonly driver: string | undefined };

/** A virtual function that the node hands out. */
export interface SriovDevice {
  /** `namespace/name` of the policy that made it. */
  readonly policy: string;
  readonly resource: string;
  readonly pci: string;
  readonly pf: string;
  readonly pfLink?: string;
  readonly index: number;
  readonly vfio: boolean;
  readonly group?: number;
  readonly numaNode?: number;
}

/** What a card was before anything was done to it. */
export interface EarlierCard {
  readonly numVfs: number;
  readonly mtu?: number;
  /** Addresses of virtual functions that somebody had vfio-pci chosen for. */
  readonly vfio?: readonly string[];
}

/** Who has virtual functions now, by their PCI addresses: a pod's `namespace/name`, or `process 4711 (qemu-system-x86)`. */
export type Holders = ReadonlyMap<string, string>;

export interface SriovDecision {
  /** In the order in which they are to be done; then the inventory is read and the decision made again. */
  readonly steps: readonly { readonly policies: readonly string[]; readonly step: SriovStep }[];
  readonly problems: readonly PolicyProblem[];
  /** What may be handed out now. */
  readonly devices: readonly SriovDevice[];
}

/**
 * What is to be done to make the cards as they are wanted, and what they offer as they are. Nothing is done to virtual
 * functions that are in use, nor to the number of their card's.
 */
export function decideSriov(wanted: readonly WantedCard[], inventory: SriovInventory, inUse: Holders): SriovDecision {
  const decisions = wanted.flatMap((card) => {
    const there = inventory.cards.find(({ pci }) => pci === card.pci);
    return there === undefined ? [] : [decideCard(card, there, inventory, inUse)];
  });
  return {
    steps: decisions.flatMap(({ steps }) => steps),
    problems: decisions.flatMap(({ problems }) => problems),
    devices: decisions.flatMap(({ devices }) => devices),
  };
}

function decideCard(
  card: WantedCard,
  there: PhysicalFunction,
  inventory: SriovInventory,
  inUse: Holders,
): SriovDecision {
  const { policies } = card;
  const name = there.link ?? there.pci;
  const everywhere = (fault: Fault): PolicyProblem[] => policies.map((policy) => ({ policy, fault }));
  const step = (what: SriovStep) => ({ policies, step: what });
  const { vfs } = there;
  if (vfs.length !== card.numVfs && !(card.external && vfs.length > card.numVfs)) {
    if (card.external) return { steps: [], devices: [], problems: everywhere(notMade(name, vfs.length, card.numVfs)) };
    const busy = vfs.filter(({ pci }) => inUse.has(pci));
    if (busy.length > 0) {
      const { devices } = decideGroups(card, there, inventory, inUse);
      return { steps: [], devices, problems: everywhere(cardBusy(name, vfs.length, card.numVfs, heldOf(busy, inUse))) };
    }
    const { pci } = there;
    const functions = { do: "card.functions", pci, count: card.numVfs, probe: !isWhollyVfio(card) } as const;
    return { steps: [step(functions)], devices: [], problems: [] };
  }
  const { link } = there;
  const links =
    link === undefined
      ? []
      : [
          ...(card.mtu !== undefined && there.mtu !== card.mtu
            ? [step({ do: "link.mtu", link, mtu: card.mtu } as const)]
            : []),
          // Without it no virtual function has a carrier.
          ...(there.up === true ? [] : [step({ do: "link.up", link } as const)]),
        ];
  const groups = decideGroups(card, there, inventory, inUse);
  return { ...groups, steps: [...(card.external ? [] : links), ...groups.steps] };
}

/** Whether none of the card's virtual functions is left to the kernel's drivers. */
function isWhollyVfio({ groups, numVfs }: WantedCard): boolean {
  const taken = groups.flatMap(({ vfio, first, last }) => (vfio ? [Math.min(last + 1, numVfs) - first] : []));
  return taken.reduce((sum, count) => sum + count, 0) >= numVfs;
}

function decideGroups(
  card: WantedCard,
  there: PhysicalFunction,
  inventory: SriovInventory,
  inUse: Holders,
): SriovDecision {
  const decisions = card.groups.map((group) => decideGroup(group, card, there, inventory, inUse));
  return {
    steps: decisions.flatMap(({ steps }) => steps),
    problems: decisions.flatMap(({ problems }) => problems),
    devices: decisions.flatMap(({ devices }) => devices),
  };
}

function decideGroup(
  group: WantedGroup,
  card: WantedCard,
  there: PhysicalFunction,
  { drivers, iommu }: SriovInventory,
  inUse: Holders,
): SriovDecision {
  const policies = [group.policy];
  const problem = (fault: Fault): PolicyProblem => ({ policy: group.policy, fault });
  const own = there.vfs.filter(({ index }) => index >= group.first && index <= group.last);
  if (group.vfio && !iommu) return { steps: [], devices: [], problems: [problem(withoutIommu())] };
  if (group.vfio && !drivers.includes(VFIO_DRIVER)) {
    return { steps: [{ policies, step: { do: "driver.load", driver: VFIO_DRIVER } }], devices: [], problems: [] };
  }
  const wrong = own.filter((vf) => !isBound(vf, group));
  const steps = wrong
    .filter(({ pci }) => !inUse.has(pci))
    .map(({ pci }) => ({
      policies,
      step: { do: "driver.bind", pci, driver: group.vfio ? VFIO_DRIVER : undefined } as const,
    }));
  const mtus =
    group.vfio || card.mtu === undefined
      ? []
      : own.flatMap(({ link, mtu, pci }) =>
          link === undefined || mtu === card.mtu || card.mtu === undefined || inUse.has(pci)
            ? []
            : [{ policies, step: { do: "link.mtu", link, mtu: card.mtu } as const }],
        );
  const problems = wrong.filter(({ pci }) => inUse.has(pci)).map((vf) => problem(functionBusy(vf, group, inUse)));
  const shared = own.filter((vf) => isBound(vf, group) && vf.alone === false);
  return {
    steps: [...steps, ...mtus],
    problems: [...problems, ...shared.map((vf) => problem(groupShared(vf)))],
    devices: own.filter((vf) => isBound(vf, group) && vf.alone !== false).map((vf) => deviceOf(vf, group, there)),
  };
}

/** A guest's device needs an IOMMU group beside its driver. */
function isBound(vf: VirtualFunction, { vfio }: WantedGroup): boolean {
  if (vfio) return vf.driver === VFIO_DRIVER && vf.group !== undefined;
  return vf.driver !== VFIO_DRIVER && vf.override === undefined;
}

function deviceOf(
  { index, pci, group, numaNode }: VirtualFunction,
  own: WantedGroup,
  card: PhysicalFunction,
): SriovDevice {
  return {
    policy: own.policy,
    resource: own.resource,
    pci,
    pf: card.pci,
    ...(card.link === undefined ? {} : { pfLink: card.link }),
    index,
    vfio: own.vfio,
    ...(group === undefined || !own.vfio ? {} : { group }),
    ...(numaNode === undefined || !own.topology ? {} : { numaNode }),
  };
}

/**
 * What gives a card back that no policy wants any more: what it was before the first did. `busy` where virtual functions
 * of it are in use; then there is nothing to do but to wait for them.
 */
export function giveBackSteps(
  before: EarlierCard,
  card: PhysicalFunction,
  inUse: Holders,
): { readonly steps: readonly SriovStep[]; readonly busy: boolean } {
  if (card.vfs.some(({ pci }) => inUse.has(pci))) return { steps: [], busy: true };
  const { link, mtu, vfs, pci } = card;
  const { numVfs, vfio = [] } = before;
  // Virtual functions of an earlier owner that stay get the driver that was chosen for them, or the kernel's own choice.
  const stay = vfs.length === numVfs ? vfs : [];
  const wrong = stay.filter((vf) => (vf.override === VFIO_DRIVER) !== vfio.includes(vf.pci));
  return {
    busy: false,
    steps: [
      ...wrong.map((vf) => {
        const driver = vfio.includes(vf.pci) ? VFIO_DRIVER : undefined;
        return { do: "driver.bind", pci: vf.pci, driver } as const;
      }),
      ...(vfs.length === numVfs ? [] : [{ do: "card.functions", pci, count: numVfs, probe: true } as const]),
      ...(link === undefined || before.mtu === undefined || mtu === before.mtu
        ? []
        : [{ do: "link.mtu", link, mtu: before.mtu } as const]),
    ],
  };
}

function notMade(name: string, there: number, wanted: number): Fault {
  return new Fault(
    "PB4208",
    `The card ${name} has ${there} virtual functions of ${wanted}, and others are to make them.`,
    {
      place: "spec.externallyManaged",
      cure: `Make them (echo ${wanted} > /sys/class/net/${name}/device/sriov_numvfs), or leave externallyManaged out.`,
    },
  );
}

type Held = readonly { readonly pci: string; readonly by: string }[];

function heldOf(vfs: readonly VirtualFunction[], inUse: Holders): Held {
  return vfs.flatMap(({ pci }) => {
    const by = inUse.get(pci);
    return by === undefined ? [] : [{ pci, by }];
  });
}

function cardBusy(name: string, there: number, wanted: number, held: Held): Fault {
  const which = held.map(({ pci, by }) => `${pci} by ${by}`).join(", ");
  return new Fault(
    "PB4203",
    `The card ${name} cannot have ${wanted} virtual functions now: of its ${there} are held ${which}.`,
    {
      place: "spec.numVfs",
      cure: "Delete the VMIs that use them, or end the programs; the number changes by itself then.",
      data: { held: held.map(({ pci }) => pci) },
    },
  );
}

function functionBusy({ pci, driver }: VirtualFunction, { vfio }: WantedGroup, inUse: Holders): Fault {
  const wanted = vfio ? VFIO_DRIVER : "its network driver";
  return new Fault(
    "PB4203",
    `The virtual function ${pci} is to get ${wanted}, and ${inUse.get(pci) ?? "somebody"} holds it by ${driver ?? "none"}.`,
    {
      place: "spec.deviceType",
      cure: "Delete the VMI that uses it, or end the program; it changes by itself then.",
      data: { held: [pci] },
    },
  );
}

function groupShared({ pci, group }: VirtualFunction): Fault {
  return new Fault(
    "PB4209",
    `The virtual function ${pci} is in the IOMMU group ${group} with devices that the host drives, and cannot be handed over without them.`,
    {
      place: `/sys/kernel/iommu_groups/${group}/devices`,
      cure: "Put the card into a slot whose root port isolates its devices (ACS), or bind the others to vfio-pci too.",
    },
  );
}

function withoutIommu(): Fault {
  return new Fault("PB4205", "This machine has no IOMMU that is on, so no device can be handed over to a guest.", {
    place: "spec.deviceType",
    cure: "Switch VT-d or AMD-Vi on in the firmware, and start the kernel with intel_iommu=on where it is Intel's.",
  });
}

/** A step that was done and changed nothing. */
export function withoutEffect(step: SriovStep): Fault {
  if (step.do === "driver.bind") {
    const driver = step.driver ?? "a network driver";
    return new Fault("PB4204", `The virtual function ${step.pci} was given to ${driver}, which did not take it.`, {
      place: `/sys/bus/pci/devices/${step.pci}`,
      cure: "dmesg has what the driver says of it; see that the IOMMU is on and that nothing else holds the device.",
    });
  }
  const about =
    step.do === "card.functions" ? `the card ${step.pci}` : step.do === "driver.load" ? step.driver : step.link;
  return new Fault("PB4206", `The kernel took a change of ${about} (${step.do}), which had no effect.`, {
    place: about,
    cure: "dmesg has what the card's driver says of it; see what else sets the card.",
  });
}
