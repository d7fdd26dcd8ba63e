import type { PrinterColumn } from "./resource.ts";

/** A column whose cells stand somewhere in the object. */
export function column(
  name: string,
  jsonPath: string,
  description: string,
  options: Pick<Partial<PrinterColumn>, "type" | "priority" | "cell"> = {},
): PrinterColumn {
  return { type: "string", priority: 0, ...options, name, jsonPath, description };
}

/** Path of a condition's status. */
export const condition = (type: string): string => `.status.conditions[?(@.type=='${type}')].status`;

export const age = column("Age", ".metadata.creationTimestamp", "Time since the object was made.", { type: "date" });
export const ready = column("Ready", condition("Ready"), "Whether it can be used.");
/** Shown with `-o wide` only. */
export const wide = { priority: 1 } as const;
