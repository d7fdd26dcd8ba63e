/** A place in a document: keys of objects and indexes of lists, from the root. */
export type FieldPath = readonly (string | number)[];

/**
 * A place as KubeVirt and Kubernetes write it: `spec.domain.devices.interfaces[0].name`.
 *
 * Keys that a dot would blur stand in brackets: `metadata.labels[kubevirt.io/vm]`.
 */
export function fieldPath(keys: FieldPath): string {
  let text = "";
  for (const key of keys) {
    if (typeof key === "number") text += `[${key}]`;
    else if (/^[A-Za-z0-9_-]+$/.test(key)) text += text === "" ? key : `.${key}`;
    else text += `[${key}]`;
  }
  return text;
}

/** The keys of a field path; the inverse of {@link fieldPath} for every path that it writes but numeric keys in brackets. */
export function parseFieldPath(text: string): (string | number)[] {
  const keys: (string | number)[] = [];
  for (const match of text.matchAll(/\[([^\]]*)\]|([^.[\]]+)/g)) {
    const [, bracketed, plain] = match;
    if (plain !== undefined) keys.push(plain);
    else if (bracketed !== undefined) keys.push(/^\d+$/.test(bracketed) ? Number(bracketed) : bracketed);
  }
  return keys;
}

/** The value at a place; undefined where there is none. */
export function valueAt(root: unknown, keys: FieldPath): unknown {
  let value = root;
  for (const key of keys) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Readonly<Record<string | number, unknown>>)[key];
  }
  return value;
}

/** The place with the index of each element of a list that it names: `interfaces[red]` is that of the one called red. */
export function indexed(root: unknown, keys: FieldPath): FieldPath {
  const found: (string | number)[] = [];
  for (const key of keys) {
    const list = typeof key === "string" ? valueAt(root, found) : undefined;
    const index = Array.isArray(list) ? list.findIndex((item) => valueAt(item, ["name"]) === key) : -1;
    found.push(index < 0 ? key : index);
  }
  return found;
}
