import type { Port } from "../api/interfaces.ts";
import type { Problem } from "./problem.ts";
import { asLabel, respelt } from "./respelt.ts";
import { type Nic, nicProblem, type Subject } from "./subject.ts";

const PROTOCOLS = ["TCP", "UDP"];
/** Longest IANA service name. */
const LONGEST_NAME = 15;

/** The ports of interfaces on the pod network; KubeVirt does not look at those of others. */
export function judgePorts(subject: Subject, nics: readonly Nic[]): Problem[] {
  // KubeVirt 1.1 wanted names unique in the whole VMI, later ones in each interface.
  const shared = new Set<string>();
  return nics.flatMap((nic) => {
    if (nic.network?.pod === undefined) return [];
    const seen = subject.profile === "v1.1" ? shared : new Set<string>();
    return (nic.nic.ports ?? []).flatMap((port, index) => [
      ...portName(nic, port, index, seen),
      ...portNumber(nic, port, index),
      ...protocol(nic, port, index),
    ]);
  });
}

function portName(nic: Nic, { name }: Port, index: number, seen: Set<string>): Problem[] {
  if (name === undefined) return [];
  const again = seen.has(name);
  seen.add(name);
  const at = ["ports", index, "name"];
  return [
    ...(again
      ? [
          nicProblem(nic, at, {
            code: "PB2041",
            type: "FieldValueDuplicate",
            message: `An earlier port is named "${name}" as well.`,
            cure: "Give each port a name of its own, or none.",
          }),
        ]
      : []),
    ...(isServiceName(name)
      ? []
      : [
          nicProblem(nic, at, {
            code: "PB2042",
            type: "FieldValueInvalid",
            message: `"${name}" is no port name.`,
            cure: `${respelt([asLabel(name), asLabel(name).slice(0, LONGEST_NAME)], isServiceName)}Use 1 to 15 small letters, digits and dashes, with at least one letter and no dash at an end or beside another.`,
          }),
        ]),
  ];
}

/** RFC 6335 section 5.1, small letters only. */
export function isServiceName(name: string): boolean {
  return (
    name.length <= LONGEST_NAME &&
    /^[a-z0-9-]+$/.test(name) &&
    /[a-z]/.test(name) &&
    !name.includes("--") &&
    !name.startsWith("-") &&
    !name.endsWith("-")
  );
}

function portNumber(nic: Nic, { port }: Port, index: number): Problem[] {
  const at = ["ports", index];
  if (port === 0) {
    const message = `Port ${index} of the interface "${nic.nic.name}" has no number.`;
    return [
      nicProblem(nic, at, { code: "PB2037", type: "FieldValueRequired", message, cure: "Add port: 1 to 65535." }),
    ];
  }
  if (port < 0) {
    const message = `The port ${port} of the interface "${nic.nic.name}" is negative.`;
    return [nicProblem(nic, at, { code: "PB2038", type: "FieldValueInvalid", message, cure: "Use 1 to 65535." })];
  }
  if (port <= 65535) return [];
  return [
    nicProblem(nic, at, {
      code: "PB2039",
      type: "FieldValueInvalid",
      message: `The port ${port} of the interface "${nic.nic.name}" is too large.`,
      cure: "Use 1 to 65535.",
      // KubeVirt counts one too far.
      ...(port === 65536 ? { stricter: true as const } : {}),
    }),
  ];
}

function protocol(nic: Nic, port: Port, index: number): Problem[] {
  const name = port.protocol;
  if (name === undefined || PROTOCOLS.includes(name)) return [];
  const capitals = name.toUpperCase();
  return [
    nicProblem(nic, ["ports", index, "protocol"], {
      code: "PB2040",
      type: "FieldValueInvalid",
      message: `The protocol "${name}" cannot be forwarded.`,
      cure: PROTOCOLS.includes(capitals) ? `Write it in capitals: ${capitals}.` : "Use TCP or UDP.",
    }),
  ];
}
