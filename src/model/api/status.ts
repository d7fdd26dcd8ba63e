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

/** A failure as the API words it. */
export function failure(httpStatus: number, reason: string, message: string, details?: StatusDetails): Status {
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message,
    reason,
    ...(details === undefined ? {} : { details }),
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
