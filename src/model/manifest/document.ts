import type { FieldPath } from "../api/field-path.ts";

/** A document of a manifest file: its value, and where in the file each part of it stands. */
export interface ManifestDocument {
  readonly file: string;
  /** An object; nothing more is known of it yet. */
  readonly value: Readonly<Record<string, unknown>>;
  /** Where a field stands; of a field that is not there, where the object that should hold it does. */
  position(at: FieldPath, part: "key" | "value"): Position;
  /** A scalar as it was written, `yes` for true; undefined where there is none. */
  source(at: FieldPath): string | undefined;
  /** Where a part of a scalar stands, `offset` and `length` in its {@link source}; undefined where that cannot be told. */
  within(at: FieldPath, offset: number, length: number): Position | undefined;
}

/** A stretch of one line, from 1, in UTF-16 units. */
export interface Position {
  readonly line: number;
  readonly column: number;
  readonly length: number;
}
