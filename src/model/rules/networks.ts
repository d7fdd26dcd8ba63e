import { nearMiss } from "../near-miss.ts";
import { networkPath, placedNetworks } from "../networks/network.ts";
import { networkKinds } from "../networks/registry.ts";
import type { Problem } from "./problem.ts";
import { interfacePath, interfacesOf, networksOf, problemAt, type Subject } from "./subject.ts";

/** More interfaces, networks, disks or volumes than this are refused. */
export const LONGEST_LIST = 256;

/** What the networks are, and how networks and interfaces belong together. */
export function judgeNetworks(subject: Subject): Problem[] {
  const placed = placedNetworks(subject);
  return [
    ...lengths(subject),
    ...oneSource(subject),
    ...networkKinds.flatMap((kind) => {
      const own = placed.filter(({ network }) => network[kind.field] !== undefined);
      return own.length === 0 ? [] : kind.rules(subject, own);
    }),
    ...uniqueNames(subject),
    ...eachHasInterface(subject),
    ...eachHasNetwork(subject),
  ];
}

function lengths(subject: Subject): Problem[] {
  const { devices } = subject.spec.domain;
  const lists = [
    { code: "PB2001", at: ["domain", "devices", "interfaces"], what: "interfaces", list: devices.interfaces },
    { code: "PB2002", at: ["networks"], what: "networks", list: subject.spec.networks },
    { code: "PB2419", at: ["domain", "devices", "disks"], what: "disks", list: devices.disks },
    { code: "PB2419", at: ["volumes"], what: "volumes", list: subject.spec.volumes },
  ] as const;
  return lists.flatMap(({ code, at, what, list = [] }) => {
    if (list.length <= LONGEST_LIST) return [];
    const message = `There are ${list.length} ${what}.`;
    return [problemAt(subject, at, { code, type: "FieldValueInvalid", message, cure: `Use at most ${LONGEST_LIST}.` })];
  });
}

function oneSource(subject: Subject): Problem[] {
  const fields = networkKinds.map(({ field }) => field);
  return placedNetworks(subject).flatMap(({ network, index }) => {
    const sources = fields.filter((field) => network[field] !== undefined);
    if (sources.length === 1) return [];
    const none = sources.length === 0;
    return [
      problemAt(subject, networkPath(index), {
        code: none ? "PB2004" : "PB2005",
        type: "FieldValueRequired",
        message: none
          ? `The network "${network.name}" does not say what it is.`
          : `The network "${network.name}" is several things: ${sources.join(", ")}.`,
        cure: none ? "Add pod: {} or multus: {networkName: …}." : "Keep one of them.",
      }),
    ];
  });
}

function uniqueNames(subject: Subject): Problem[] {
  const seen = new Set<string>();
  return placedNetworks(subject).flatMap(({ network: { name }, index }) => {
    const again = seen.has(name);
    seen.add(name);
    if (!again) return [];
    return [
      problemAt(subject, [...networkPath(index), "name"], {
        code: "PB2015",
        type: "FieldValueDuplicate",
        message: `An earlier network is named "${name}" as well.`,
        cure: "Give each network a name of its own.",
      }),
    ];
  });
}

function eachHasInterface(subject: Subject): Problem[] {
  const names = new Set(interfacesOf(subject.spec).map((nic) => nic.name));
  return placedNetworks(subject).flatMap(({ network: { name }, index }) => {
    if (names.has(name)) return [];
    return [
      problemAt(subject, [...networkPath(index), "name"], {
        code: "PB2016",
        type: "FieldValueRequired",
        message: `No interface uses the network "${name}".`,
        ...(names.size === 0 ? {} : { expected: `one of ${[...names].join(", ")}` }),
        cure:
          meant(name, names) ?? `Add an interface of this name to domain.devices.interfaces, or remove the network.`,
      }),
    ];
  });
}

function eachHasNetwork(subject: Subject): Problem[] {
  const names = new Set(networksOf(subject.spec).map((network) => network.name));
  return interfacesOf(subject.spec).flatMap(({ name }, index) => {
    if (names.has(name)) return [];
    return [
      problemAt(subject, [...interfacePath(index), "name"], {
        code: "PB2017",
        type: "FieldValueInvalid",
        message: `There is no network "${name}" for this interface.`,
        ...(names.size === 0 ? {} : { expected: `one of ${[...names].join(", ")}` }),
        cure: meant(name, names) ?? "Add a network of this name to networks, such as {name, pod: {}}.",
      }),
    ];
  });
}

function meant(name: string, names: Iterable<string>): string | undefined {
  const near = nearMiss(name, names);
  return near === undefined ? undefined : `Did you mean "${near}"?`;
}
