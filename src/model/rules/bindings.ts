import { bindings } from "../bindings/registry.ts";
import { nearMiss } from "../near-miss.ts";
import type { Problem } from "./problem.ts";
import { type Nic, nicProblem, type Subject } from "./subject.ts";

/** The bindings that an interface names. */
export function bindingsOf(nic: Nic): string[] {
  return bindings.map(({ field }) => field).filter((field) => nic.nic[field] !== undefined);
}

/** How each interface is connected. */
export function judgeBindings(nics: readonly Nic[]): Problem[] {
  return nics.flatMap((nic) => [
    ...bindings.filter(({ field }) => nic.nic[field] !== undefined).flatMap((binding) => binding.rules(nic)),
    ...exactlyOne(nic),
  ]);
}

/** A plugin beside another binding was refused ever since; KubeVirt 1.9 refuses what came to nothing, or to luck, before. */
function exactlyOne(nic: Nic): Problem[] {
  const used = bindingsOf(nic);
  if (used.length === 1) return [];
  if (nic.nic.binding !== undefined) {
    const others = used.filter((field) => field !== "binding");
    return [
      nicProblem(nic, ["binding"], {
        code: "PB2055",
        type: "FieldValueInvalid",
        message: `The interface "${nic.nic.name}" has both a binding plugin and ${others.join(", ")}.`,
        cure: "Keep one of them.",
      }),
    ];
  }
  return [
    nicProblem(nic, [], {
      code: "PB2070",
      type: "FieldValueInvalid",
      message:
        used.length === 0
          ? `The interface "${nic.nic.name}" does not say how it is connected.`
          : `The interface "${nic.nic.name}" is connected in several ways: ${used.join(", ")}.`,
      cure:
        used.length === 0
          ? "Add one of masquerade: {}, bridge: {}, sriov: {}, or a binding plugin."
          : "Keep one of them.",
      stricter: true,
    }),
  ];
}

/** Unplugging and the state of the link. */
export function judgeStates(subject: Subject, nics: readonly Nic[]): Problem[] {
  const states = subject.profile === "v1.1" ? ["absent"] : ["absent", "up", "down"];
  const primary = (subject.spec.networks ?? []).find(
    (network) => network.pod !== undefined || network.multus?.default === true,
  );
  return nics.flatMap((nic): Problem[] => {
    const { name, state, bridge, sriov } = nic.nic;
    if (state === undefined) return [];
    const refuse = (code: "PB2053" | "PB2054" | "PB2056", message: string, cure: string): Problem =>
      nicProblem(nic, ["state"], { code, type: "FieldValueInvalid", message, cure });
    if (!states.includes(state)) {
      const near = nearMiss(state, states);
      const known = `one of ${states.join(", ")}`;
      return [
        nicProblem(nic, ["state"], {
          code: "PB2052",
          type: "FieldValueInvalid",
          message: `The state "${state}" of the interface "${name}" is not known.`,
          expected: known,
          cure: `${near === undefined ? "" : `Did you mean "${near}"? `}Use ${known}, or leave state out.`,
        }),
      ];
    }
    if (state !== "absent") {
      if (sriov === undefined) return [];
      return [
        refuse("PB2056", `The link of the sriov interface "${name}" cannot be set ${state}.`, "Leave state out."),
      ];
    }
    return [
      ...(bridge === undefined
        ? [refuse("PB2053", `The interface "${name}" is absent and not of bridge binding.`, "Leave state out.")]
        : []),
      ...(primary?.name === name
        ? [refuse("PB2054", `The interface "${name}" is absent and on the primary network.`, "Leave state out.")]
        : []),
    ];
  });
}
