import { Fault } from "../fault.ts";

/** The processors of a machine that guests may have. */
export interface CpuSupply {
  readonly cpus: readonly number[];
  /** Processors by the memory that they are near to; a machine of one memory may have none. */
  readonly nodes: ReadonlyMap<number, readonly number[]>;
}

/**
 * A processor of its own for each of so many vCPUs: of one memory where one has enough, first of those that are `near` (the
 * memories of the guest's devices).
 *
 * @throws Fault PB5080 where too few are left
 */
export function chooseCpus(
  count: number,
  { cpus, nodes }: CpuSupply,
  taken: ReadonlySet<number>,
  near: ReadonlySet<number> = new Set(),
): readonly number[] {
  const free = cpus.filter((cpu) => !taken.has(cpu));
  if (free.length < count) throw tooFew(count, cpus.length, free.length);
  const groups = [...nodes]
    .map(([node, own]) => ({ near: near.has(node), own: own.filter((cpu) => free.includes(cpu)) }))
    .toSorted((one, other) => Number(other.near) - Number(one.near));
  const whole = groups.find(({ own }) => own.length >= count);
  if (whole !== undefined) return whole.own.slice(0, count);
  const ordered = [...new Set([...groups.flatMap(({ own }) => own), ...free])];
  return ordered.slice(0, count);
}

/** Reads a list as the kernel writes it, such as `0-3,8`; nothing of what is no number. */
export function parseCpuList(text: string): readonly number[] {
  return text
    .trim()
    .split(",")
    .flatMap((part) => {
      const [, from, to] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim()) ?? [];
      if (from === undefined) return [];
      const [first, last] = [Number(from), Number(to ?? from)];
      return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);
    });
}

function tooFew(count: number, all: number, free: number): Fault {
  const place = "spec.domain.cpu.dedicatedCpuPlacement";
  const rest = all === free ? "" : ` ${all - free} of them are other guests'.`;
  return new Fault(
    "PB5080",
    `The guest asks for ${count} processors of its own, and this node has ${free} of ${all} left.${rest}`,
    {
      place,
      cure: "Ask for fewer vCPUs (sockets × cores × threads), delete a guest that has some, or leave dedicatedCpuPlacement out.",
      data: { count, all, free },
    },
  );
}
