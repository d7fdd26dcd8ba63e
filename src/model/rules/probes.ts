import type { Problem } from "./problem.ts";
import { interfacesOf, networksOf, problemAt, type Subject } from "./subject.ts";

const HANDLERS = ["httpGet", "tcpSocket", "exec", "guestAgentPing"] as const;
const CODES = {
  readinessProbe: { httpGet: "PB2060", tcpSocket: "PB2061" },
  livenessProbe: { httpGet: "PB2062", tcpSocket: "PB2063" },
} as const;

/** Probes: one way of probing each, and the pod network for those that connect. */
export function judgeProbes(subject: Subject): Problem[] {
  return [...judgeProbe(subject, "readinessProbe"), ...judgeProbe(subject, "livenessProbe")];
}

function judgeProbe(subject: Subject, key: keyof typeof CODES): Problem[] {
  const probe = subject.spec[key];
  if (probe === undefined) return [];
  const used = HANDLERS.filter((handler) => probe[handler] !== undefined);
  const problems: Problem[] = [];
  if (used.length === 0) {
    const message = `${key} does not say how to probe.`;
    const cure = `Add one of ${HANDLERS.join(", ")}.`;
    problems.push(problemAt(subject, [key], { code: "PB2407", type: "FieldValueRequired", message, cure }));
  }
  if (used.length > 1) {
    const message = `${key} probes in several ways: ${used.join(", ")}.`;
    problems.push(
      problemAt(subject, [key], { code: "PB2408", type: "FieldValueInvalid", message, cure: "Keep one of them." }),
    );
  }
  if (hasPodNetwork(subject)) return problems;
  for (const handler of ["httpGet", "tcpSocket"] as const) {
    if (probe[handler] === undefined) continue;
    problems.push(
      problemAt(subject, [key, handler], {
        code: CODES[key][handler],
        type: "FieldValueInvalid",
        message: `${key}.${handler} connects by the pod network, and the VMI has none.`,
        cure: "Add an interface on the pod network, or use guestAgentPing or exec.",
      }),
    );
  }
  return problems;
}

/** KubeVirt 1.1 looked for an interface on it, later ones for the network. */
function hasPodNetwork(subject: Subject): boolean {
  const names = new Set(interfacesOf(subject.spec).map((nic) => nic.name));
  return networksOf(subject.spec).some(
    (network) => network.pod !== undefined && (subject.profile !== "v1.1" || names.has(network.name)),
  );
}
