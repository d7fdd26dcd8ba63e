import type { AdmissionResponse, StatusCause } from "../api/admission.ts";
import { canonicalJson } from "../api/canonical-json.ts";
import type { KubeObject } from "../api/resource.ts";
import { isJsonObject, type JsonObject, objectAt, textAt } from "../json.ts";
import { MACVTAP_CONFIG_KEY, macvtapConfigProblem } from "../pods/macvtap-devices.ts";

const KEY = /^[-._a-zA-Z0-9]{1,253}$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
/** Of all values together, in bytes. */
const LARGEST = 1_048_576;
const OPAQUE = "Opaque";

/**
 * A ConfigMap or Secret that is to be created or changed, judged as Kubernetes judges it (API reference, ConfigMap and
 * Secret): names of keys, base64, size, and that what is immutable stays. A Secret without a type is Opaque. Its shape is
 * right already. A list of macvtap devices that cannot be read is warned of (PB6123).
 */
export function admitData(object: KubeObject, oldObject: KubeObject | undefined): AdmissionResponse {
  const typed = object.kind === "Secret" ? { ...object, type: textAt(object, "type") ?? OPAQUE } : object;
  const causes = [...dataCauses(typed), ...(oldObject === undefined ? [] : changeCauses(typed, oldObject))];
  if (causes.length > 0) {
    return { allowed: false, status: 422, reason: "Invalid", message: "", causes, warnings: [] };
  }
  return { allowed: true, object: typed, warnings: macvtapWarnings(typed) };
}

function macvtapWarnings(object: KubeObject): string[] {
  const found = macvtapConfigProblem(object);
  return found === undefined
    ? []
    : [`PB6123: data.${MACVTAP_CONFIG_KEY}${found.absent ? " " : ": "}${found.problem}. ${found.cure}`];
}

function dataCauses(object: KubeObject): StatusCause[] {
  const [data, binary] = [objectAt(object, "data"), objectAt(object, "binaryData")];
  const encoded = object.kind === "Secret" ? "data" : "binaryData";
  const size = bytes(data, encoded === "data") + bytes(binary, true);
  return [
    ...(["data", "binaryData"] as const).flatMap((field) =>
      Object.entries(objectAt(object, field)).flatMap(([key, value]) => [
        ...keyCauses(field, key),
        ...(field === encoded && !BASE64.test(String(value).replaceAll(/\s/g, ""))
          ? [invalid(`${field}[${key}]`, "the value is not base64 (RFC 4648, with padding)")]
          : []),
      ]),
    ),
    ...Object.keys(binary)
      .filter((key) => Object.hasOwn(data, key))
      .map((key) => invalid(`binaryData[${key}]`, "the key stands in data as well")),
    ...(size > LARGEST
      ? [
          {
            reason: "FieldValueTooLong",
            message: `Too long: may not be more than ${LARGEST} bytes, and is ${size}`,
            field: "data",
          },
        ]
      : []),
  ];
}

function keyCauses(field: string, key: string): StatusCause[] {
  if (KEY.test(key) && key !== "." && !key.startsWith("..")) return [];
  const why = "a key has 1 to 253 letters, digits, '-', '_' or '.', and is neither '.' nor begins with '..'";
  return [invalid(`${field}[${key}]`, why)];
}

function bytes(values: JsonObject, isEncoded: boolean): number {
  const encoder = new TextEncoder();
  return Object.values(values).reduce((sum: number, value) => {
    const text = String(value);
    return sum + (isEncoded ? Math.floor((text.length * 3) / 4) : encoder.encode(text).length);
  }, 0);
}

function changeCauses(object: KubeObject, earlier: KubeObject): StatusCause[] {
  const type =
    object.kind === "Secret" && object["type"] !== (textAt(earlier, "type") ?? OPAQUE)
      ? [invalid("type", `${JSON.stringify(object["type"])}: field is immutable`)]
      : [];
  if (earlier["immutable"] !== true) return type;
  const kept = (field: string) =>
    canonicalJson(filled(object, field)) === canonicalJson(filled(earlier, field)) ? [] : [fixed(field)];
  return [
    ...type,
    ...(object["immutable"] === true ? [] : [fixed("immutable")]),
    ...kept("data"),
    ...kept("binaryData"),
  ];
}

/** An empty map and none are the same. */
function filled(object: KubeObject, field: string): JsonObject {
  const value = object[field];
  return isJsonObject(value) ? value : {};
}

function fixed(field: string): StatusCause {
  const message = "Forbidden: field is immutable when `immutable` is set: delete the object, and create it anew";
  return { reason: "FieldValueForbidden", message, field };
}

function invalid(field: string, why: string): StatusCause {
  return { reason: "FieldValueInvalid", message: `Invalid value: ${why}`, field };
}
