import type { PrinterColumn, ResourceDefinition } from "../model/api/resource.ts";
import { isJsonObject, type JsonObject, objectAt } from "../model/json.ts";
import { compileJsonPath, type JsonPath } from "./json-path.ts";

/** What a row of a Table carries beside its cells (`includeObject` of meta/v1 TableOptions). */
export type IncludeObject = "None" | "Metadata" | "Object";

/** Makes `Table` documents (meta.k8s.io) of one resource's objects. */
export interface TablePrinter {
  table(
    objects: readonly JsonObject[],
    metadata: JsonObject,
    version: "v1" | "v1beta1",
    include: IncludeObject,
  ): object;
}

const NAME: PrinterColumn = {
  name: "Name",
  type: "string",
  jsonPath: ".metadata.name",
  description: "Name must be unique within a namespace.",
  priority: 0,
};

const AGE: PrinterColumn = {
  name: "Age",
  type: "date",
  jsonPath: ".metadata.creationTimestamp",
  description: "The time since the object was created.",
  priority: 0,
};

/**
 * Columns of the name, before the others, and of the age, behind them, come to those of the definition: to a built-in
 * one that has a column `Name` or one that tells a time itself, no such; to a user's own kind, no age. `now` is in ms
 * since the epoch.
 */
export function makeTablePrinter(definition: ResourceDefinition, now: () => number): TablePrinter {
  const own = definition.columns;
  const isUsers = definition.definedBy !== undefined;
  const dated = isUsers || own.some(({ type, jsonPath }) => type === "date" || jsonPath === AGE.jsonPath);
  const named = !isUsers && own.some((column) => column.name === NAME.name);
  const columns = [...(named ? [] : [NAME]), ...own, ...(dated ? [] : [AGE])].map((column) => ({
    column,
    path: compileJsonPath(column.jsonPath),
  }));
  const columnDefinitions = columns.map(({ column }) => ({
    name: column.name,
    // kubectl prints a date cell as it stands, and the cells of dates here are spans of time.
    type: column.type === "date" ? "string" : column.type,
    format: column.name === NAME.name ? "name" : "",
    description: column.description,
    priority: column.priority,
  }));
  return {
    table: (objects, metadata, version, include) => ({
      kind: "Table",
      apiVersion: `meta.k8s.io/${version}`,
      metadata,
      columnDefinitions,
      rows: objects.map((object) => ({
        cells: columns.map(({ column, path }) => cell(column, path, object, now())),
        ...(include === "None" ? {} : { object: include === "Object" ? object : partialMetadata(object, version) }),
      })),
    }),
  };
}

/** `PartialObjectMetadata` of an object. */
export function partialMetadata(object: JsonObject, version: "v1" | "v1beta1"): object {
  return {
    kind: "PartialObjectMetadata",
    apiVersion: `meta.k8s.io/${version}`,
    metadata: objectAt(object, "metadata"),
  };
}

function cell(column: PrinterColumn, path: JsonPath, object: JsonObject, now: number): unknown {
  if (column.cell !== undefined) return column.cell(object);
  const values = path(object).filter((value) => value !== null && value !== undefined);
  const [value] = values;
  if (value === undefined) return column.type === "string" || column.type === "date" ? "" : null;
  switch (column.type) {
    case "integer":
    case "number":
      return typeof value === "number" ? value : null;
    case "boolean":
      return typeof value === "boolean" ? value : null;
    case "date":
      return age(String(value), now);
    case "string":
      return values
        .map((each) => (isJsonObject(each) || Array.isArray(each) ? JSON.stringify(each) : String(each)))
        .join(",");
  }
}

function age(timestamp: string, now: number): string {
  const since = Date.parse(timestamp);
  return Number.isNaN(since) ? "<invalid>" : humanDuration(Math.floor((now - since) / 1_000));
}

/** A span of seconds in the two or three digits that Kubernetes' tables use: `5s`, `2m30s`, `3h12m`, `2d`. */
export function humanDuration(seconds: number): string {
  if (seconds < -1) return "<invalid>";
  if (seconds < 0) return "0s";
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return pair(minutes, "m", seconds % 60, "s");
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 8) return pair(hours, "h", minutes % 60, "m");
  if (hours < 48) return `${hours}h`;
  const days = Math.floor(hours / 24);
  if (hours < 192) return pair(days, "d", hours % 24, "h");
  if (days < 730) return `${days}d`;
  const years = Math.floor(days / 365);
  return days < 2_920 ? pair(years, "y", days % 365, "d") : `${years}y`;
}

function pair(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large}${largeUnit}` : `${large}${largeUnit}${small}${smallUnit}`;
}
