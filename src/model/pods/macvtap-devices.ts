import { isJsonObject, objectAt, textAt } from "../json.ts";
import { nearMiss } from "../near-miss.ts";
import { readJson } from "../networks/cni-json.ts";
import type { LinkFacts } from "../wiring/facts.ts";
import { type DevicePool, MACVTAP_RESOURCE } from "./device-resources.ts";

/** The ConfigMap, of any namespace, that says which macvtap devices a node offers, and its key. */
export const MACVTAP_CONFIG_MAP = "macvtap-deviceplugin-config";
export const MACVTAP_CONFIG_KEY = "DP_MACVTAP_CONF";

/** How macvtaps of one lower link reach each other (macvtap(8) of ip-link). */
export const MACVTAP_MODES = ["bridge", "vepa", "private"] as const;
export type MacvtapMode = (typeof MACVTAP_MODES)[number];

/** One element of `DP_MACVTAP_CONF`. */
export interface MacvtapResource {
  /** What follows {@link MACVTAP_RESOURCE}. */
  readonly name: string;
  /** Link of the node on which the macvtaps are put. */
  readonly lowerDevice: string;
  readonly mode: MacvtapMode;
  /** How many of them there may be. */
  readonly capacity: number;
}

/** `problem` is the rest of a sentence about the text, with the place in it. */
export type MacvtapConfigReading =
  | { readonly resources: readonly MacvtapResource[] }
  | { readonly problem: string; readonly cure: string };

/** What the device plugin of macvtap-cni takes where nothing is said. */
const DEFAULT_MODE: MacvtapMode = "bridge";
const DEFAULT_CAPACITY = 100;
/** Of a node's resource, the part after the slash (a qualified name of Kubernetes). */
const NAME = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const LINK = /^[^\s/:\0]{1,15}$/;
/** More links than that on one node are nobody's wish; each is counted one by one. */
const MOST = 65_536;
const FIELDS = ["name", "lowerDevice", "mode", "capacity"] as const;
/** Kinds of links that a device of its own is put on where the configuration names none: cards and bonds. */
const SUITABLE: readonly string[] = ["", "bond"];

/**
 * What is wrong with the ConfigMap that names a node's macvtap devices (PB6123): the rest of a sentence about its key, which
 * may be absent. Nothing for a sound one, and for every other object.
 */
export function macvtapConfigProblem(
  object: unknown,
): { readonly absent: boolean; readonly problem: string; readonly cure: string } | undefined {
  if (!isJsonObject(object) || object["kind"] !== "ConfigMap") return undefined;
  if (textAt(objectAt(object, "metadata"), "name") !== MACVTAP_CONFIG_MAP) return undefined;
  const text = textAt(objectAt(object, "data"), MACVTAP_CONFIG_KEY);
  if (text === undefined) return { absent: true, problem: "is not there", cure: 'Write "[]" for every link.' };
  const reading = readMacvtapConfig(text);
  return "problem" in reading ? { absent: false, ...reading } : undefined;
}

/** Reads `DP_MACVTAP_CONF`; an empty text is an empty list. Never throws. */
export function readMacvtapConfig(text: string): MacvtapConfigReading {
  if (text.trim() === "") return { resources: [] };
  const reading = readJson(text);
  if ("problem" in reading) {
    return { problem: `line ${reading.line}, column ${reading.column}: ${reading.problem}`, cure: "Write JSON." };
  }
  if (!Array.isArray(reading.value)) {
    return { problem: "it is no list", cure: 'Write a list such as [{"name": "eth0", "lowerDevice": "eth0"}].' };
  }
  const resources: MacvtapResource[] = [];
  const names = new Set<string>();
  let devices = 0;
  for (const [index, element] of reading.value.entries()) {
    const resource = readElement(element);
    if ("problem" in resource) return { ...resource, problem: `element ${index + 1}: ${resource.problem}` };
    if (names.has(resource.name)) {
      return {
        problem: `element ${index + 1}: its name "${resource.name}" is taken by an earlier one`,
        cure: "Give each element a name of its own.",
      };
    }
    resources.push(resource);
    names.add(resource.name);
    devices += resource.capacity;
    if (devices > MOST) {
      return {
        problem: `element ${index + 1}: with its capacity the list has more than ${MOST} devices`,
        cure: "Write smaller capacities, or fewer elements.",
      };
    }
  }
  return { resources };
}

function readElement(element: unknown): MacvtapResource | { readonly problem: string; readonly cure: string } {
  if (!isJsonObject(element)) return { problem: "it is no object", cure: 'Write {"name": …, "lowerDevice": …}.' };
  const unknown = Object.keys(element).find((key) => !FIELDS.some((field) => field === key));
  if (unknown !== undefined) {
    const near = nearMiss(unknown, FIELDS);
    return {
      problem: `its field "${unknown}" is not known`,
      cure: near === undefined ? `It takes ${FIELDS.join(", ")}.` : `Did you mean "${near}"?`,
    };
  }
  const { name, lowerDevice, mode = "", capacity = 0 } = element;
  if (typeof name !== "string" || !NAME.test(name)) {
    return { problem: 'its "name" is none', cure: 'Use letters, digits, "-", "_" and ".", at most 63.' };
  }
  if (typeof lowerDevice !== "string" || !LINK.test(lowerDevice)) {
    return {
      problem: `the "lowerDevice" of "${name}" is no name of a link`,
      cure: 'Name a link that "ip link show" lists.',
    };
  }
  const known = MACVTAP_MODES.find((one) => one === (mode === "" ? DEFAULT_MODE : mode));
  if (known === undefined) {
    const near = nearMiss(String(mode), MACVTAP_MODES);
    return {
      problem: `the mode ${JSON.stringify(mode)} of "${name}" is not one`,
      cure:
        near === undefined ? `Write ${MACVTAP_MODES.join(", ")}, or nothing for bridge.` : `Did you mean "${near}"?`,
    };
  }
  if (typeof capacity !== "number" || !Number.isInteger(capacity) || capacity > MOST) {
    return { problem: `the capacity of "${name}" is no number up to ${MOST}`, cure: "Write a whole number." };
  }
  return { name, lowerDevice, mode: known, capacity: capacity <= 0 ? DEFAULT_CAPACITY : capacity };
}

/**
 * The pools of macvtap devices, `<name>Mvp0` and so on: those of the configuration, and where it names none, one for
 * each network card and bond. A resource whose lower link is not there has no devices.
 */
export function macvtapPools(
  configured: readonly MacvtapResource[],
  links: readonly Pick<LinkFacts, "name" | "kind">[],
): readonly DevicePool[] {
  const resources =
    configured.length > 0
      ? configured
      : links
          .filter(({ kind }) => SUITABLE.includes(kind))
          .map(({ name }) => ({ name, lowerDevice: name, mode: DEFAULT_MODE, capacity: DEFAULT_CAPACITY }));
  const there = new Set(links.map(({ name }) => name));
  return resources.map(({ name, lowerDevice, mode, capacity }) => ({
    resource: `${MACVTAP_RESOURCE}${name}`,
    ...(there.has(lowerDevice) ? {} : { lacks: `the link ${lowerDevice}` }),
    devices: Array.from({ length: there.has(lowerDevice) ? capacity : 0 }, (_, index) => ({
      id: `${name}Mvp${index}`,
      config: { lowerDevice, mode },
    })),
  }));
}
