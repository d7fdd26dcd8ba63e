import { type Forward, PASST_LAST_PORT, type PasstPorts, type PortRun } from "../wiring/wiring.ts";
import { listed } from "./claim.ts";

/** `tcp 80, 443 and udp 53`. */
export function portsText(ports: readonly Forward[]): string {
  const of = (protocol: Forward["protocol"]): string[] => {
    const numbers = ports.filter((forward) => forward.protocol === protocol).map(runText);
    return numbers.length === 0 ? [] : [`${protocol} ${[...new Set(numbers)].join(", ")}`];
  };
  return listed([...of("tcp"), ...of("udp")]);
}

/** `every TCP and UDP port to 49151`, `tcp 1–14999, 15002–49151`. */
export function listenedText({ tcp, udp }: PasstPorts): string {
  if (tcp === "all" && udp === "all") return `every TCP and UDP port to ${PASST_LAST_PORT}`;
  const all: readonly PortRun[] = [{ port: 1, last: PASST_LAST_PORT }];
  const of = (protocol: string, ports: PasstPorts["tcp"]): string[] => {
    const runs = (ports === "all" ? all : ports).map(runText);
    return runs.length === 0 ? [] : [`${protocol} ${runs.join(", ")}`];
  };
  return listed([...of("tcp", tcp), ...of("udp", udp)]) || "no port";
}

function runText({ port, last }: PortRun): string {
  return last === undefined || last === port ? `${port}` : `${port}–${last}`;
}
