import type { StatusCause } from "../api/admission.ts";
import { isDnsLabel } from "../api/names.ts";
import { isJsonObject, type JsonObject, textAt } from "../json.ts";

const LABEL =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";

/**
 * What Kubernetes refuses of the names in a new pod's spec (API reference, PodSpec): volumes and containers are told
 * apart by theirs, a container mounts what is there and each place once, and has an image. Its shape is right already.
 */
export function podSpecCauses(spec: JsonObject): StatusCause[] {
  const [volumes, containers, first] = [
    objectsAt(spec, "volumes"),
    objectsAt(spec, "containers"),
    objectsAt(spec, "initContainers"),
  ];
  const known = new Set(volumes.map((volume) => textAt(volume, "name") ?? ""));
  return [
    ...nameCauses("spec.volumes", volumes, []),
    ...(containers.length === 0 ? [required("spec.containers")] : []),
    ...nameCauses("spec.containers", containers, []),
    ...containerCauses("spec.containers", containers, known),
    // Their names are those of the others too.
    ...nameCauses("spec.initContainers", first, containers),
    ...containerCauses("spec.initContainers", first, known),
  ];
}

function nameCauses(place: string, items: readonly JsonObject[], others: readonly JsonObject[]): StatusCause[] {
  const seen = new Set(others.map((other) => textAt(other, "name")));
  return items.flatMap((item, index) => {
    const field = `${place}[${index}].name`;
    const name = textAt(item, "name") ?? "";
    if (name === "") return [required(field)];
    if (!isDnsLabel(name)) return [invalid(field, name, LABEL)];
    if (seen.has(name)) return [duplicate(field, name)];
    seen.add(name);
    return [];
  });
}

function containerCauses(place: string, containers: readonly JsonObject[], volumes: ReadonlySet<string>) {
  return containers.flatMap((container, index): StatusCause[] => {
    const at = `${place}[${index}]`;
    const image = textAt(container, "image") ?? "";
    return [
      ...(image === "" ? [required(`${at}.image`)] : []),
      ...portCauses(at, objectsAt(container, "ports")),
      ...mountCauses(at, objectsAt(container, "volumeMounts"), volumes),
    ];
  });
}

function portCauses(at: string, ports: readonly JsonObject[]): StatusCause[] {
  const seen = new Set<string>();
  return ports.flatMap((port, index) => {
    const name = textAt(port, "name");
    if (name === undefined) return [];
    if (seen.has(name)) return [duplicate(`${at}.ports[${index}].name`, name)];
    seen.add(name);
    return [];
  });
}

function mountCauses(at: string, mounts: readonly JsonObject[], volumes: ReadonlySet<string>): StatusCause[] {
  const seen = new Set<string>();
  return mounts.flatMap((mount, index): StatusCause[] => {
    const field = `${at}.volumeMounts[${index}]`;
    const [name, path] = [textAt(mount, "name") ?? "", textAt(mount, "mountPath") ?? ""];
    const causes: StatusCause[] = [];
    if (name === "") causes.push(required(`${field}.name`));
    else if (!volumes.has(name)) {
      const message = `Not found: ${JSON.stringify(name)}`;
      causes.push({ reason: "FieldValueNotFound", field: `${field}.name`, message });
    }
    if (path === "") causes.push(required(`${field}.mountPath`));
    else if (seen.has(path)) causes.push(invalid(`${field}.mountPath`, path, "must be unique"));
    seen.add(path);
    return causes;
  });
}

function objectsAt(object: JsonObject, field: string): readonly JsonObject[] {
  const value = object[field];
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

function required(field: string): StatusCause {
  return { reason: "FieldValueRequired", field, message: "Required value" };
}

function invalid(field: string, value: string, why: string): StatusCause {
  return { reason: "FieldValueInvalid", field, message: `Invalid value: ${JSON.stringify(value)}: ${why}` };
}

function duplicate(field: string, value: string): StatusCause {
  return { reason: "FieldValueDuplicate", field, message: `Duplicate value: ${JSON.stringify(value)}` };
}
