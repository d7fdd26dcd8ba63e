import { parseIp4, parseIp6 } from "../addresses/ip.ts";
import type { AdmissionResponse, StatusCause } from "../api/admission.ts";
import type { KubeObject } from "../api/resource.ts";
import { isJsonObject, type JsonObject, textAt } from "../json.ts";

/**
 * An EndpointSlice that is to be created or changed, refused as Kubernetes refuses it (API reference, EndpointSlice): the
 * type of its addresses stays, they are of it, and names of ports stand once. Its shape is right already.
 */
export function admitEndpointSlice(slice: KubeObject, oldSlice: KubeObject | undefined): AdmissionResponse {
  const causes = [...addressCauses(slice), ...portCauses(slice), ...changeCauses(slice, oldSlice)];
  if (causes.length === 0) return { allowed: true, object: slice, warnings: [] };
  return { allowed: false, status: 422, reason: "Invalid", message: "", causes, warnings: [] };
}

function changeCauses(slice: KubeObject, oldSlice: KubeObject | undefined): StatusCause[] {
  const type = slice["addressType"];
  if (oldSlice === undefined || type === oldSlice["addressType"]) return [];
  return [invalid("addressType", type, "field is immutable")];
}

function addressCauses(slice: KubeObject): StatusCause[] {
  const type = slice["addressType"];
  return objectsAt(slice, "endpoints").flatMap((endpoint, index) => {
    const field = `endpoints[${index}].addresses`;
    const { addresses } = endpoint;
    const all = Array.isArray(addresses) ? addresses.map(String) : [];
    if (all.length === 0) {
      return [{ reason: "FieldValueRequired", field, message: "Required value: must contain at least 1 address" }];
    }
    return all.flatMap((address, at) => {
      const read = type === "IPv4" ? parseIp4(address) : type === "IPv6" ? parseIp6(address) : address;
      return read === undefined ? [invalid(`${field}[${at}]`, address, `must be a valid ${String(type)} address`)] : [];
    });
  });
}

function portCauses(slice: KubeObject): StatusCause[] {
  const seen = new Set<string>();
  return objectsAt(slice, "ports").flatMap((port, index) => {
    const name = textAt(port, "name") ?? "";
    if (seen.has(name)) {
      const message = `Duplicate value: ${JSON.stringify(name)}`;
      return [{ reason: "FieldValueDuplicate", field: `ports[${index}].name`, message }];
    }
    seen.add(name);
    return [];
  });
}

function objectsAt(object: JsonObject, field: string): readonly JsonObject[] {
  const value = object[field];
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

function invalid(field: string, value: unknown, why: string): StatusCause {
  return { reason: "FieldValueInvalid", field, message: `Invalid value: ${JSON.stringify(value)}: ${why}` };
}
