import { fieldPath, indexed, parseFieldPath } from "../model/api/field-path.ts";
import type { KubeObject } from "../model/api/resource.ts";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachine } from "../model/api/vm.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import { overlapsOf } from "../model/bindings/masquerade-sides.ts";
import { Fault, isFault } from "../model/fault.ts";
import type { ManifestDocument } from "../model/manifest/document.ts";
import { type Finding, findingAt } from "../model/manifest/finding.ts";
import { definitionsAmong } from "../model/networks/attachment-definitions.ts";
import { qualifiedName } from "../model/networks/multus.ts";
import { planRequestOf } from "../model/pods/plan-request.ts";
import { judge } from "../model/rules/judge.ts";
import { asksForMemory } from "../model/rules/machine.ts";
import { settingsOf } from "../model/rules/settings.ts";
import { withSpoofGuardOf } from "../model/rules/spoof-guard.ts";
import { nicContexts } from "../model/wiring/nics.ts";
import { type PlanRequest, typicalFactsOf } from "../model/wiring/plan.ts";
import type { ConfigOf } from "../model/wiring/typical-facts.ts";
import { unbuiltOf } from "../model/wiring/unbuilt.ts";
import type { JudgedManifests } from "./judged-manifests.ts";

/** What was made of the VMIs and VMs among manifests. */
export interface OfInstances<T> {
  readonly results: readonly T[];
  /** Why VMIs and VMs are missing above. */
  readonly refusals: readonly Finding[];
  /** What is to say of those that are there, and keeps none of them back. */
  readonly notices: readonly Finding[];
}

/**
 * Does something with every VMI and VM whose manifest is sound, whatever the others are; a Fault becomes a finding at its
 * place.
 */
export function ofInstances<T>(
  { documents, unsound, cniFiles, stored, configuration }: JudgedManifests,
  make: (request: PlanRequest, document: ManifestDocument) => T,
): OfInstances<T> {
  const definitions = definitionsAmong([...stored, ...documents]);
  const results: T[] = [];
  const refusals: Finding[] = [];
  const notices: Finding[] = [];
  for (const document of documents.filter((one) => !unsound.has(one))) {
    try {
      const request = requestOf(document.value, configuration);
      if (request === undefined) continue;
      if ("problems" in request) {
        refusals.push(...request.problems.map((problem) => refusal(document, problem)));
        continue;
      }
      const configOf: ConfigOf = (network) =>
        network.kind === "multus"
          ? definitions.get(qualifiedName(network.networkName, request.namespace))?.network
          : network.kind === "genie"
            ? cniFiles
                .flatMap(({ reading }) => reading.network ?? [])
                .find(({ plugins }) => plugins[0]?.type === network.networkName)
            : undefined;
      results.push(make({ ...request, configOf }, document));
      notices.push(...noticesOf({ ...request, configOf }, document));
    } catch (thrown) {
      if (!isFault(thrown)) throw thrown;
      refusals.push(refusal(document, thrown));
    }
  }
  return { results, refusals, notices };
}

/**
 * What is right as it is for another version, or for KubeVirt; and a warning of a network that a pod has a use for, as
 * clusters usually make it: what the pod will be like is not known here.
 */
function noticesOf(request: PlanRequest, document: ManifestDocument): readonly Finding[] {
  const nics = nicContexts(request);
  return [
    ...unbuiltOf(nics).map((fault): Finding => ({ ...refusal(document, fault), severity: "info" })),
    ...overlapsOf(nics, typicalFactsOf(request, nics)).map(({ fault }): Finding => {
      const found = refusal(document, fault);
      return { ...found, severity: "warning", message: `On a typical pod ${found.message}` };
    }),
  ];
}

/** A finding of a fault at the place in the manifest that it names; at its `spec` where it names another. */
export function refusal(document: ManifestDocument, { code, message, place = "", cure = "" }: Fault): Finding {
  const at = place.startsWith("spec.") ? parseFieldPath(place) : ["spec"];
  const whole = document.value["kind"] === "VirtualMachine" ? ["spec", "template", ...at] : at;
  const statement = { code, severity: "error", message, hint: cure } as const;
  return findingAt(document, indexed(document.value, whole), statement, { part: "key" });
}

const SIZE_UNKNOWN = "512Mi";
/** What KubeVirt makes of a template without a spec. */
const EMPTY_SPEC = { domain: { devices: {} } };

/** The instance that a document is, or that its VirtualMachine's template makes. */
function instanceFor(value: ManifestDocument["value"]): KubeObject | undefined {
  const object = value as KubeObject;
  if (object.kind === "VirtualMachineInstance") return object;
  if (object.kind !== "VirtualMachine") return undefined;
  const { template, instancetype } = (value as unknown as VirtualMachine).spec;
  const { metadata } = object;
  const { annotations } = template.metadata ?? {};
  const spec = template.spec ?? EMPTY_SPEC;
  // What an instancetype gives is not known here; what it gives at least is memory.
  const sized = instancetype === undefined || asksForMemory(spec.domain) ? {} : { memory: { guest: SIZE_UNKNOWN } };
  return {
    apiVersion: object.apiVersion,
    kind: "VirtualMachineInstance",
    metadata: { ...metadata, annotations: annotations ?? {} },
    spec: { ...spec, domain: { ...spec.domain, ...sized } },
  };
}

/**
 * All that a plan needs to know of the instance that a document is of, its defaults filled in; or what its rules refuse:
 * a template may lack what its instance needs.
 */
function requestOf(
  value: ManifestDocument["value"],
  configuration: unknown,
): PlanRequest | { readonly problems: readonly Fault[] } | undefined {
  const instance = instanceFor(value);
  if (instance === undefined) return undefined;
  const { problems, defaulted } = judge("VirtualMachineInstance", named(instance), configuration);
  if (problems.length > 0) {
    return {
      problems: problems.map(
        ({ code, message, at, cure }) =>
          new Fault(code, message, { place: fieldPath(at), ...(cure === undefined ? {} : { cure }) }),
      ),
    };
  }
  if (defaulted === undefined) return undefined;
  const made = defaulted as Stored<VirtualMachineInstance>;
  const annotations = withSpoofGuardOf(made.metadata.annotations ?? {}, settingsOf(configuration));
  const request = { ...planRequestOf(made, configuration), annotations };
  return value["kind"] === "VirtualMachine" ? { ...request, ofVm: true } : request;
}

/** With a name in place of the one that the API would make of `generateName`. */
function named(instance: KubeObject): KubeObject {
  return { ...instance, metadata: { ...instance.metadata, name: nameOf(instance) } };
}

function nameOf({ metadata }: KubeObject): string {
  return metadata.name || `${metadata.generateName ?? ""}xxxxx`;
}
