import type { Problem } from "../rules/problem.ts";
import { problemAt, type Subject } from "../rules/subject.ts";
import { type NetworkKind, networkPath, type Placed, placedNetworks } from "./network.ts";
import { hashedInterface, PRIMARY_INTERFACE } from "./pod-interface.ts";

export const multus: NetworkKind = {
  field: "multus",
  needs: (network, namespace) =>
    network.kind !== "multus"
      ? []
      : [
          { what: "add-on", name: "Multus", phrase: "Multus" },
          {
            what: "definition",
            name: qualifiedName(network.networkName, namespace),
            phrase: `the NetworkAttachmentDefinition ${qualifiedName(network.networkName, namespace)}`,
          },
        ],
  connect({ name, multus: given }) {
    if (given === undefined) return undefined;
    const primary = given.default === true;
    return {
      network: { kind: "multus", networkName: given.networkName, default: primary },
      podInterface: primary ? PRIMARY_INTERFACE : hashedInterface(name),
    };
  },
  rules: (subject, own) => [...named(subject, own), ...oneDefault(subject, own)],
};

function named(subject: Subject, own: readonly Placed[]): Problem[] {
  const nameless = own.filter(({ network }) => network.multus?.networkName === "");
  // KubeVirt 1.8 names the first one only.
  return nameless.slice(0, subject.profile === "v1.1" ? undefined : 1).map(({ network, index }) =>
    problemAt(subject, networkPath(index), {
      code: "PB2006",
      type: "FieldValueRequired",
      message: `The multus network "${network.name}" names no NetworkAttachmentDefinition.`,
      cure: "Add networkName: the definition's name, or namespace/name.",
    }),
  );
}

function oneDefault(subject: Subject, own: readonly Placed[]): Problem[] {
  const primary = own.filter(({ network }) => network.multus?.default === true);
  const [first, second] = primary;
  const refuse = (code: "PB2007" | "PB2008", index: number, message: string, cure: string): Problem => ({
    ...problemAt(subject, [...networkPath(index), "multus", "default"], {
      code,
      type: "FieldValueInvalid",
      message,
      cure,
    }),
    field: problemAt(subject, ["networks"], { code, type: "FieldValueInvalid", message }).field,
  });
  const problems: Problem[] = [];
  if (second !== undefined) {
    const message = `${primary.length} multus networks are the default, and a pod has one primary network.`;
    problems.push(refuse("PB2007", second.index, message, "Keep default: true on one of them."));
  }
  if (first !== undefined && placedNetworks(subject).some(({ network }) => network.pod !== undefined)) {
    const message = `The multus network "${first.network.name}" is the default, and there is a pod network as well.`;
    problems.push(refuse("PB2008", first.index, message, "Remove the pod network, or default: true."));
  }
  return problems;
}

/** `namespace/name` of a definition; without a namespace of its own it is in the VMI's. */
export function qualifiedName(networkName: string, namespace: string): string {
  return networkName.includes("/") ? networkName : `${namespace}/${networkName}`;
}
