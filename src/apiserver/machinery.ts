import type { Logger } from "pino";
import type { Admission } from "../model/api/admission.ts";
import type { Catalog } from "./catalog.ts";
import type { Store } from "./store.ts";

/** What every verb works with. */
export interface Machinery {
  readonly catalog: Catalog;
  readonly store: Store;
  readonly admission: Admission;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Logger;
}

/** Who asks, and how the write is to be carried out. */
export interface WriteOptions {
  readonly user: string;
  /** Name of the program that writes; owner of the fields that it sets. */
  readonly manager: string;
  readonly dryRun: boolean;
  readonly fieldValidation: FieldValidation;
}

/** `fieldValidation` of a write: what an unknown field leads to. */
export type FieldValidation = "Strict" | "Warn" | "Ignore";

/** Which object a write was of. */
export interface ObjectIdentity {
  readonly name: string;
  readonly uid: string | undefined;
}

/** The answer to a write. */
export interface Written extends ObjectIdentity {
  /** The object's JSON text. */
  readonly body: string;
  readonly warnings: readonly string[];
  readonly created: boolean;
}
