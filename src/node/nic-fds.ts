import { openMacvtap } from "../host/linux/macvtap.ts";
import { within } from "../host/linux/netns.ts";
import { readLinks } from "../host/linux/pod-facts.ts";
import { closeFdsNow, openExistingTap } from "../host/linux/tap.ts";
import { Fault } from "../model/fault.ts";
import type { GuestNic, Wiring } from "../model/wiring/wiring.ts";

/** Open fds by NIC, one a queue: what QEMU gets of them. The caller closes them. */
export type NicFds = ReadonlyMap<string, readonly number[]>;

/**
 * The fds of a guest's NICs: of the taps that were just made (`made`, by name), of taps that a binding plugin's CNI made,
 * and of macvtaps.
 *
 * @throws Fault PB4002 (no such macvtap), PB4018; then all are closed.
 */
export function openNicFds(netns: string, { nics }: Pick<Wiring, "nics">, made: NicFds): NicFds {
  const opened: number[] = [];
  const keep = (fds: readonly number[]): readonly number[] => {
    opened.push(...fds);
    return fds;
  };
  const fdsOf = ({ attachment }: GuestNic): readonly number[] | undefined => {
    const { kind } = attachment;
    if (kind === "macvtap") return keep(openMacvtap(netns, attachment.device, attachment.queues));
    if (kind !== "tap") return undefined;
    const { device, queues } = attachment;
    return made.get(device) ?? keep(within(netns, () => openExistingTap(device, queues)));
  };
  try {
    return new Map(
      nics.flatMap((nic) => {
        const fds = fdsOf(nic);
        return fds === undefined ? [] : [[nic.name, fds] as const];
      }),
    );
  } catch (thrown) {
    closeFdsNow([...opened, ...[...made.values()].flat()]);
    throw thrown;
  }
}

/**
 * PB6105 where one of the links is gone that a running guest's NICs are plugged into and that others made: macvtaps, a
 * plugin's taps. What comes again under their names is of no use to the guest, as QEMU holds the old ones.
 */
export function lostLinks(netns: string, { nics, kernel }: Pick<Wiring, "nics" | "kernel">): Fault | undefined {
  const own = new Set(kernel.links.flatMap(({ kind, name }) => (kind === "tap" ? [name] : [])));
  const held = nics.flatMap(({ name, attachment }) =>
    attachment.kind === "macvtap" || (attachment.kind === "tap" && !own.has(attachment.device))
      ? [{ nic: name, device: attachment.device, kind: attachment.kind }]
      : [],
  );
  if (held.length === 0) return undefined;
  const there = new Set(readLinks(netns).links.map(({ name }) => name));
  const lost = held.filter(({ device }) => !there.has(device));
  const [first] = lost;
  if (first === undefined) return undefined;
  const what = first.kind === "macvtap" ? "or the node's link below it " : "";
  return new Fault(
    "PB6105",
    `The ${first.kind} "${first.device}" of the running guest ${what}was deleted: its interface "${first.nic}" reaches nothing any more.`,
    {
      place: netns,
      cure: "Delete the VMI and apply it again (of a VM: virtctl restart), once what its network is built on is there.",
      data: { lost: lost.map(({ device }) => device) },
    },
  );
}
