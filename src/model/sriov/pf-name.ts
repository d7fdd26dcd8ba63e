/** A physical function's link in a policy, with the virtual functions that are meant. */
export interface PfName {
  readonly name: string;
  /** Absent: all of them. */
  readonly first?: number;
  readonly last?: number;
}

/** Reads `ens1f0` or `ens1f0#0-3`; undefined for anything else. */
export function parsePfName(text: string): PfName | undefined {
  const match = /^([^\s#/]{1,15})(?:#(\d{1,5})-(\d{1,5}))?$/.exec(text);
  const [, name, from, to] = match ?? [];
  if (name === undefined) return undefined;
  if (from === undefined || to === undefined) return { name };
  const [first, last] = [Number(from), Number(to)];
  return first <= last ? { name, first, last } : undefined;
}
