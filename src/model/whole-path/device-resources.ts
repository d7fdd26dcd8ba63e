import { isJsonObject, objectAt } from "../json.ts";
import { type Finding, findingAt } from "../manifest/finding.ts";
import { RESOURCE_NAME } from "../networks/attachment-definitions.ts";
import { cureOf } from "../pods/device-resources.ts";
import type { Run } from "./run.ts";

/**
 * Networks whose definition claims a device of a resource that no node offers (PB6121). Nothing is said where the run
 * has no Node.
 */
export function resourceFindings(run: Run): Finding[] {
  const nodes = run.documents.filter(({ value }) => value["kind"] === "Node");
  if (nodes.length === 0) return [];
  const offered = new Map(
    nodes.flatMap(({ value }) => {
      const status = value["status"];
      return Object.entries(objectAt(isJsonObject(status) ? status : {}, "allocatable"));
    }),
  );
  const claimable = [...offered].flatMap(([name, count]) =>
    name.includes("/") && String(count) !== "0" ? [name] : [],
  );
  return run.instances.flatMap(({ document, networks }) =>
    networks.flatMap((network) => {
      const resource = run.definitions.get(network.definition ?? "")?.resourceName;
      if (resource === undefined || claimable.includes(resource)) return [];
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
    }),
  );
}
