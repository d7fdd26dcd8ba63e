import { isJsonObject } from "../json.ts";
import type { KubeObject } from "./resource.ts";

/** Characters that `String.fromCharCode` is given at once. */
const AT_ONCE = 8_192;

/**
 * A Secret as it is kept: `stringData`, which is written for people, stands in base64 in `data`, over what is there, and
 * one without a type is Opaque (Kubernetes API reference, Secret).
 */
export function decodeSecret(object: KubeObject): KubeObject {
  const { stringData, data, type, ...rest } = object;
  const typed = { ...rest, ...(data === undefined ? {} : { data }), type: type || "Opaque" };
  if (!isJsonObject(stringData) || Object.keys(stringData).length === 0) return typed;
  const encoded = Object.entries(stringData).map(([key, value]) => [key, base64Of(String(value))]);
  return { ...typed, data: { ...(isJsonObject(data) ? data : {}), ...Object.fromEntries(encoded) } };
}

function base64Of(text: string): string {
  const bytes = new TextEncoder().encode(text);
  let binary = "";
  for (let start = 0; start < bytes.length; start += AT_ONCE) {
    binary += String.fromCharCode(...bytes.subarray(start, start + AT_ONCE));
  }
  return btoa(binary);
}
