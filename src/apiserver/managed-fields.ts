import type { StatusCause } from "../model/api/admission.ts";
import { isJsonObject, textAt } from "../model/json.ts";
import { changesWithout, type FieldChanges } from "./field-changes.ts";
import {
  difference,
  type FieldSet,
  fieldStep,
  intersection,
  isEmptySet,
  MEMBER,
  makeSet,
  NO_FIELDS,
  readFieldSet,
  union,
} from "./field-set.ts";

/** One entry of `metadata.managedFields` (meta/v1 ManagedFieldsEntry): the fields that a manager owns. */
export interface Ownership {
  readonly manager: string;
  readonly operation: "Apply" | "Update";
  readonly apiVersion: string;
  /** When the manager changed its fields last. */
  readonly time?: string;
  readonly fieldsType: "FieldsV1";
  readonly fieldsV1: FieldSet;
  readonly subresource?: string;
}

/** Who writes, and how: what an entry is known by. */
export type Writer = Pick<Ownership, "manager" | "operation" | "apiVersion" | "subresource">;

/** A manager that applied nothing before has its fields from here on, where nobody was kept so far (Kubernetes' name). */
const BEFORE_FIRST_APPLY = "before-first-apply";
/** The manager of what the oldest entries of too many had (Kubernetes' name). */
const ANCIENT = "ancient-changes";
const MOST_UPDATERS = 10;

/** Fields that nobody owns, because only the API decides them or they name the object. */
export const UNOWNED: FieldSet = makeSet([
  ["f:apiVersion", MEMBER],
  ["f:kind", MEMBER],
  [
    "f:metadata",
    makeSet([
      [".", MEMBER],
      ...[
        "clusterName",
        "creationTimestamp",
        "generation",
        "managedFields",
        "name",
        "namespace",
        "resourceVersion",
        "selfLink",
        "uid",
      ].map((name): [string, FieldSet] => [fieldStep(name), MEMBER]),
    ]),
  ],
]);

/** True where an entry is that of this writer. Those who apply are the same in every version. */
export function isOf(entry: Ownership, writer: Writer): boolean {
  return (
    entry.manager === writer.manager &&
    entry.operation === writer.operation &&
    (entry.subresource ?? "") === (writer.subresource ?? "") &&
    (entry.operation === "Apply" || entry.apiVersion === writer.apiVersion)
  );
}

/** What a client says of `metadata.managedFields`: undefined where it wants nobody to own anything. */
export function readOwnerships(value: unknown): { readonly entries?: readonly Ownership[]; causes: StatusCause[] } {
  const causes: StatusCause[] = [];
  const wrong = (field: string, message: string): undefined => {
    causes.push({ reason: "FieldValueInvalid", field: `metadata.managedFields${field}`, message });
  };
  if (!Array.isArray(value)) {
    wrong("", "Invalid value: must be a list");
    return { causes };
  }
  const [first] = value;
  if (value.length === 0 || (value.length === 1 && isJsonObject(first) && Object.keys(first).length === 0)) {
    return { causes };
  }
  const entries = value.flatMap(
    (entry, index) => readOwnership(entry, (field, why) => wrong(`[${index}]${field}`, why)) ?? [],
  );
  return { entries, causes };
}

function readOwnership(value: unknown, wrong: (field: string, message: string) => undefined): Ownership | undefined {
  if (!isJsonObject(value)) return wrong("", "Invalid value: must be an object");
  const { operation, fieldsType = "FieldsV1" } = value;
  if (operation !== "Apply" && operation !== "Update") {
    return wrong(".operation", `Invalid value: ${JSON.stringify(operation ?? "")}: must be \`Apply\` or \`Update\``);
  }
  if (fieldsType !== "FieldsV1") {
    return wrong(".fieldsType", `Invalid value: ${JSON.stringify(fieldsType)}: must be \`FieldsV1\``);
  }
  const fieldsV1 = readFieldSet(value["fieldsV1"] ?? {});
  if (fieldsV1 === undefined) return wrong(".fieldsV1", "Invalid value: is no set of fields in the form of FieldsV1");
  const manager = value["manager"] ?? "";
  const problem = managerProblem(manager);
  if (typeof manager !== "string" || problem !== undefined) return wrong(".manager", problem ?? "Invalid value");
  const [apiVersion, time, subresource] = [
    textAt(value, "apiVersion"),
    textAt(value, "time"),
    textAt(value, "subresource"),
  ];
  if (apiVersion === undefined) return wrong(".apiVersion", "Required value: an entry has the version of its fields");
  if (time !== undefined && Number.isNaN(Date.parse(time))) {
    return wrong(".time", `Invalid value: ${JSON.stringify(time)}: must be a time in RFC 3339`);
  }
  return entryOf(
    { manager, operation, apiVersion, ...(subresource === undefined ? {} : { subresource }) },
    fieldsV1,
    time,
  );
}

/** Why something cannot be a field manager's name; undefined where it can. */
export function managerProblem(manager: unknown): string | undefined {
  if (typeof manager !== "string") return "Invalid value: must be a text";
  if (manager.length > LONGEST_MANAGER) return `Too long: may not be more than ${LONGEST_MANAGER} bytes`;
  return UNPRINTABLE.test(manager)
    ? `Invalid value: ${JSON.stringify(manager)}: should not contain unprintable characters`
    : undefined;
}

