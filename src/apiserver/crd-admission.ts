import type { AdmissionRequest, AdmissionResponse, StatusCause } from "../model/api/admission.ts";
import { fullNames } from "../model/api/crd-kinds.ts";
import type { CrdVersion, CustomResourceDefinition } from "../model/api/crd-types.ts";
import type { KubeObject } from "../model/api/resource.ts";
import { placesOfRules, structuralProblems } from "../model/api/structural.ts";
import { isJsonObject } from "../model/json.ts";
import { sameJson } from "./json.ts";
import { compileJsonPath } from "./json-path.ts";
import type { ObjectKey } from "./store.ts";

/** Holds a CustomResourceDefinition until the objects of its kind are gone; Kubernetes' own word for it. */
export const CLEANUP = "customresourcecleanup.apiextensions.k8s.io";

const SUBDOMAIN = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;
const LABEL = /^[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
const KIND = /^[A-Za-z](?:[-A-Za-z0-9]{0,61}[A-Za-z0-9])?$/;
const APPROVAL = "api-approved.kubernetes.io";

/** Judges a CustomResourceDefinition and completes it; its shape is right already. */
export function admitCrd(request: AdmissionRequest): AdmissionResponse {
  const { object, oldObject } = request;
  const leaves = object.metadata.deletionTimestamp !== undefined;
  // What it breaks by now must not keep it from going.
  if (request.operation === "DELETE" || (leaves && sameJson(object["spec"], oldObject?.["spec"]))) {
    return { allowed: true, object, warnings: [] };
  }
  const crd = asCrd(object);
  const causes = [
    ...specCauses(object.metadata.name, crd, object),
    ...(oldObject === undefined ? [] : changeCauses(crd, asCrd(oldObject))),
  ];
  if (causes.length > 0) {
    return { allowed: false, status: 422, reason: "Invalid", message: "", causes, warnings: [] };
  }
  return { allowed: true, object: completed(object, crd), warnings: warningsOfSpec(crd) };
}

/** Where definitions lie. */
export const CRD_GROUP = "apiextensions.k8s.io";
export const CRD_PLURAL = "customresourcedefinitions";

export function crdKey(name: string): ObjectKey {
  return { group: CRD_GROUP, plural: CRD_PLURAL, namespace: "", name };
}

/** An object whose shape the schema of the kind has judged. */
export function asCrd(object: KubeObject): CustomResourceDefinition {
  if (isCrd(object)) return object;
  throw new Error(`${object.metadata.name} is no CustomResourceDefinition`);
}

function isCrd(object: KubeObject): object is KubeObject & CustomResourceDefinition {
  const { spec } = object;
  return isJsonObject(spec) && isJsonObject(spec["names"]) && Array.isArray(spec["versions"]);
}

function completed(object: KubeObject, { spec }: CustomResourceDefinition): KubeObject {
  const { singular, listKind } = fullNames(spec.names);
  const { finalizers = [], deletionTimestamp } = object.metadata;
  const isHeld = deletionTimestamp !== undefined || finalizers.includes(CLEANUP);
  return {
    ...object,
    metadata: { ...object.metadata, finalizers: isHeld ? finalizers : [...finalizers, CLEANUP] },
    spec: {
      ...spec,
      names: { ...spec.names, singular, listKind },
      conversion: spec.conversion ?? { strategy: "None" },
    },
  };
}

function specCauses(name: string, { spec }: CustomResourceDefinition, object: KubeObject): StatusCause[] {
  const causes: StatusCause[] = [];
  const wrong = invalidAt(causes);
  const { group, names, versions, conversion } = spec;
  const full = fullNames(names);
  if (!SUBDOMAIN.test(group) || !group.includes(".")) {
    wrong("spec.group", group, "should be a domain with at least one dot");
  } else if (/(?:^|\.)(?:k8s|kubernetes)\.io$/.test(group) && !object.metadata.annotations?.[APPROVAL]) {
    causes.push({
      reason: "FieldValueRequired",
      field: `metadata.annotations[${APPROVAL}]`,
      message:
        "Required value: protected groups must have approval annotation, see https://github.com/kubernetes/enhancements/pull/1111",
    });
  }
  if (name !== `${names.plural}.${group}`) wrong("metadata.name", name, `must be spec.names.plural+"."+spec.group`);
  for (const [field, value] of [
    ["plural", full.plural],
    ["singular", full.singular],
  ] as const) {
    if (!LABEL.test(value))
      wrong(
        `spec.names.${field}`,
        value,
        "must be a DNS-1035 label: lower case letters, digits and '-', a letter first, at most 63",
      );
  }
  for (const [field, value] of [
    ["kind", full.kind],
    ["listKind", full.listKind],
  ] as const) {
    if (!KIND.test(value))
      wrong(`spec.names.${field}`, value, "must be letters, digits and '-', a letter first, at most 63");
  }
  if (full.kind === full.listKind) wrong("spec.names.listKind", full.listKind, "kind and listKind may not be the same");
  for (const [field, values] of [
    ["shortNames", full.shortNames],
    ["categories", full.categories],
  ] as const) {
    for (const [index, value] of values.entries()) {
      if (!LABEL.test(value)) wrong(`spec.names.${field}[${index}]`, value, "must be a DNS-1035 label");
    }
  }
  if (spec.preserveUnknownFields === true) {
    wrong(
      "spec.preserveUnknownFields",
      true,
      "must be false in order to use defaults in the schema; use x-kubernetes-preserve-unknown-fields in the schema",
    );
  }
  if (conversion !== undefined && conversion.strategy !== "None") {
    causes.push({
      reason: "FieldValueNotSupported",
      field: "spec.conversion.strategy",
      message: `Unsupported value: "${conversion.strategy}": supported values: "None"; this server calls no webhooks`,
    });
  }
  const stored = versions.filter(({ storage }) => storage);
  if (stored.length !== 1)
    wrong(
      "spec.versions",
      versions.map((version) => version.name),
      "must have exactly one version marked as storage version",
    );
  for (const [index, version] of versions.entries()) {
    const place = `spec.versions[${index}]`;
    if (!LABEL.test(version.name)) wrong(`${place}.name`, version.name, "must be a DNS-1035 label");
    if (versions.findIndex((other) => other.name === version.name) < index) {
      causes.push({
        reason: "FieldValueDuplicate",
        field: `${place}.name`,
        message: `Duplicate value: "${version.name}"`,
      });
    }
    causes.push(...versionCauses(version, place));
  }
  return causes;
}

function versionCauses(version: CrdVersion, place: string): StatusCause[] {
  const schema = version.schema?.openAPIV3Schema;
  if (schema === undefined) {
    return [
      {
        reason: "FieldValueRequired",
        field: `${place}.schema.openAPIV3Schema`,
        message: "Required value: schemas are required",
      },
    ];
  }
  return structuralProblems(schema, `${place}.schema.openAPIV3Schema`);
}

function changeCauses(
  { spec }: CustomResourceDefinition,
  { spec: old, status }: CustomResourceDefinition,
): StatusCause[] {
  const causes: StatusCause[] = [];
  const wrong = invalidAt(causes);
  const fixed: readonly (readonly [string, string, string])[] = [
    ["spec.group", spec.group, old.group],
    ["spec.names.plural", spec.names.plural, old.names.plural],
    ["spec.names.kind", spec.names.kind, old.names.kind],
    ["spec.scope", spec.scope, old.scope],
  ];
  for (const [field, value, before] of fixed) if (value !== before) wrong(field, value, "field is immutable");
  for (const [index, version] of (status?.storedVersions ?? []).entries()) {
    if (!spec.versions.some(({ name }) => name === version)) {
      wrong(`status.storedVersions[${index}]`, version, "must appear in spec.versions: objects may be stored in it");
    }
  }
  return causes;
}

function warningsOfSpec({ spec }: CustomResourceDefinition): string[] {
  return spec.versions.flatMap((version, index) => {
    const place = `spec.versions[${index}]`;
    const rules = placesOfRules(version.schema?.openAPIV3Schema, `${place}.schema.openAPIV3Schema`);
    const columns = (version.additionalPrinterColumns ?? []).filter(({ jsonPath }) => !isReadable(jsonPath));
    return [
      ...rules.map((rule) => `${rule}: x-kubernetes-validations are kept and not evaluated: this server has no CEL`),
      ...columns.map(
        ({ name, jsonPath }) =>
          `${place}.additionalPrinterColumns: the path ${jsonPath} of ${name} is not one that this server reads; its cells stay empty`,
      ),
      ...(version.subresources?.scale === undefined ? [] : [`${place}.subresources.scale: is kept and not served`]),
    ];
  });
}

/** True for a printer column's path that can be read here. */
export function isReadable(jsonPath: string): boolean {
  try {
    compileJsonPath(jsonPath);
    return true;
  } catch {
    return false;
  }
}

function invalidAt(causes: StatusCause[]) {
  return (field: string, value: unknown, why: string) => {
    causes.push({ reason: "FieldValueInvalid", field, message: `Invalid value: ${JSON.stringify(value)}: ${why}` });
  };
}
