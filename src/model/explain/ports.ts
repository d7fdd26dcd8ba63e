import type { Forward } from "../wiring/wiring.ts";
import { listed } from "./claim.ts";

/** `tcp 80, 443 and udp 53`. */
export function portsText(ports: readonly Forward[]): string {
  const of = (protocol: Forward["protocol"]): string[] => {
    const numbers = ports
      .filter((forward) => forward.protocol === protocol)
      .map(({ port, last }) => (last === undefined || last === port ? `${port}` : `${port}–${last}`));
    return numbers.length === 0 ? [] : [`${protocol} ${[...new Set(numbers)].join(", ")}`];
  };
  return listed([...of("tcp"), ...of("udp")]);
}
