import { sha1 } from "@noble/hashes/legacy.js";
import type { Domain } from "../api/domain.ts";

/** Namespace of KubeVirt's firmware UUIDs, so that a guest moved here keeps the one it knows. */
const FIRMWARE_NAMESPACE = "6a1a24a1406146078bf4a3963d0c5895";

/** The UUID that a guest's firmware reports: the manifest's, where there is one that is not empty. */
export function guestUuid({ metadata: { name }, spec }: NamedSpec): string {
  return spec.domain.firmware?.uuid || firmwareUuid(name);
}

interface NamedSpec {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly domain: Pick<Domain, "firmware"> };
}

/** The UUID of a guest whose manifest names none (RFC 9562, version 5): the same for a VMI of that name each time. */
export function firmwareUuid(name: string): string {
  const namespace = Uint8Array.from(FIRMWARE_NAMESPACE.match(/../g) ?? [], (octet) => Number.parseInt(octet, 16));
  const hash = sha1.create().update(namespace).update(new TextEncoder().encode(name)).digest().slice(0, 16);
  const version = (octet: number, index: number): number =>
    index === 6 ? (octet & 0x0f) | 0x50 : index === 8 ? (octet & 0x3f) | 0x80 : octet;
  const text = Array.from(hash, (octet, index) => version(octet, index).toString(16).padStart(2, "0")).join("");
  return text.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
