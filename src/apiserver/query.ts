import { valueAt } from "../model/api/field-path.ts";
import type { ApiError } from "../model/api/status.ts";
import { isJsonObject, type JsonObject, objectAt, textAt } from "../model/json.ts";
import type { DeleteOptions, PropagationPolicy } from "./deletes.ts";
import type { FieldValidation, WriteOptions } from "./machinery.ts";
import { managerOfUserAgent, managerProblem } from "./managed-fields.ts";
import { badRequest, invalid } from "./refusals.ts";

/** The value of a parameter; an empty one counts as absent. */
export function parameter(query: URLSearchParams, name: string): string | undefined {
  const value = query.get(name);
  return value === null || value === "" ? undefined : value;
}

/** @throws ApiError 400 where the parameter is no such number. */
export function wholeParameter(query: URLSearchParams, name: string): number | undefined {
  const value = parameter(query, name);
  if (value === undefined) return undefined;
  if (!/^\d{1,9}$/.test(value)) throw badRequest(`${name}: Invalid value: "${value}": must be a whole number`);
  return Number(value);
}

/** @throws ApiError 400 where the parameter is neither true nor false. */
export function flagParameter(query: URLSearchParams, name: string): boolean {
  const value = query.get(name);
  if (value === null || value === "false" || value === "0") return false;
  if (value === "true" || value === "1" || value === "") return true;
  throw badRequest(`${name}: Invalid value: "${value}": must be true or false`);
}

/** Options of a write; @throws ApiError 422 where they are none. Who gives no `fieldManager` is known by its User-Agent. */
export function readWriteOptions(
  query: URLSearchParams,
  user: string,
  userAgent: string | undefined,
  kind: "CreateOptions" | "UpdateOptions" | "PatchOptions",
): WriteOptions {
  const manager = parameter(query, "fieldManager");
  const problem = manager === undefined ? undefined : managerProblem(manager);
  if (problem !== undefined) throw invalidOption(kind, "FieldValueInvalid", "fieldManager", problem);
  return {
    user,
    manager: manager ?? managerOfUserAgent(userAgent),
    dryRun: readDryRun(kind, query.getAll("dryRun")),
    fieldValidation: readFieldValidation(kind, parameter(query, "fieldValidation") ?? "Warn"),
  };
}

/** `force` of a patch: whether an apply takes over fields that others own. @throws ApiError 422 where it has no meaning. */
export function readForce(query: URLSearchParams, applies: boolean): boolean {
  if (applies && parameter(query, "fieldManager") === undefined) {
    const message = "Required value: is required for apply patch";
    throw invalidOption("PatchOptions", "FieldValueRequired", "fieldManager", message);
  }
  if (!applies && parameter(query, "force") !== undefined) {
    const message = "Forbidden: may not be specified for non-apply patch";
    throw invalidOption("PatchOptions", "FieldValueForbidden", "force", message);
  }
  return flagParameter(query, "force");
}

/** What says which state of a collection a list or a watch shows. */
export interface ListVersion {
  readonly continue?: string;
  readonly resourceVersion?: string;
  readonly resourceVersionMatch?: string;
  readonly sendInitialEvents?: boolean;
}

