import { JUDGED_KINDS, type JudgedKind } from "./judge.ts";

/** A line of a file of admission cases. */
export interface Case {
  readonly id: string;
  readonly kind: JudgedKind;
  readonly object: unknown;
  /** `spec.configuration` of the KubeVirt resource. */
  readonly config: unknown;
}

/** Reads one line of a file of cases; why it is none, otherwise. */
export function readCase(line: string): Case | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
  if (typeof value !== "object" || value === null) return "it is no object";
  const { id, kind, object, config } = value as Readonly<Record<string, unknown>>;
  if (typeof id !== "string") return "it has no id";
  const judged = JUDGED_KINDS.find((name) => name === (kind ?? kindOf(object)));
  if (judged === undefined) return `its kind is none of ${JUDGED_KINDS.join(", ")}`;
  return { id, kind: judged, object, config: config ?? {} };
}

function kindOf(object: unknown): unknown {
  return typeof object === "object" && object !== null && "kind" in object ? object.kind : undefined;
}
