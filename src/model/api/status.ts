import type { Code } from "../codes/codes.ts";
import { Fault } from "../fault.ts";
import type { StatusCause } from "./admission.ts";

/** What a failed call answers: `Status` of meta/v1. */
export interface Status {
  readonly kind: "Status";
  readonly apiVersion: "v1";
  readonly metadata: { readonly resourceVersion?: string; readonly continue?: string };
  readonly status: "Success" | "Failure";
  readonly message?: string;
  /** Kubernetes' machine-readable word, such as `NotFound`. */
  readonly reason?: string;
  readonly details?: StatusDetails;
  /** The HTTP status. */
  readonly code?: number;
}

export interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly StatusCause[];
  readonly retryAfterSeconds?: number;
}

/** An answer of an API server that is no success; thrown by the server's own code and by its client alike. */
export class ApiError extends Fault {
  readonly status: Status;

  constructor(code: Code, status: Status, cure?: string) {
    super(code, status.message ?? status.reason ?? "the API refused the call", {
      ...(cure === undefined ? {} : { cure }),
      data: { status },
    });
    this.status = status;
  }

  /** The HTTP status. */
  get httpStatus(): number {
    return this.status.code ?? 500;
  }

  get reason(): string {
    return this.status.reason ?? "Unknown";
  }
}

/** More causes than these help nobody. */
const MOST_CAUSES = 100;
/** Characters of a cause's sentence or place, and of a name; names that can be have at most 317. */
const LONGEST_PART = 1_000;
/** Characters of a whole message. */
const LONGEST_MESSAGE = 16_384;

/** As many causes as a Status tells, each of a length that helps; of more, the last one says how many there are. */
export function toldCauses(causes: readonly StatusCause[]): readonly StatusCause[] {
  const told = causes.slice(0, MOST_CAUSES).map((cause) => {
    const { message, field } = cause;
    if (message.length <= LONGEST_PART && field.length <= LONGEST_PART) return cause;
    return { ...cause, message: shortened(message, LONGEST_PART), field: shortened(field, LONGEST_PART) };
  });
  const more = causes.length - told.length;
  if (more === 0) return told;
  return [...told, { reason: "TooManyCauses", message: `${more} more causes are not listed here`, field: "" }];
}

function shortened(text: string, longest: number): string {
  return text.length <= longest ? text : `${text.slice(0, longest)}… (${text.length - longest} more characters)`;
}

function toldDetails(details: StatusDetails): StatusDetails {
  const { name, causes } = details;
  return {
    ...details,
    ...(name === undefined ? {} : { name: shortened(name, LONGEST_PART) }),
    ...(causes === undefined ? {} : { causes: toldCauses(causes) }),
  };
}

/** A failure as the API words it, of a size that helps whatever was asked. */
export function failure(httpStatus: number, reason: string, message: string, details?: StatusDetails): Status {
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: shortened(message, LONGEST_MESSAGE),
    reason,
    ...(details === undefined ? {} : { details: toldDetails(details) }),
    code: httpStatus,
  };
}

/** True for a Status object that a server sent. */
export function isStatus(value: unknown): value is Status {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "Status";
}

/** True for an {@link ApiError}; with a reason, only for that one. */
export function isApiError(thrown: unknown, reason?: string): thrown is ApiError {
  return thrown instanceof ApiError && (reason === undefined || thrown.reason === reason);
}
