import { type Finding, findingAt } from "../manifest/finding.ts";
import { nearMiss } from "../near-miss.ts";
import { type CniSource, placedPlugins } from "./cni-source.ts";
import type { Instance, InstanceNetwork, Run } from "./run.ts";

const GENIE = "genie";

/**
 * What genie networks need of the CNI configuration folder: Genie's own configuration as the first file (PB2704, PB2705)
 * and one of each type that is named (PB2706); and that a cluster has Genie or Multus (PB2707).
 */
export function genieFindings(run: Run): Finding[] {
  const users = run.instances.flatMap((instance) => {
    const networks = instance.networks.filter(({ kind }) => kind === "genie");
    const [first] = networks;
    return first === undefined ? [] : [{ instance, networks, first }];
  });
  if (users.length === 0) return [];
  const files = run.sources.filter(({ definition }) => definition === undefined);
  const types = new Set(files.flatMap(typesOf));
  return [
    ...[...Map.groupBy(files, ({ file }) => folderOf(file)).values()].flatMap(notFirst),
    ...users.flatMap(({ instance, networks, first }) => [
      ...(types.has(GENIE) ? [] : [absent(instance, first)]),
      ...(files.length === 0 ? [] : networks.flatMap((network) => unknownType(instance, network, types))),
      ...besideMultus(run, instance, first),
    ]),
  ];
}

const typesOf = (source: CniSource): string[] => placedPlugins(source).map(({ plugin }) => plugin.type);
const folderOf = (file: string): string => file.slice(0, file.lastIndexOf("/") + 1);
const baseOf = (file: string): string => file.slice(file.lastIndexOf("/") + 1);

/** The file whose name sorts first is the cluster's network (libcni). */
function notFirst(folder: readonly CniSource[]): Finding[] {
  const usable = folder
    .filter(({ network }) => network !== undefined)
    .toSorted((one, other) => (baseOf(one.file) < baseOf(other.file) ? -1 : 1));
  const [first] = usable;
  const own = usable.find((source) => typesOf(source).includes(GENIE));
  if (first === undefined || own === undefined || own === first) return [];
  const at = placedPlugins(own).find(({ plugin }) => plugin.type === GENIE)?.at ?? [];
  return [
    own.finding([...at, "type"], {
      code: "PB2704",
      severity: "error",
      message: `Genie's configuration ${baseOf(own.file)} comes after ${baseOf(first.file)}: the first file of the folder is the cluster's network, so that Genie is never asked.`,
      hint: "Rename it so that it sorts first, such as 00-genie.conf.",
    }),
  ];
}

const nameAt = ({ at }: InstanceNetwork): (string | number)[] => [...at, GENIE, "networkName"];

function absent({ document }: Instance, network: InstanceNetwork): Finding {
  return findingAt(document, nameAt(network), {
    code: "PB2705",
    severity: "info",
    message: `The network "${network.name}" needs CNI-Genie, and no configuration of the type "${GENIE}" is among the files.`,
    hint: "The cluster must have it, as the first file of the CNI configuration folder.",
  });
}

function unknownType({ document }: Instance, network: InstanceNetwork, types: ReadonlySet<string>): Finding[] {
  if (network.networkName === "" || types.has(network.networkName)) return [];
  const known = [...types].filter((type) => type !== GENIE);
  const near = nearMiss(network.networkName, known);
  return [
    findingAt(document, nameAt(network), {
      code: "PB2706",
      severity: "warning",
      message: `The network "${network.name}" asks for the CNI type "${network.networkName}", which no CNI configuration among the files has.`,
      ...(known.length === 0 ? {} : { expected: `one of ${known.toSorted().join(", ")}` }),
      hint: near === undefined ? "Add a configuration of that type to the folder." : `Did you mean "${near}"?`,
    }),
  ];
}

function besideMultus(
  { instances, definitions, operatorMade, sources }: Run,
  user: Instance,
  first: InstanceNetwork,
): Finding[] {
  const other = instances.find(
    ({ document, networks }) => document !== user.document && networks.some(({ kind }) => kind === "multus"),
  );
  const [definition] = [...definitions.keys(), ...operatorMade.keys()];
  const file = sources.find((source) => source.definition === undefined && typesOf(source).includes("multus"));
  const what =
    other?.name ??
    (definition === undefined ? undefined : `the NetworkAttachmentDefinition ${definition}`) ??
    (file === undefined ? undefined : `the CNI configuration ${file.file}`);
  if (what === undefined) return [];
  return [
    findingAt(user.document, nameAt(first), {
      code: "PB2707",
      severity: "warning",
      message: `The network "${first.name}" needs CNI-Genie, and ${what} needs Multus: each wants to be the first CNI configuration, so that a cluster has one of them only.`,
      hint: "Use multus networks throughout, or apply the two to different clusters.",
    }),
  ];
}
