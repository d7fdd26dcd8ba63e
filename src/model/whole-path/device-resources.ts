import { isJsonObject, objectAt } from "../json.ts";
import { type Finding, findingAt } from "../manifest/finding.ts";
import { RESOURCE_NAME } from "../networks/attachment-definitions.ts";
import { cureOf } from "../pods/device-resources.ts";
import type { Instance, InstanceNetwork, Run } from "./run.ts";

/**
 * Networks whose definition claims a device of a resource that no node offers (PB6121), or of which no node has as many as
 * the instance's networks claim (PB6122). Nothing is said where the run has no Node.
 */
export function resourceFindings(run: Run): Finding[] {
  const nodes = run.documents.filter(({ value }) => value["kind"] === "Node");
  if (nodes.length === 0) return [];
  // A pod is on one node: what another has is no help.
  const offered = new Map<string, number>();
  for (const { value } of nodes) {
    const status = value["status"];
    for (const [name, count] of Object.entries(objectAt(isJsonObject(status) ? status : {}, "allocatable"))) {
      if (name.includes("/")) offered.set(name, Math.max(offered.get(name) ?? 0, Number(count)));
    }
  }
  const claimable = [...offered].flatMap(([name, count]) => (count === 0 ? [] : [name]));
  return run.instances.flatMap(({ document, networks }) => {
    const claimed = new Map<string, number>();
    return networks.flatMap((network) => {
      const definition = network.definition ?? "";
      const resource = (run.definitions.get(definition) ?? run.operatorMade.get(definition))?.resourceName;
      if (resource === undefined) return [];
      const count = (claimed.get(resource) ?? 0) + 1;
      claimed.set(resource, count);
      const most = offered.get(resource) ?? 0;
      if (most > 0) return count === most + 1 ? [tooMany(document, network, resource, most)] : [];
      const lack = offered.has(resource) ? "no node has a device of it" : "no node offers it";
      return [
        findingAt(document, [...network.at, "multus", "networkName"], {
          code: "PB6121",
          severity: "error",
          message: `The definition ${network.definition} claims a device of ${resource} for each pod, and ${lack}.`,
          expected:
            claimable.length === 0
              ? `the annotation ${RESOURCE_NAME} of a resource that a node offers`
              : `one of ${claimable.join(", ")}`,
          hint: cureOf(resource, claimable),
        }),
      ];
    });
  });
}

/** At the first network for which no device can be left. */
function tooMany(document: Instance["document"], network: InstanceNetwork, resource: string, most: number): Finding {
  return findingAt(document, [...network.at, "multus", "networkName"], {
    code: "PB6122",
    severity: "error",
    message: `The network ${network.name} claims one device of ${resource} too many: no node has more than ${most}.`,
    hint: "Make more devices of it, or claim fewer.",
  });
}
