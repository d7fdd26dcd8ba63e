import type { CauseType, Problem, RuleCode } from "../rules/problem.ts";
import { interfacesOf, problemAt, type Subject } from "../rules/subject.ts";
import { type NetworkKind, networkPath, type Placed, placedNetworks } from "./network.ts";
import { hashedInterface } from "./pod-interface.ts";

export const resourceClaim: NetworkKind = {
  field: "resourceClaim",
  needs: (network) =>
    network.kind !== "resourceClaim"
      ? []
      : [
          { what: "gate", name: "NetworkDevicesWithDRA", phrase: "the feature gate NetworkDevicesWithDRA" },
          {
            what: "device",
            name: `${network.claimName}/${network.requestName}`,
            phrase: `a device for the request ${network.requestName} of the claim ${network.claimName}`,
          },
        ],
  connect({ name, resourceClaim: given }) {
    if (given === undefined) return undefined;
    const { claimName = "", requestName = "" } = given;
    return { network: { kind: "resourceClaim", claimName, requestName }, podInterface: hashedInterface(name) };
  },
  rules(subject, own) {
    const first = own[0]?.index ?? 0;
    const whole = (code: RuleCode, message: string, cure: string): Problem[] => [
      {
        ...problemAt(subject, [...networkPath(first), "resourceClaim"], {
          code,
          type: "FieldValueInvalid",
          message,
          cure,
        }),
        field: problemAt(subject, ["networks"], { code, type: "FieldValueInvalid", message }).field,
      },
    ];
    if (!subject.settings.gates.has("NetworkDevicesWithDRA")) {
      return whole(
        "PB2082",
        "A network is a resource claim, and the feature gate NetworkDevicesWithDRA is not open.",
        "Add NetworkDevicesWithDRA to spec.configuration.developerConfiguration.featureGates of the KubeVirt resource.",
      );
    }
    if (placedNetworks(subject).some(({ network }) => network.multus !== undefined)) {
      return whole("PB2083", "A resource claim stands beside a multus network.", "Use one kind for all networks.");
    }
    return [...connected(subject, own), ...own.flatMap((placed) => named(subject, placed)), ...usedOnce(subject, own)];
  },
};

function connected(subject: Subject, own: readonly Placed[]): Problem[] {
  const names = new Set(own.map(({ network }) => network.name));
  return interfacesOf(subject.spec).flatMap((nic, index) => {
    if (!names.has(nic.name) || nic.sriov !== undefined || nic.binding !== undefined) return [];
    const message = `The interface "${nic.name}" is on a resource claim and neither sriov nor a binding plugin.`;
    const problem = problemAt(subject, ["domain", "devices", "interfaces", index], {
      code: "PB2084",
      type: "FieldValueInvalid",
      message,
      cure: "Use sriov or a binding plugin.",
    });
    return [{ ...problem, field: problem.field.replace(/\[\d+\]$/, "") }];
  });
}

function named(subject: Subject, { network, index }: Placed): Problem[] {
  const { claimName = "", requestName = "" } = network.resourceClaim ?? {};
  const known = (subject.spec.resourceClaims ?? []).map((claim) => claim["name"]);
  const refuse = (code: RuleCode, type: CauseType, key: string, message: string, cure: string): Problem =>
    problemAt(subject, [...networkPath(index), "resourceClaim", key], { code, type, message, cure });
  const claim = `the network "${network.name}"`;
  const problems: Problem[] = [];
  if (claimName === "") {
    problems.push(refuse("PB2085", "FieldValueRequired", "claimName", `claimName of ${claim} is missing.`, "Add it."));
  } else if (!known.includes(claimName)) {
    const message = `The claim "${claimName}" of ${claim} is not in resourceClaims.`;
    problems.push(refuse("PB2087", "FieldValueNotFound", "claimName", message, "Add it to spec.resourceClaims."));
  }
  if (requestName === "") {
    const message = `requestName of ${claim} is missing.`;
    problems.push(refuse("PB2086", "FieldValueRequired", "requestName", message, "Add it."));
  }
  return problems;
}

function usedOnce(subject: Subject, own: readonly Placed[]): Problem[] {
  const { gpus = [], hostDevices = [] } = subject.spec.domain.devices;
  const pair = (claim: unknown, request: unknown): string => JSON.stringify([claim, request]);
  const seen = new Set([...gpus, ...hostDevices].map((device) => pair(device["claimName"], device["requestName"])));
  return own.flatMap(({ network, index }) => {
    const { claimName = "", requestName = "" } = network.resourceClaim ?? {};
    if (claimName === "" || requestName === "") return [];
    const key = pair(claimName, requestName);
    const again = seen.has(key);
    seen.add(key);
    const message = `The request "${requestName}" of the claim "${claimName}" is used twice.`;
    return again
      ? [
          problemAt(subject, networkPath(index), {
            code: "PB2088",
            type: "FieldValueDuplicate",
            message,
            cure: "Use each request once.",
          }),
        ]
      : [];
  });
}
