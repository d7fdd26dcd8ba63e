import { canonicalJson } from "../api/canonical-json.ts";
import type { Interface } from "../api/interfaces.ts";
import type { VmiSpec } from "../api/vmi.ts";
import { isJsonObject } from "../json.ts";

/** A NIC of a running VMI whose link is to change. */
export interface LinkChange {
  /** Position in `spec.domain.devices.interfaces` of the VMI. */
  readonly index: number;
  readonly name: string;
  readonly state: "up" | "down";
}

/** The link of an interface as its `state` asks for it; undefined for one that is to be unplugged. */
export function linkStateOf({ state }: Pick<Interface, "state">): "up" | "down" | undefined {
  if (state === "absent") return undefined;
  return state === "down" ? "down" : "up";
}

/** What a VM's template wants otherwise of the links of its running VMI (reference 8.5). */
export function linkChanges(template: VmiSpec, running: VmiSpec): readonly LinkChange[] {
  const wanted = template.domain.devices.interfaces ?? [];
  return (running.domain.devices.interfaces ?? []).flatMap((nic, index): LinkChange[] => {
    const asked = wanted.find(({ name }) => name === nic.name);
    const state = asked === undefined ? undefined : linkStateOf(asked);
    const now = linkStateOf(nic);
    return state === undefined || now === undefined || state === now ? [] : [{ index, name: nic.name, state }];
  });
}

/** True where two specs of a VMI differ in nothing but whether links are up or down. */
export function differInLinksOnly(one: unknown, other: unknown): boolean {
  return canonicalJson(withoutLinks(one)) === canonicalJson(withoutLinks(other));
}

/** The spec as it was written, any shape, without what says that a link is up or down. */
function withoutLinks(spec: unknown): unknown {
  if (!isJsonObject(spec)) return spec;
  const { domain } = spec;
  const devices = isJsonObject(domain) ? domain["devices"] : undefined;
  const interfaces = isJsonObject(devices) ? devices["interfaces"] : undefined;
  if (!isJsonObject(domain) || !isJsonObject(devices) || !Array.isArray(interfaces)) return spec;
  const bare = interfaces.map((nic: unknown) => {
    if (!isJsonObject(nic) || nic["state"] === "absent") return nic;
    const { state: _, ...rest } = nic;
    return rest;
  });
  return { ...spec, domain: { ...domain, devices: { ...devices, interfaces: bare } } };
}
