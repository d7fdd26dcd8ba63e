import { type Family, familyOf } from "../addresses/ip.ts";
import { canonicalDomain } from "../packets/dns-names.ts";
import type { ServeNote } from "./note.ts";

/** What makes a service impossible (`fatal`, a clause), and the values that it has to leave out (`notes`). */
export interface ServiceCheck {
  readonly fatal?: string;
  readonly notes: readonly ServeNote[];
}

/** A check of what must hold, the first that does not being fatal, and of what is left out. */
export function checked(
  musts: readonly (readonly [holds: boolean, otherwise: string])[],
  notes: readonly ServeNote[],
): ServiceCheck {
  const broken = musts.find(([holds]) => !holds);
  return broken === undefined ? { notes } : { fatal: broken[1], notes };
}

/** A whole number from 0 to `largest`. */
export function isWhole(value: number, largest = Number.MAX_SAFE_INTEGER): boolean {
  return Number.isInteger(value) && value >= 0 && value <= largest;
}

/** A note for each text that is no address of the family. */
export function badAddresses(family: Family, what: string, list: readonly string[]): readonly ServeNote[] {
  return list
    .filter((text) => familyOf(text) !== family)
    .map((text) => leftOut(`the ${what} "${text}" is no IPv${family} address`));
}

/** A note for each search domain that cannot be sent; the others are. */
export function badDomains(names: readonly string[]): readonly ServeNote[] {
  return names
    .filter((name) => canonicalDomain(name) === undefined)
    .map((name) => leftOut(`the search domain "${name}" is no domain name`));
}

/** A note on a value that is not sent. */
export function leftOut(why: string): ServeNote {
  return { kind: "left-out", message: `Not sent to the guest: ${why}.` };
}
