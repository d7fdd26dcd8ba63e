import type { PciPlace } from "../../model/guest/pci.ts";

/** Properties of one option; those that are undefined are left out. */
export type Properties = Readonly<Record<string, string | number | boolean | undefined>>;

/** A unix socket that QEMU listens on without waiting for a client. */
export function socket(id: string, path: string, more: Properties = {}): string {
  return option("socket", { id, path, server: true, wait: false, ...more });
}

/** A device's place on PCI. */
export function at(place: PciPlace | undefined): Properties {
  if (place === undefined) return {};
  const addr = `0x${place.slot.toString(16)}.0x${place.function.toString(16)}`;
  return { bus: place.bus, addr, ...(place.multifunction ? { multifunction: true } : {}) };
}

/** QEMU's `head,key=value,…`, where a comma in a value is written twice. */
export function option(head: string, properties: Properties): string {
  const pairs = Object.entries(properties).flatMap(([key, value]) => {
    if (value === undefined) return [];
    const text = typeof value === "boolean" ? (value ? "on" : "off") : escaped(String(value));
    return [`${key}=${text}`];
  });
  return [...(head === "" ? [] : [head]), ...pairs].join(",");
}

/** A value as it stands in an option. */
export function escaped(value: string): string {
  return value.replaceAll(",", ",,");
}