const LONGEST_MANAGER = 128;
const UNPRINTABLE = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u;
const EACH_UNPRINTABLE = new RegExp(UNPRINTABLE, "gu");

/** The manager that a program without a name for itself is: its User-Agent up to the slash. */
export function managerOfUserAgent(userAgent: string | undefined): string {
  const [product = ""] = (userAgent ?? "").split("/", 1);
  return product.replace(EACH_UNPRINTABLE, "").slice(0, LONGEST_MANAGER) || "unknown";
}

export function entryOf(writer: Writer, fieldsV1: FieldSet, time: string | undefined): Ownership {
  const { manager, operation, apiVersion, subresource } = writer;
  return {
    manager,
    operation,
    apiVersion,
    ...(time === undefined ? {} : { time }),
    fieldsType: "FieldsV1",
    fieldsV1,
    ...(subresource === undefined ? {} : { subresource }),
  };
}

/** The owners after a write that is no apply: what it set is its writer's alone, what it removed is nobody's. */
export function afterUpdate(
  entries: readonly Ownership[],
  changes: FieldChanges,
  writer: Writer,
  time: string,
): readonly Ownership[] {
  const { added, modified, removed } = changesWithout(changes, UNOWNED);
  const set = union(added, modified);
  if (isEmptySet(set) && isEmptySet(removed)) return entries;
  const left = entries.flatMap((entry) => without(entry, union(set, removed)));
  if (isEmptySet(set)) return left;
  const own = left.find((entry) => isOf(entry, writer));
  const fields = own === undefined ? set : union(own.fieldsV1, set);
  return inOrder(capped([...left.filter((entry) => entry !== own), entryOf(writer, fields, time)]));
}

/** The owners of an object whose fields nobody owned until somebody applies to it. */
export function beforeFirstApply(fields: FieldSet, apiVersion: string, time: string): readonly Ownership[] {
  const owned = difference(fields, UNOWNED);
  if (isEmptySet(owned)) return [];
  return [entryOf({ manager: BEFORE_FIRST_APPLY, operation: "Update", apiVersion }, owned, time)];
}

/** Fields that a writer would change and somebody else owns. */
export interface FieldConflict {
  readonly owner: Ownership;
  readonly fields: FieldSet;
}

export function conflictsWith(entries: readonly Ownership[], changes: FieldChanges, writer: Writer): FieldConflict[] {
  const set = union(changes.added, changes.modified);
  return entries
    .filter((entry) => !isOf(entry, writer))
    .map((owner) => ({ owner, fields: intersection(owner.fieldsV1, set) }))
    .filter(({ fields }) => !isEmptySet(fields));
}

/** The owners after an apply: the writer owns what its configuration names; what changed under others is theirs no more. */
export function afterApply(
  entries: readonly Ownership[],
  config: FieldSet,
  changes: FieldChanges,
  writer: Writer,
  time: string,
): readonly Ownership[] {
  const taken = union(union(changes.added, changes.modified), changes.removed);
  const others = entries.filter((entry) => !isOf(entry, writer)).flatMap((entry) => without(entry, taken));
  const fields = difference(config, UNOWNED);
  return inOrder(isEmptySet(fields) ? others : [...others, entryOf(writer, fields, time)]);
}

function without(entry: Ownership, fields: FieldSet): Ownership[] {
  const fieldsV1 = difference(entry.fieldsV1, fields);
  if (fieldsV1 === entry.fieldsV1) return [entry];
  return isEmptySet(fieldsV1) ? [] : [{ ...entry, fieldsV1 }];
}

/** At most ten entries of updates: the oldest ones are put together. */
function capped(entries: readonly Ownership[]): readonly Ownership[] {
  const updates = entries.filter(({ operation }) => operation === "Update");
  if (updates.length <= MOST_UPDATERS) return entries;
  const old = updates.toSorted(byTime).slice(0, updates.length - MOST_UPDATERS + 1);
  const merged = Map.groupBy(old, ({ apiVersion }) => apiVersion);
  return [
    ...entries.filter((entry) => !old.includes(entry)),
    ...[...merged].map(([apiVersion, together]) =>
      entryOf(
        { manager: ANCIENT, operation: "Update", apiVersion },
        together.reduce((fields, entry) => union(fields, entry.fieldsV1), NO_FIELDS),
        together.at(-1)?.time,
      ),
    ),
  ];
}

/** As Kubernetes lists them: who applies first, then by time and name. */
function inOrder(entries: readonly Ownership[]): readonly Ownership[] {
  return entries.toSorted(
    (left, right) =>
      Number(left.operation === "Update") - Number(right.operation === "Update") ||
      byTime(left, right) ||
      compareTexts(left.manager, right.manager),
  );
}

function byTime(left: Ownership, right: Ownership): number {
  return compareTexts(left.time ?? "", right.time ?? "");
}

function compareTexts(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** An entry apart from when it was written. */
export function timeless({ time: _, ...entry }: Ownership): object {
  return entry;
}

/** The entries of an object of the store, from its `metadata.managedFields`. */
export function ownershipsOf(managedFields: unknown): readonly Ownership[] {
  if (!Array.isArray(managedFields)) return [];
  return managedFields.every(isOwnership) ? managedFields : managedFields.filter(isOwnership);
}

/** Nothing but this API writes the store, and it writes entries whole. */
function isOwnership(entry: unknown): entry is Ownership {
  return isJsonObject(entry) && isJsonObject(entry["fieldsV1"]);
}
