import type { Code } from "./codes/codes.ts";

/** Plain data that travels with a fault: what a program needs to act on it. */
export type FaultData = Readonly<Record<string, unknown>>;

/** What a fault may carry beside its code and sentence. */
export interface FaultOptions {
  /** What the reader can do about it, as a sentence or a command. */
  readonly cure?: string;
  /** Where it lies: a field path of a manifest, a file, a device. */
  readonly place?: string;
  readonly data?: FaultData;
  readonly cause?: unknown;
}

/**
 * The one error type of this project: a code of the table in `codes/`, a sentence that names the place, and a cure.
 *
 * Anything else that is thrown is a defect.
 */
export class Fault extends Error {
  static override readonly name = "Fault";
  readonly code: Code;
  readonly cure: string | undefined;
  readonly place: string | undefined;
  readonly data: FaultData;

  constructor(code: Code, message: string, options: FaultOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = Fault.name;
    this.code = code;
    this.cure = options.cure;
    this.place = options.place;
    this.data = options.data ?? {};
  }
}

/** True for the project's own errors; with a code, only for that one. */
export function isFault(thrown: unknown, code?: Code): thrown is Fault {
  return thrown instanceof Fault && (code === undefined || thrown.code === code);
}

/** Turns anything thrown into a Fault, so that callers have one type to report. Foreign errors become `code`. */
export function toFault(thrown: unknown, code: Code): Fault {
  if (isFault(thrown)) return thrown;
  return new Fault(code, thrown instanceof Error ? thrown.message : String(thrown), { cause: thrown });
}

/** The sentence, the place where the sentence does not name it, and the cure as one text, as conditions show it. */
export function sentence({ message, place, cure }: Fault): string {
  const where = place === undefined || message.includes(place) ? "" : ` Place: ${place}.`;
  return `${message}${where}${cure === undefined ? "" : ` ${cure}`}`;
}
