import type { KubeObject } from "./resource.ts";

/** What the API asks before it stores an object, as in admission.k8s.io/v1. */
export interface AdmissionRequest {
  readonly operation: "CREATE" | "UPDATE" | "DELETE";
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  /** `status` and the like; absent for the resource itself. */
  readonly subresource?: string;
  readonly namespace?: string;
  readonly name?: string;
  /** What is to be stored; on DELETE what is to go. */
  readonly object: KubeObject;
  readonly oldObject?: KubeObject;
  readonly user: string;
  readonly dryRun: boolean;
}

export type AdmissionResponse =
  | { readonly allowed: true; readonly object: KubeObject; readonly warnings: readonly string[] }
  | {
      readonly allowed: false;
      /** HTTP status: 422 for findings in the object, 403 for what is forbidden. */
      readonly status: number;
      readonly reason: string;
      readonly message: string;
      readonly causes: readonly StatusCause[];
      readonly warnings: readonly string[];
    };

/** An element of `status.details.causes` of a Kubernetes Status. */
export interface StatusCause {
  readonly reason: string;
  readonly message: string;
  readonly field: string;
}

/** Mutates and judges one request; must answer, never throw. */
export type Admission = (request: AdmissionRequest) => Promise<AdmissionResponse>;
