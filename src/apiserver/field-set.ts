import { canonicalJson } from "../model/api/canonical-json.ts";
import { isJsonObject, type JsonObject } from "../model/json.ts";

/**
 * A set of an object's fields, in the very form of `FieldsV1` (structured-merge-diff, "serialize"): a tree whose keys
 * are steps. `f:NAME` is a field, `k:{…}` an element of a list by its keys, `v:…` an element by its value, `i:N` by its
 * index. A step without anything below it is in the set itself; one with steps below it is, where `.` is among them.
 * The root is no step: an empty one is the empty set.
 */
export interface FieldSet {
  readonly [step: string]: FieldSet;
}

export const NO_FIELDS: FieldSet = Object.freeze({});
/** What stands at a step that is in a set, with nothing below it. */
export const MEMBER: FieldSet = NO_FIELDS;
const SELF = ".";

export function fieldStep(name: string): string {
  const known = fieldSteps.get(name);
  if (known !== undefined) return known;
  if (fieldSteps.size >= MOST_FIELD_STEPS) fieldSteps.clear();
  const step = `f:${name}`;
  fieldSteps.set(name, step);
  return step;
}

/** Nearly all steps are to fields of schemas, and a text that is made anew has no hash yet. */
const fieldSteps = new Map<string, string>();
const MOST_FIELD_STEPS = 10_000;

/** The step to the list element with these keys. */
export function keyStep(keys: JsonObject): string {
  return `k:${canonicalJson(keys)}`;
}

/** The step to the list element with this value. */
export function valueStep(value: unknown): string {
  return `v:${canonicalJson(value)}`;
}

export function isEmptySet(set: FieldSet): boolean {
  for (const step in set) if (step !== SELF) return false;
  return true;
}

/** True where what stands at a step says that the step is in the set. */
export function isMember(node: FieldSet): boolean {
  return Object.hasOwn(node, SELF) || isEmptySet(node);
}

/** What is below a step of the set; undefined where the set has nothing at it. */
export function stepInto(set: FieldSet | undefined, step: string): FieldSet | undefined {
  return set !== undefined && Object.hasOwn(set, step) ? set[step] : undefined;
}

/** What stands at a step: itself in the set or not, with what is below it. Undefined where that is nothing. */
export function nodeOf(member: boolean, below: FieldSet): FieldSet | undefined {
  if (isEmptySet(below)) return member ? MEMBER : undefined;
  return member === Object.hasOwn(below, SELF) ? below : member ? { [SELF]: MEMBER, ...below } : withoutSelf(below);
}

/** The set with what stands at one step; undefined leaves it as it is. */
export function makeSet(nodes: Iterable<readonly [step: string, node: FieldSet | undefined]>): FieldSet {
  const found: (readonly [string, FieldSet])[] = [];
  for (const [step, node] of nodes) if (node !== undefined) found.push([step, node]);
  return found.length === 0 ? NO_FIELDS : inStepOrder(found);
}

/** The set with a node at each field of an object; `member`: it is in the set itself. */
export function setOfFields(
  object: JsonObject,
  member: boolean,
  nodeAt: (name: string, field: unknown) => FieldSet,
): FieldSet {
  const names = Object.keys(object);
  if (names.length === 0) return NO_FIELDS;
  const set: Record<string, FieldSet> = member ? { [SELF]: MEMBER } : {};
  for (const name of names.length === 1 ? names : names.sort()) set[fieldStep(name)] = nodeAt(name, object[name]);
  return set;
}

function inStepOrder(nodes: (readonly [step: string, node: FieldSet])[]): FieldSet {
  const set: Record<string, FieldSet> = {};
  for (const [step, node] of nodes.sort(([left], [right]) => inOrder(left, right))) set[step] = node;
  return set;
}

export function union(left: FieldSet, right: FieldSet): FieldSet {
  if (left === right || isEmptySet(right)) return left;
  if (isEmptySet(left)) return right;
  let changed: Record<string, FieldSet> | undefined;
  let grown = false;
  for (const step of Object.keys(right)) {
    const more = right[step];
    if (step === SELF || more === undefined) continue;
    const there = stepInto(left, step);
    const node = there === undefined ? more : unionOfNodes(there, more);
    if (node === there) continue;
    changed ??= { ...left };
    changed[step] = node;
    grown ||= there === undefined;
  }
  if (changed === undefined) return left;
  return grown ? inStepOrder(Object.entries(changed)) : changed;
}

