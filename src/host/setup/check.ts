import { Fault } from "../../model/fault.ts";
import type { Sighting } from "./kernel.ts";
import type { Cure, Need, NeededBy } from "./need.ts";
import { needs } from "./needs.ts";
import { look } from "./probes.ts";

/** A need together with what was seen of it. */
export interface Found {
  readonly need: Need;
  readonly sighting: Sighting;
}

/** Looks for every need, or for those of some commands. */
export function check(neededBy?: readonly NeededBy[]): readonly Found[] {
  return needs
    .filter((need) => neededBy === undefined || need.neededBy.some((one) => neededBy.includes(one)))
    .map((need) => ({ need, sighting: look(need.probe) }));
}

/** Those that are required and were not found. What could not be tried is not among them. */
export function lacking(found: readonly Found[]): readonly Found[] {
  return found.filter(
    ({ need, sighting }) => need.level === "required" && (sighting.state === "missing" || sighting.state === "unknown"),
  );
}

/** The command, or the advice, that brings a thing. */
export function cureText(cure: Cure): string {
  switch (cure.kind) {
    case "package":
      return `apt-get install --no-install-recommends ${cure.name}`;
    case "command":
      return cure.argv.join(" ");
    case "advice":
      return cure.text;
  }
}

/**
 * Refuses early: throws PB6904 when the machine lacks something that one of these commands needs.
 *
 * A command calls it before it changes anything.
 */
export function requireNeeds(...neededBy: readonly NeededBy[]): void {
  const missing = lacking(check(neededBy));
  if (missing.length === 0) return;
  const names = missing.map(({ need }) => `${need.name} (${need.why})`).join(", ");
  throw new Fault("PB6904", `This machine lacks ${names}.`, {
    cure: "Run `./patchbay setup` as root; `./patchbay setup --check` tells what it would do.",
    data: { missing: missing.map(({ need }) => need.name) },
  });
}
