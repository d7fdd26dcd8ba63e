import type { FieldPath } from "../api/field-path.ts";
import { type Finding, findingAt } from "../manifest/finding.ts";
import { nearMiss } from "../near-miss.ts";
import { qualifiedName } from "../networks/multus.ts";
import type { Instance, Run } from "./run.ts";

/** Definitions that networks and binding plugins name, and that are not there (PB2701), or are there twice (PB2703). */
export function definitionFindings(run: Run, complete: boolean): Finding[] {
  return run.instances.flatMap((instance) => [
    ...instance.networks.flatMap(({ name, at, definition }) =>
      definition === undefined
        ? []
        : missing(run, complete, instance, [...at, "multus", "networkName"], `The network "${name}"`, definition),
    ),
    ...instance.nics.flatMap(({ at, plugin }) => {
      const named = plugin === undefined ? undefined : run.plugins.get(plugin)?.networkAttachmentDefinition;
      if (plugin === undefined || named === undefined || named === "") return [];
      const definition = qualifiedName(named, instance.namespace);
      return missing(run, complete, instance, [...at, "binding", "name"], `The binding plugin "${plugin}"`, definition);
    }),
    ...usedTwice(instance),
  ]);
}

const MOST_LISTED = 10;

function missing(
  run: Run,
  complete: boolean,
  { document }: Instance,
  at: FieldPath,
  who: string,
  definition: string,
): Finding[] {
  if (run.definitions.has(definition) || run.operatorMade.has(definition)) return [];
  const known = [...run.definitions.keys(), ...run.operatorMade.keys()];
  const near = nearDefinition(definition, known);
  return [
    findingAt(document, at, {
      code: "PB2701",
      severity: complete ? "error" : known.length > 0 ? "warning" : "info",
      message: `${who} names the NetworkAttachmentDefinition ${definition}, which is ${complete ? "nowhere" : "not among the files"}.`,
      ...(known.length > 0 && known.length <= MOST_LISTED ? { expected: `one of ${known.toSorted().join(", ")}` } : {}),
      hint:
        near ??
        (complete ? "Apply it first." : "The cluster must have it; name its file as well, and it is checked too."),
    }),
  ];
}

/** The same name in another namespace, else a similar one, of this namespace first. */
function nearDefinition(definition: string, known: readonly string[]): string | undefined {
  const [namespace = "", name = ""] = definition.split("/");
  const own = known.filter((one) => one.startsWith(`${namespace}/`));
  const elsewhere = known.find((one) => one.endsWith(`/${name}`));
  if (elsewhere !== undefined) {
    return `It is there in another namespace: write "${elsewhere}", or move it to ${namespace}.`;
  }
  const similar =
    nearMiss(
      name,
      own.map((one) => one.slice(namespace.length + 1)),
    ) ?? nearMiss(definition, known);
  return similar === undefined ? undefined : `Did you mean "${similar}"?`;
}

function usedTwice({ document, networks }: Instance): Finding[] {
  const first = new Map<string, string>();
  return networks.flatMap(({ name, at, definition }) => {
    if (definition === undefined) return [];
    const other = first.get(definition);
    if (other === undefined) {
      first.set(definition, name);
      return [];
    }
    return [
      findingAt(document, [...at, "multus", "networkName"], {
        code: "PB2703",
        severity: "warning",
        message: `The networks "${other}" and "${name}" both use the definition ${definition}: the pod is attached to it twice, each time with a link, a MAC and addresses of its own.`,
        hint: "Keep one of them, unless the guest is to have two NICs on the same network.",
      }),
    ];
  });
}
