import { type FieldPath, valueAt } from "../api/field-path.ts";
import { isMeshed, PROXY_PORTS } from "../bindings/masquerade-nat.ts";
import { isJsonObject } from "../json.ts";
import { type Finding, findingAt } from "../manifest/finding.ts";
import { objectsAt } from "../manifest/rewritten.ts";
import type { Instance, InstanceNic, Run } from "./run.ts";

/** Bindings under which the pod has connections of its own for a proxy to take. */
const GOES_WITH = new Set(["masquerade", "passt", "passtBinding", "binding"]);

/**
 * What does not go with a service mesh, in VMIs that ask for its proxy: a primary NIC whose connections no proxy sees
 * (PB2716), and listed ports that are the proxy's own (PB2717). Reference 9.10.
 */
export function meshFindings({ instances }: Run): Finding[] {
  return instances
    .filter(asksForProxy)
    .flatMap(({ document, nics }) =>
      nics.filter(isPrimary).flatMap((nic) => [...binding(document, nic), ...ports(document, nic)]),
    );
}

function asksForProxy({ document: { value } }: Instance): boolean {
  const root: FieldPath = value["kind"] === "VirtualMachine" ? ["spec", "template"] : [];
  const annotations = valueAt(value, [...root, "metadata", "annotations"]);
  const texts = Object.entries(isJsonObject(annotations) ? annotations : {}).filter(
    (entry): entry is [string, string] => typeof entry[1] === "string",
  );
  return isMeshed({ annotations: Object.fromEntries(texts) });
}

const isPrimary = ({ network }: InstanceNic): boolean => network?.kind === "pod" || network?.isDefault === true;

function binding(document: Instance["document"], { name, at, binding: used }: InstanceNic): Finding[] {
  if (used === undefined || GOES_WITH.has(used)) return [];
  return [
    findingAt(
      document,
      [...at, used],
      {
        code: "PB2716",
        severity: "warning",
        message: `The interface "${name}" uses ${used}, and the VMI asks for the proxy of a service mesh: the pod has no connection of the guest's that a proxy could take.`,
        expected: "masquerade",
        hint: "Use masquerade on this network, or remove the annotation sidecar.istio.io/inject.",
      },
      { part: "key" },
    ),
  ];
}

function ports(document: Instance["document"], { at, binding: used }: InstanceNic): Finding[] {
  if (used !== "masquerade" && used !== "passt") return [];
  const listed = [...at, "ports"];
  return objectsAt(valueAt(document.value, listed), listed).flatMap(({ item, at: place }) => {
    const { port } = item;
    if (typeof port !== "number" || !PROXY_PORTS.includes(port)) return [];
    return [
      findingAt(document, [...place, "port"], {
        code: "PB2717",
        severity: "warning",
        message: `Port ${port} belongs to the proxy of the service mesh that the VMI asks for, which listens there itself.`,
        hint: "Let the guest listen on another port.",
      }),
    ];
  });
}
