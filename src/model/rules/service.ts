import type { AdmissionResponse, StatusCause } from "../api/admission.ts";
import type { KubeObject } from "../api/resource.ts";
import { isJsonObject, type JsonObject, objectAt, textAt } from "../json.ts";

const LABEL = /^[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
const PORT_NAME = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;

/** Without something that forwards, silence would look like a network that is broken. */
const NOT_FORWARDED =
  "This version of Patchbay stores a Service and forwards nothing for it: reach a guest by its pod's address.";

/**
 * A Service that is to be created or changed: with the ports of its pods, or refused as Kubernetes refuses it (API
 * reference, ServiceSpec). Its shape is right already.
 */
export function admitService(service: KubeObject): AdmissionResponse {
  const spec = objectAt(service, "spec");
  const ports = Array.isArray(spec["ports"]) ? spec["ports"].filter(isJsonObject) : [];
  const causes = [...nameCauses(service.metadata.name), ...specCauses(spec, ports), ...portCauses(ports)];
  if (causes.length > 0) {
    return { allowed: false, status: 422, reason: "Invalid", message: "", causes, warnings: [] };
  }
  const completed = ports.map((port) => ({ ...port, targetPort: port["targetPort"] ?? port["port"] }));
  const object = ports.length === 0 ? service : { ...service, spec: { ...spec, ports: completed } };
  return { allowed: true, object, warnings: [NOT_FORWARDED] };
}

function nameCauses(name: string): StatusCause[] {
  if (LABEL.test(name)) return [];
  const why =
    "a DNS-1035 label must consist of lower case letters, digits and '-', start with a letter, and have at most 63";
  return [invalid("metadata.name", name, why)];
}

function specCauses(spec: JsonObject, ports: readonly JsonObject[]): StatusCause[] {
  if (spec["type"] === "ExternalName") {
    return textAt(spec, "externalName") === undefined
      ? [required("spec.externalName", "a Service of the type ExternalName is a name")]
      : [];
  }
  return ports.length === 0 && spec["clusterIP"] !== "None"
    ? [required("spec.ports", "a Service has a port, unless it is headless")]
    : [];
}

function portCauses(ports: readonly JsonObject[]): StatusCause[] {
  const names = new Set<string>();
  const numbers = new Set<string>();
  return ports.flatMap((port, index): StatusCause[] => {
    const place = `spec.ports[${index}]`;
    const name = textAt(port, "name");
    const number = `${String(port["port"])}/${String(port["protocol"])}`;
    const causes: StatusCause[] = [];
    if (name === undefined && ports.length > 1)
      causes.push(required(`${place}.name`, "ports of one Service are told apart by name"));
    if (name !== undefined && !PORT_NAME.test(name))
      causes.push(invalid(`${place}.name`, name, "must be a DNS-1123 label"));
    if (name !== undefined && names.has(name)) causes.push(duplicate(`${place}.name`, name));
    if (numbers.has(number)) causes.push(duplicate(place, number));
    if (name !== undefined) names.add(name);
    numbers.add(number);
    return causes;
  });
}

function invalid(field: string, value: string, why: string): StatusCause {
  return { reason: "FieldValueInvalid", field, message: `Invalid value: "${value}": ${why}` };
}

function required(field: string, why: string): StatusCause {
  return { reason: "FieldValueRequired", field, message: `Required value: ${why}` };
}

function duplicate(field: string, value: string): StatusCause {
  return { reason: "FieldValueDuplicate", field, message: `Duplicate value: "${value}"` };
}
