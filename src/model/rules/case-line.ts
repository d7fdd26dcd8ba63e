import { JUDGED_KINDS, type JudgedKind } from "./judge.ts";

/** A line of a file of admission cases. */
export interface Case {
  readonly id: string;
  readonly kind: JudgedKind;
  readonly object: unknown;
  /** `spec.configuration` of the KubeVirt resource. */
  readonly config: unknown;
}

/** A line that is no case: why, and its id where it has one. */
export interface NoCase {
  readonly why: string;
  readonly id?: string;
}

/** Reads one line of a file of cases. Never throws. */
export function readCase(line: string): Case | NoCase {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (thrown) {
    return { why: thrown instanceof Error ? thrown.message : String(thrown) };
  }
  if (typeof value !== "object" || value === null) return { why: "it is no object" };
  const { id, kind, object, config } = value as Readonly<Record<string, unknown>>;
  if (typeof id !== "string") return { why: "it has no id" };
  const judged = JUDGED_KINDS.find((name) => name === (kind ?? kindOf(object)));
  if (judged === undefined) return { id, why: `its kind is none of ${JUDGED_KINDS.join(", ")}` };
  return { id, kind: judged, object, config: config ?? {} };
}

function kindOf(object: unknown): unknown {
  return typeof object === "object" && object !== null && "kind" in object ? object.kind : undefined;
}