function unionOfNodes(left: FieldSet, right: FieldSet): FieldSet {
  if (left === right) return left;
  const below = union(left, right);
  return nodeOf(isMember(left) || isMember(right), below) ?? MEMBER;
}

/** What is in `left` and not in `right`: of fields themselves, whatever is below them. */
export function difference(left: FieldSet, right: FieldSet): FieldSet {
  if (left === NO_FIELDS || right === NO_FIELDS) return left;
  const changed: Record<string, FieldSet> = {};
  let differs = false;
  for (const step of Object.keys(left)) {
    const there = left[step];
    const less = step === SELF ? undefined : stepInto(right, step);
    const node =
      there === undefined || less === undefined
        ? there
        : nodeOf(isMember(there) && !isMember(less), difference(there, less));
    differs ||= node !== there;
    if (node !== undefined) changed[step] = node;
  }
  return differs ? changed : left;
}

export function intersection(left: FieldSet, right: FieldSet): FieldSet {
  const nodes = Object.keys(left).map((step): [string, FieldSet | undefined] => {
    const [one, other] = [left[step], stepInto(right, step)];
    if (step === SELF || one === undefined || other === undefined) return [step, undefined];
    return [step, nodeOf(isMember(one) && isMember(other), intersection(one, other))];
  });
  return makeSet(nodes);
}

/** The set's fields as Kubernetes writes them in sentences: `.spec.containers[name="web"].image`. */
export function pathsOf(set: FieldSet): string[] {
  return below(set, "");
}

function below(set: FieldSet, path: string): string[] {
  return Object.entries(set).flatMap(([step, node]) => {
    if (step === SELF) return [];
    const here = `${path}${printed(step)}`;
    return [...(isMember(node) ? [here] : []), ...below(node, here)];
  });
}

function printed(step: string): string {
  const rest = step.slice(2);
  if (step.startsWith("f:")) return `.${rest}`;
  if (step.startsWith("v:")) return `[=${rest}]`;
  if (step.startsWith("i:")) return `[${rest}]`;
  const keys: unknown = JSON.parse(rest);
  const pairs = Object.entries(isJsonObject(keys) ? keys : {});
  return `[${pairs.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(",")}]`;
}

/** A set that a client sent, in the one form that sets have here; undefined where it is none. */
export function readFieldSet(value: unknown): FieldSet | undefined {
  if (!isJsonObject(value)) return undefined;
  const nodes: [string, FieldSet][] = [];
  for (const [key, inside] of Object.entries(value)) {
    const step = key === SELF ? key : canonicalStep(key);
    const node = readFieldSet(inside);
    if (step === undefined || node === undefined || (step === SELF && !isEmptySet(node))) return undefined;
    nodes.push([step, node]);
  }
  return makeSet(nodes);
}

function canonicalStep(step: string): string | undefined {
  const rest = step.slice(2);
  try {
    switch (step.slice(0, 2)) {
      case "f:":
        return step;
      case "k:": {
        const keys: unknown = JSON.parse(rest);
        return isJsonObject(keys) ? keyStep(keys) : undefined;
      }
      case "v:":
        return valueStep(JSON.parse(rest));
      case "i:":
        return /^\d+$/.test(rest) ? step : undefined;
      default:
        return undefined;
    }
  } catch {
    return undefined;
  }
}

function withoutSelf({ [SELF]: _, ...rest }: FieldSet): FieldSet {
  return rest;
}

/** Kubernetes' order: itself, fields, keys, values, indexes. */
const KINDS = ".fkvi";

function inOrder(left: string, right: string): number {
  const kinds = left[0] === right[0] ? 0 : KINDS.indexOf(left.charAt(0)) - KINDS.indexOf(right.charAt(0));
  return kinds !== 0 ? kinds : left < right ? -1 : left > right ? 1 : 0;
}