/** Options of a list or a watch that go together only in some ways, as kube-apiserver has them. @throws ApiError 422. */
export function readListOptions(query: URLSearchParams, watch: boolean): ListVersion {
  const [token, resourceVersion] = [parameter(query, "continue"), parameter(query, "resourceVersion")];
  const match = parameter(query, "resourceVersionMatch");
  const initial = parameter(query, "sendInitialEvents");
  const wrong = (field: string, why: string, reason = "FieldValueForbidden") =>
    invalidOption("ListOptions", reason, field, reason === "FieldValueForbidden" ? `Forbidden: ${why}` : why);
  const by = "resourceVersionMatch";
  if (match !== undefined && match !== "Exact" && match !== "NotOlderThan") {
    const why = `Unsupported value: "${match}": supported values: "Exact", "NotOlderThan"`;
    throw wrong(by, why, "FieldValueNotSupported");
  }
  if (initial !== undefined) {
    if (!watch) throw wrong("sendInitialEvents", "sendInitialEvents is forbidden for list");
    if (match !== "NotOlderThan") {
      throw wrong(by, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    }
  } else if (match !== undefined) {
    if (watch) throw wrong(by, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
    if (token !== undefined) throw wrong(by, "resourceVersionMatch is forbidden when continue is provided");
    if (resourceVersion === undefined) {
      throw wrong(by, "resourceVersionMatch is forbidden unless resourceVersion is provided");
    }
    if (match === "Exact" && resourceVersion === "0") {
      throw wrong(by, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"');
    }
  }
  return {
    ...(token === undefined ? {} : { continue: token }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
    ...(match === undefined ? {} : { resourceVersionMatch: match }),
    ...(initial === undefined ? {} : { sendInitialEvents: flagParameter(query, "sendInitialEvents") }),
  };
}

function invalidOption(kind: string, reason: string, field: string, message: string): ApiError {
  return invalid({ group: "meta.k8s.io", kind, plural: kind }, "", [{ reason, field, message }]);
}

function unsupportedOption(kind: string, field: string, value: string, supported: readonly string[]): ApiError {
  const values = supported.map((each) => JSON.stringify(each)).join(", ");
  const message = `Unsupported value: ${value}: supported values: ${values}`;
  return invalidOption(kind, "FieldValueNotSupported", field, message);
}

function readFieldValidation(kind: string, text: string): FieldValidation {
  if (text === "Strict" || text === "Warn" || text === "Ignore") return text;
  throw unsupportedOption(kind, "fieldValidation", JSON.stringify(text), ["", "Ignore", "Strict", "Warn"]);
}

function readDryRun(kind: string, values: readonly unknown[]): boolean {
  const given = values.filter((value) => value !== "");
  if (given.every((value) => value === "All")) return given.length > 0;
  const told = given.map((value) => JSON.stringify(value)).join(", ");
  throw unsupportedOption(kind, "dryRun", `[]string{${told}}`, ["All"]);
}

/** Options of a deletion: its body (`DeleteOptions` of meta/v1), then the query. */
export function readDeleteOptions(query: URLSearchParams, body: JsonObject, user: string): DeleteOptions {
  const { kind = "DeleteOptions" } = body;
  // What is meant for another call is not to delete anything.
  if (kind !== "DeleteOptions") throw badRequest(`the body is a ${String(kind)}; this call takes DeleteOptions`);
  const grace = body["gracePeriodSeconds"] ?? wholeParameter(query, "gracePeriodSeconds");
  if (grace !== undefined && (typeof grace !== "number" || !Number.isSafeInteger(grace))) {
    throw badRequest("gracePeriodSeconds must be a whole number of seconds");
  }
  requireForms(body);
  const given = Array.isArray(body["dryRun"]) ? body["dryRun"] : [];
  const orphan = body["orphanDependents"] ?? (flagParameter(query, "orphanDependents") ? true : undefined);
  const policy = textAt(body, "propagationPolicy") ?? parameter(query, "propagationPolicy");
  if (policy !== undefined && typeof orphan === "boolean") {
    const message = "Invalid value: orphanDependents and propagationPolicy cannot be both set";
    throw invalidOption("DeleteOptions", "FieldValueInvalid", "propagationPolicy", message);
  }
  const preconditions = objectAt(body, "preconditions");
  const uid = textAt(preconditions, "uid");
  const resourceVersion = textAt(preconditions, "resourceVersion");
  return {
    user,
    dryRun: readDryRun("DeleteOptions", [...given, ...query.getAll("dryRun")]),
    ...(policy === undefined && typeof orphan !== "boolean"
      ? {}
      : { propagationPolicy: readPolicy(policy ?? (orphan === true ? "Orphan" : "Background")) }),
    preconditions: {
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
    ...(grace === undefined ? {} : { gracePeriodSeconds: grace }),
  };
}

const isText = (value: unknown): boolean => typeof value === "string";
/** Options that would otherwise count as absent where they are of another form: what is deleted then is gone. */
const FORMS: readonly (readonly [path: readonly string[], fits: (value: unknown) => boolean, what: string])[] = [
  [["dryRun"], Array.isArray, "a list of texts"],
  [["orphanDependents"], (value) => typeof value === "boolean", "true or false"],
  [["propagationPolicy"], isText, "a text"],
  [["preconditions"], isJsonObject, "an object"],
  [["preconditions", "uid"], isText, "a text"],
  [["preconditions", "resourceVersion"], isText, "a text"],
];

function requireForms(body: JsonObject): void {
  for (const [path, fits, what] of FORMS) {
    const value = valueAt(body, path) ?? undefined;
    if (value !== undefined && !fits(value)) throw badRequest(`${path.join(".")} must be ${what}`);
  }
}

function readPolicy(text: string): PropagationPolicy {
  if (text === "Background" || text === "Foreground" || text === "Orphan") return text;
  const supported = ["Foreground", "Background", "Orphan", "nil"];
  throw unsupportedOption("DeleteOptions", "propagationPolicy", JSON.stringify(text), supported);
}
