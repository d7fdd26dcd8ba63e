import { Fault } from "../fault.ts";

/**
 * The newest versioned q35 of those that QEMU offers, or the one that was asked for where it is versioned.
 *
 * @throws Fault PB5050
 */
export function chooseMachine(offered: readonly string[], wanted: string | undefined): string {
  const q35 = offered
    .flatMap((name) => {
      const match = /^pc-q35-(\d+(?:\.\d+)+)$/.exec(name);
      return match?.[1] === undefined ? [] : [{ name, version: match[1].split(".").map(Number) }];
    })
    .sort((a, b) => compareVersions(b.version, a.version));
  const newest = q35[0];
  if (wanted !== undefined && wanted !== "" && wanted !== "q35") {
    if (q35.some(({ name }) => name === wanted)) return wanted;
    const some = q35.slice(0, 3).map(({ name }) => name);
    throw new Fault("PB5050", `QEMU on this node has no machine type ${wanted}.`, {
      cure: `Leave the machine type out, or use q35${some.length === 0 ? "" : ` or one of ${some.join(", ")}`}.`,
      place: "spec.domain.machine.type",
    });
  }
  if (newest === undefined) {
    throw new Fault("PB5050", "QEMU on this node offers no versioned q35 machine type.", {
      cure: "Install Debian's qemu-system-x86: ./patchbay setup",
    });
  }
  return newest.name;
}

function compareVersions(a: readonly number[], b: readonly number[]): number {
  for (let index = 0; index < Math.max(a.length, b.length); index += 1) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
