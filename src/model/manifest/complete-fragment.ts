import { valueAt } from "../api/field-path.ts";
import { isJsonObject, textAt } from "../json.ts";
import { asksForMemory } from "../rules/machine.ts";
import type { ManifestDocument } from "./document.ts";
import { type Finding, findingAt, type Statement } from "./finding.ts";
import { type Completed, type Origin, objectsAt, rewritten, withField } from "./rewritten.ts";

/** What a fragment's guest gets; enough for a small Linux guest. */
const FRAGMENT_MEMORY = "512Mi";
const API_VERSION = "kubevirt.io/v1";
const KIND = "VirtualMachineInstance";
/** Names of VMIs are also labels, which take 63; room is left for a number. */
const LONGEST_NAME = 50;

/**
 * Makes a whole VirtualMachineInstance of part of one: `kind: VM` with `spec.domain`, or a document that is only a list
 * `networks`. `names` are those that are taken; the one that is made up is added.
 */
export function completeFragment(document: ManifestDocument, names: Set<string>): Completed {
  const { value } = document;
  if (value["kind"] === "VM" && isJsonObject(value["spec"]) && isInstanceSpec(value["spec"])) {
    return completeInstance(document, names);
  }
  const keys = Object.keys(value);
  return keys.length === 1 && Array.isArray(value["networks"])
    ? completeNetworks(document, names)
    : { document, findings: [] };
}

/** The spec of an instance has its machine at the top, that of a VirtualMachine below `template`. */
function isInstanceSpec(spec: Readonly<Record<string, unknown>>): boolean {
  return isJsonObject(spec["domain"]) && spec["template"] === undefined;
}

function completeInstance(document: ManifestDocument, names: Set<string>): Completed {
  const { value } = document;
  const version = value["apiVersion"] === undefined ? { apiVersion: API_VERSION } : {};
  const named = withName({ ...version, ...value, kind: KIND }, document.file, names);
  const changes = [
    ...("apiVersion" in version ? [`apiVersion ${API_VERSION}`] : []),
    `kind ${KIND}`,
    ...(named.name === undefined ? [] : [`the name "${named.name}"`]),
  ];
  const message = `A "VM" with spec.domain at the top is read as an instance: it gets ${inWords(changes)}.`;
  const hint = `Write these; a VirtualMachine has the same below spec.template.spec.`;
  const warning = warn(document, "kind", { code: "PB1011", severity: "warning", message, expected: KIND, hint });
  return withMemory(rewritten(document, named.value), [warning]);
}

/** Networks without anything around them: each gets the interface that its kind of network is commonly used with. */
function completeNetworks(document: ManifestDocument, names: Set<string>): Completed {
  const { networks } = document.value;
  const placed = objectsAt(networks, ["networks"]);
  const interfaces = placed.map(({ item }) => ({ name: item["name"], [bindingFor(item)]: {} }));
  const origins: Origin[] = [
    { part: ["spec", "networks"], of: ["networks"] },
    { part: ["spec", "domain", "devices", "interfaces"], of: ["networks"] },
    ...placed.map(({ at }, index) => ({ part: ["spec", "domain", "devices", "interfaces", index], of: at })),
  ];
  const spec = { domain: { devices: { interfaces } }, networks };
  const named = withName({ apiVersion: API_VERSION, kind: KIND, spec }, document.file, names);
  const whole = warn(document, "networks", {
    code: "PB1011",
    severity: "warning",
    message: `A list of networks alone is read as spec.networks of a ${KIND} with the name "${named.name ?? ""}".`,
    expected: "apiVersion, kind, metadata.name and spec.networks",
    hint: `Write it into a ${KIND}.`,
  });
  const added = placed.map(({ item, at }) =>
    findingAt(document, at, {
      code: "PB1011",
      severity: "warning",
      message: `The network "${textAt(item, "name") ?? ""}" gets an interface of its name with ${bindingFor(item)} binding.`,
      hint: `Add {name: ${textAt(item, "name") ?? ""}, ${bindingFor(item)}: {}} to spec.domain.devices.interfaces.`,
    }),
  );
  return withMemory(rewritten(document, named.value, origins), [whole, ...added]);
}

function bindingFor(network: Readonly<Record<string, unknown>>): "masquerade" | "bridge" {
  return network["pod"] === undefined ? "bridge" : "masquerade";
}

interface Named {
  readonly value: ManifestDocument["value"];
  /** The name that was made up; absent where there was one. */
  readonly name?: string;
}

function withName(value: ManifestDocument["value"], file: string, names: Set<string>): Named {
  const metadata = value["metadata"];
  if (metadata !== undefined && !isJsonObject(metadata)) return { value };
  if (metadata?.["name"] !== undefined || metadata?.["generateName"] !== undefined) return { value };
  const name = unusedName(file, names);
  names.add(name);
  return { value: withField(value, ["metadata", "name"], name), name };
}

/** The file's name as a DNS label, with a number from the second of the file on. */
function unusedName(file: string, taken: ReadonlySet<string>): string {
  const base = (file.split("/").at(-1) ?? "").replace(/\.[^.]*$/, "").toLowerCase();
  const label =
    base
      .replace(/[^a-z0-9]+/g, "-")
      .slice(0, LONGEST_NAME)
      .replace(/^-+|-+$/g, "") || "vmi";
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? label : `${label}-${number}`;
    if (!taken.has(name)) return name;
  }
}

function withMemory(document: ManifestDocument, findings: readonly Finding[]): Completed {
  const domain = valueAt(document.value, ["spec", "domain"]);
  const memory = isJsonObject(domain) ? domain["memory"] : undefined;
  if (asksForMemory(domain) || (memory !== undefined && !isJsonObject(memory))) return { document, findings };
  const at = ["spec", "domain", "memory", "guest"];
  const warning = findingAt(
    document,
    at,
    {
      code: "PB1016",
      severity: "warning",
      message: `The fragment asks for no memory, and gets ${FRAGMENT_MEMORY}.`,
      hint: `Write memory: {guest: ${FRAGMENT_MEMORY}} below domain, or what the guest needs.`,
    },
    { path: "spec.domain.memory.guest" },
  );
  return {
    document: rewritten(document, withField(document.value, at, FRAGMENT_MEMORY)),
    findings: [...findings, warning],
  };
}

function warn(document: ManifestDocument, field: string, statement: Statement): Finding {
  return findingAt(document, [field], statement, { part: field === "kind" ? "value" : "key" });
}

function inWords(items: readonly string[]): string {
  return items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} and ${items.at(-1) ?? ""}`;
}
