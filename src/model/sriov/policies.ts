import type { SriovNetworkNodePolicy } from "../api/sriov-resources.ts";
import type { Stored } from "../api/stored.ts";
import { Fault } from "../fault.ts";
import { nearMiss } from "../near-miss.ts";
import type { PhysicalFunction, SriovInventory } from "./inventory.ts";
import { RESOURCE_PREFIX } from "./network-definition.ts";
import { parsePfName } from "./pf-name.ts";

export type Policy = Stored<SriovNetworkNodePolicy>;

/** What policies want of one card. */
export interface WantedCard {
  readonly pci: string;
  readonly numVfs: number;
  readonly mtu?: number;
  /** The virtual functions are somebody else's to make. */
  readonly external: boolean;
  /** `namespace/name` of those that want it so, with those that want no virtual function of it. */
  readonly policies: readonly string[];
  /** None of them overlaps another. */
  readonly groups: readonly WantedGroup[];
}

/** A range of a card's virtual functions that is one resource. */
export interface WantedGroup {
  /** `namespace/name` of the policy. */
  readonly policy: string;
  /** With its prefix. */
  readonly resource: string;
  readonly vfio: boolean;
  /** Whether the memory that a device is near to is told. */
  readonly topology: boolean;
  readonly first: number;
  readonly last: number;
}

/** Something that keeps a policy from being made so on this node. */
export interface PolicyProblem {
  /** `namespace/name`. */
  readonly policy: string;
  readonly fault: Fault;
}

export interface Wanted {
  readonly cards: readonly WantedCard[];
  readonly problems: readonly PolicyProblem[];
}

const LOWEST_PRIORITY = 99;

/** `namespace/name` of a policy. */
export function policyKey({ metadata }: Policy): string {
  return `${metadata.namespace}/${metadata.name}`;
}

/** Whether a policy is for a node with these labels. */
export function isForNode({ spec }: Policy, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(spec.nodeSelector ?? {}).every(([key, value]) => labels[key] === value);
}

/**
 * What the policies that are for this node want of its cards.
 *
 * As the SR-IOV operator has it: the lower number of `priority` wins a virtual function that two want, and the largest
 * `numVfs` and `mtu` of a card's policies hold. Among equals the older policy wins.
 */
export function wantedCards(policies: readonly Policy[], inventory: SriovInventory): Wanted {
  const wanted = new Map<string, WantedCard>();
  const problems: PolicyProblem[] = [];
  for (const policy of policies.toSorted(byPrecedence)) {
    const key = policyKey(policy);
    const tell = (fault: Fault): void => void problems.push({ policy: key, fault });
    const chosen = inventory.cards.flatMap((card) => rangesOf(policy, card));
    if (chosen.length === 0) tell(nothingSelected(policy, inventory));
    for (const { card, first, last } of chosen) {
      if (policy.spec.numVfs > card.totalVfs) {
        tell(tooMany(policy, card));
        continue;
      }
      const earlier = wanted.get(card.pci);
      const group: WantedGroup = {
        policy: key,
        resource: `${RESOURCE_PREFIX}${policy.spec.resourceName}`,
        vfio: policy.spec.deviceType === "vfio-pci",
        topology: policy.spec.excludeTopology !== true,
        first,
        last,
      };
      const other = earlier?.groups.find((one) => one.first <= last && first <= one.last);
      if (other !== undefined) {
        tell(overlap(policy, card, other));
        continue;
      }
      const mtu = Math.max(earlier?.mtu ?? 0, policy.spec.mtu ?? 0);
      wanted.set(card.pci, {
        pci: card.pci,
        numVfs: Math.max(earlier?.numVfs ?? 0, policy.spec.numVfs),
        ...(mtu === 0 ? {} : { mtu }),
        external: (earlier?.external ?? true) && policy.spec.externallyManaged === true,
        policies: [...new Set([...(earlier?.policies ?? []), key])],
        groups: [...(earlier?.groups ?? []), ...(last < first ? [] : [group])],
      });
    }
  }
  return { cards: [...wanted.values()], problems };
}

function byPrecedence(one: Policy, other: Policy): number {
  const priority = (policy: Policy): number => policy.spec.priority ?? LOWEST_PRIORITY;
  const age = (policy: Policy): string => `${policy.metadata.creationTimestamp ?? ""}/${policyKey(policy)}`;
  return priority(one) - priority(other) || (age(one) < age(other) ? -1 : 1);
}

interface Chosen {
  readonly card: PhysicalFunction;
  readonly first: number;
  readonly last: number;
}

/** The ranges of a card's virtual functions that a policy means; none where its selector does not take the card. */
function rangesOf({ spec: { nicSelector, numVfs } }: Policy, card: PhysicalFunction): readonly Chosen[] {
  const { vendor, deviceID, rootDevices = [], pfNames = [] } = nicSelector;
  const all: Chosen = { card, first: 0, last: numVfs - 1 };
  if (vendor !== undefined && vendor !== "" && vendor.toLowerCase() !== card.vendor) return [];
  if (deviceID !== undefined && deviceID !== "" && deviceID.toLowerCase() !== card.device) return [];
  if (rootDevices.length > 0 && !rootDevices.includes(card.pci)) return [];
  if (pfNames.length === 0) return [all];
  return pfNames.flatMap((text) => {
    const name = parsePfName(text);
    if (name === undefined || name.name !== card.link) return [];
    return [{ card, first: name.first ?? all.first, last: name.last ?? all.last }];
  });
}

function nothingSelected({ spec: { nicSelector } }: Policy, { cards }: SriovInventory): Fault {
  const links = cards.flatMap(({ link }) => link ?? []);
  const [first] = nicSelector.pfNames ?? [];
  const near = first === undefined ? undefined : nearMiss(first.replace(/#.*$/, ""), links);
  const there = cards.map(
    ({ pci, link, vendor, device }) => `${link ?? "without a link"} (${pci}, ${vendor}:${device})`,
  );
  const cure =
    there.length === 0
      ? "This node has no network card with SR-IOV: see that it is there (lspci), has its driver, and that SR-IOV is on in the firmware."
      : near !== undefined
        ? `Did you mean "${near}"?`
        : `Select one of ${there.join(", ")}.`;
  return new Fault("PB4201", "The nicSelector takes no network card of this node that can make virtual functions.", {
    place: "spec.nicSelector",
    cure,
    data: { cards: there },
  });
}

function tooMany({ spec: { numVfs } }: Policy, { pci, link, totalVfs }: PhysicalFunction): Fault {
  return new Fault("PB4202", `The card ${link ?? pci} makes at most ${totalVfs} virtual functions, not ${numVfs}.`, {
    place: "spec.numVfs",
    cure: `Ask for at most ${totalVfs}, or raise the card's own limit in its firmware.`,
    data: { pci, totalVfs, numVfs },
  });
}

function overlap(policy: Policy, { pci, link }: PhysicalFunction, other: WantedGroup): Fault {
  const message = `The policy ${other.policy} has virtual functions ${other.first} to ${other.last} of ${link ?? pci} already, some of which this one wants too.`;
  return new Fault("PB4207", message, {
    place: "spec.nicSelector",
    cure: `Divide the card by ranges such as ${link ?? "ens1f0"}#0-3, or give this policy a lower priority number than the other's.`,
    data: { other: other.policy, policy: policyKey(policy) },
  });
}
