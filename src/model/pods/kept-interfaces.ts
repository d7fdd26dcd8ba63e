import { parseIp } from "../addresses/ip.ts";
import { canonicalMac } from "../addresses/mac.ts";
import { isJsonObject } from "../json.ts";
import { readJson } from "../networks/cni-json.ts";

/** Of a VMI and its pod: what each NIC had in the VM's earlier guests, as JSON; written by the VM controller. */
export const KEPT_INTERFACES_ANNOTATION = "patchbay.io/interfaces";

/** What a NIC keeps over the restarts of its VM. */
export interface KeptInterface {
  /** Name of the network. */
  readonly name: string;
  /** Of the guest's NIC, where the manifest names none. */
  readonly mac?: string;
  /** Addresses that the pod's link had: asked for again, not insisted on. */
  readonly ips?: readonly string[];
}

/** Reads the annotation's text; undefined for one that is not of that shape. */
export function readKeptInterfaces(text: string): readonly KeptInterface[] | undefined {
  const reading = readJson(text);
  if ("problem" in reading || !Array.isArray(reading.value)) return undefined;
  const kept = reading.value.map(readOne);
  return kept.every((item) => item !== undefined) ? kept : undefined;
}

function readOne(value: unknown): KeptInterface | undefined {
  if (!isJsonObject(value)) return undefined;
  const { name, mac, ips } = value;
  if (typeof name !== "string") return undefined;
  const canonical = typeof mac === "string" ? canonicalMac(mac) : undefined;
  if (mac !== undefined && canonical === undefined) return undefined;
  if (ips !== undefined && !isAddresses(ips)) return undefined;
  return { name, ...(canonical === undefined ? {} : { mac: canonical }), ...(ips === undefined ? {} : { ips }) };
}

function isAddresses(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string" && parseIp(item) !== undefined);
}

/** What the annotations of a VMI or pod say; nothing where they do not say it, or not so that it can be read. */
export function keptInterfaces(annotations: Readonly<Record<string, string>>): readonly KeptInterface[] {
  const text = annotations[KEPT_INTERFACES_ANNOTATION];
  return text === undefined ? [] : (readKeptInterfaces(text) ?? []);
}
