import type { ResourceDefinition } from "../model/api/resource.ts";
import { isJsonObject, type JsonObject } from "../model/json.ts";
import { sameJson } from "./json.ts";
import { badRequest } from "./refusals.ts";

/**
 * The keys by which lists of Kubernetes' own types are merged, by the field that holds the list (Kubernetes API
 * reference, "patch strategy: merge"). A field with several keys has them in the order in which they are tried.
 */
const MERGE_KEYS: Readonly<Record<string, readonly string[]>> = {
  addresses: ["type"],
  conditions: ["type"],
  containers: ["name"],
  env: ["name"],
  ephemeralContainers: ["name"],
  hostAliases: ["ip"],
  imagePullSecrets: ["name"],
  initContainers: ["name"],
  ownerReferences: ["uid"],
  podIPs: ["ip"],
  ports: ["containerPort", "port"],
  resourceClaims: ["name"],
  secrets: ["name"],
  topologySpreadConstraints: ["topologyKey"],
  volumeDevices: ["devicePath"],
  volumeMounts: ["mountPath"],
  volumes: ["name"],
};

/** Lists of a kind that are replaced whole, though others of that name are merged. */
const REPLACED: Readonly<Record<string, readonly string[]>> = { EndpointSlice: ["ports"] };

/** Lists of plain values that are merged as sets. */
const SETS: ReadonlySet<string> = new Set(["finalizers", "podCIDRs"]);

/** True for Kubernetes' own kinds, which it merges strategically; kinds of users are none, whatever their group. */
export function mergesStrategically({ group, definedBy }: Pick<ResourceDefinition, "group" | "definedBy">): boolean {
  return definedBy === undefined && (!group.includes(".") || group.endsWith(".k8s.io"));
}

/** The keys by which a list field of a strategic kind is merged; empty for a set of plain values, undefined for no merging. */
export function patchMergeKeys(field: string): readonly string[] | undefined {
  return SETS.has(field) ? [] : Object.hasOwn(MERGE_KEYS, field) ? MERGE_KEYS[field] : undefined;
}

/**
 * Applies a strategic merge patch: lists with a merge key are merged element by element; the directives `$patch`,
 * `$retainKeys`, `$setElementOrder/…` and `$deleteFromPrimitiveList/…` are followed.
 *
 * @throws ApiError 400 where a directive cannot be read.
 */
export function applyStrategicMerge(target: unknown, patch: unknown): unknown {
  if (!isJsonObject(patch)) return patch;
  return mergeObjects(isJsonObject(target) ? target : {}, patch);
}

function mergeObjects(target: JsonObject, patch: JsonObject): JsonObject {
  const directive = patch["$patch"];
  if (directive === "delete") return {};
  const base = directive === "replace" ? {} : target;
  const { kind } = target;
  const replaced = typeof kind === "string" && Object.hasOwn(REPLACED, kind) ? (REPLACED[kind] ?? []) : [];
  if (directive !== undefined && directive !== "replace" && directive !== "merge") {
    throw badRequest(`unknown $patch directive ${JSON.stringify(directive)}`);
  }
  const retained = patch["$retainKeys"];
  const merged = new Map(Object.entries(base).filter(([key]) => !Array.isArray(retained) || retained.includes(key)));
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith("$")) {
      applyDirective(merged, key, value);
    } else if (value === null) {
      merged.delete(key);
    } else if (isJsonObject(value)) {
      if (value["$patch"] === "delete") merged.delete(key);
      else merged.set(key, applyStrategicMerge(merged.get(key), value));
    } else if (Array.isArray(value)) {
      merged.set(key, replaced.includes(key) ? value : mergeLists(key, merged.get(key), value));
    } else {
      merged.set(key, value);
    }
  }
  for (const [key, order] of Object.entries(patch)) {
    const field = directiveField(key, "$setElementOrder/");
    const list = field === undefined ? undefined : merged.get(field);
    if (field !== undefined && Array.isArray(list)) merged.set(field, ordered(field, list, order));
  }
  return Object.fromEntries(merged);
}

function applyDirective(merged: Map<string, unknown>, key: string, value: unknown): void {
  const field = directiveField(key, "$deleteFromPrimitiveList/");
  if (field !== undefined) {
    const list = merged.get(field);
    if (!Array.isArray(value)) throw badRequest(`${key} must be a list`);
    if (Array.isArray(list)) {
      merged.set(
        field,
        list.filter((item) => !value.some((gone) => sameJson(gone, item))),
      );
    }
    return;
  }
  if (key !== "$patch" && key !== "$retainKeys" && directiveField(key, "$setElementOrder/") === undefined) {
    throw badRequest(`unknown directive ${key}`);
  }
}

function directiveField(key: string, prefix: string): string | undefined {
  return key.startsWith(prefix) ? key.slice(prefix.length) : undefined;
}

function mergeLists(field: string, target: unknown, patch: readonly unknown[]): readonly unknown[] {
  const present: readonly unknown[] = Array.isArray(target) ? target : [];
  if (SETS.has(field)) return [...present, ...patch.filter((item) => !present.some((held) => sameJson(held, item)))];
  const key = mergeKey(field, [...patch, ...present]);
  if (key === undefined) return patch;
  if (patch.some((item) => isJsonObject(item) && item["$patch"] === "replace")) {
    return patch.filter((item) => !(isJsonObject(item) && item["$patch"] === "replace"));
  }
  const merged = [...present];
  for (const item of patch) {
    if (!isJsonObject(item) || item[key] === undefined) {
      throw badRequest(`an element of ${field} in the patch lacks its merge key ${key}`);
    }
    const at = merged.findIndex((held) => isJsonObject(held) && sameJson(held[key], item[key]));
    if (item["$patch"] === "delete") {
      if (at >= 0) merged.splice(at, 1);
    } else if (at >= 0) {
      merged[at] = applyStrategicMerge(merged[at], item);
    } else {
      merged.push(applyStrategicMerge({}, item));
    }
  }
  return merged;
}

/** The first key of the field that an element carries; undefined where the list is replaced whole. */
function mergeKey(field: string, elements: readonly unknown[]): string | undefined {
  if (elements.length === 0 || !elements.every(isJsonObject) || !Object.hasOwn(MERGE_KEYS, field)) return undefined;
  const keys = MERGE_KEYS[field] ?? [];
  return keys.find((key) => elements.some((element) => element[key] !== undefined)) ?? keys[0];
}

/** Elements that the order names come in that order; others keep their place at the end. */
function ordered(field: string, list: readonly unknown[], order: unknown): readonly unknown[] {
  if (!Array.isArray(order)) throw badRequest(`$setElementOrder/${field} must be a list`);
  const key = mergeKey(field, list.filter(isJsonObject));
  const rank = (item: unknown): number => {
    const at = order.findIndex((wanted) =>
      key === undefined
        ? sameJson(wanted, item)
        : isJsonObject(wanted) && isJsonObject(item) && sameJson(wanted[key], item[key]),
    );
    return at < 0 ? order.length : at;
  };
  return list.toSorted((left, right) => rank(left) - rank(right));
}
