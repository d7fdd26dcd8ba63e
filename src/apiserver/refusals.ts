import type { StatusCause } from "../model/api/admission.ts";
import type { ResourceDefinition } from "../model/api/resource.ts";
import { ApiError, failure, type StatusDetails, toldCauses } from "../model/api/status.ts";

/** `pods` or `virtualmachineinstances.kubevirt.io`, as Kubernetes names a resource in sentences. */
export function qualifiedPlural(definition: Pick<ResourceDefinition, "group" | "plural">): string {
  return definition.group === "" ? definition.plural : `${definition.plural}.${definition.group}`;
}

type Subject = Pick<ResourceDefinition, "group" | "plural" | "kind">;

function detailsOf(subject: Subject, name: string): StatusDetails {
  return { name, ...(subject.group === "" ? {} : { group: subject.group }), kind: subject.plural };
}

function refusal(httpStatus: number, reason: string, message: string, details?: StatusDetails): ApiError {
  return new ApiError("PB6010", failure(httpStatus, reason, message, details));
}

export function badRequest(message: string): ApiError {
  return refusal(400, "BadRequest", message);
}

export function unauthorized(): ApiError {
  return refusal(401, "Unauthorized", "Unauthorized");
}

export function forbidden(subject: Subject, name: string, why: string, causes: readonly StatusCause[] = []): ApiError {
  return refusal(403, "Forbidden", `${qualifiedPlural(subject)} "${name}" is forbidden: ${why}`, {
    ...detailsOf(subject, name),
    ...(causes.length === 0 ? {} : { causes }),
  });
}

export function notFound(subject: Subject, name: string): ApiError {
  return refusal(404, "NotFound", `${qualifiedPlural(subject)} "${name}" not found`, detailsOf(subject, name));
}

/** The path leads to no resource. */
export function noSuchResource(): ApiError {
  return refusal(404, "NotFound", "the server could not find the requested resource", {});
}

export function methodNotAllowed(): ApiError {
  return refusal(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {});
}

export function notAcceptable(): ApiError {
  return refusal(406, "NotAcceptable", "only these media types are answered: application/json (also as Table)", {});
}

export function alreadyExists(subject: Subject, name: string): ApiError {
  const message = `${qualifiedPlural(subject)} "${name}" already exists`;
  return refusal(409, "AlreadyExists", message, detailsOf(subject, name));
}

export function conflict(subject: Subject, name: string, why: string): ApiError {
  const message = `Operation cannot be fulfilled on ${qualifiedPlural(subject)} "${name}": ${why}`;
  return refusal(409, "Conflict", message, detailsOf(subject, name));
}

/** 409 of server-side apply: others own fields that the configuration would change. Each cause names one. */
export function applyConflict(message: string, causes: readonly StatusCause[]): ApiError {
  return refusal(409, "Conflict", message, { causes });
}

/** The object was written by another since it was read. */
export function staleWrite(subject: Subject, name: string): ApiError {
  return conflict(
    subject,
    name,
    "the object has been modified; please apply your changes to the latest version and try again",
  );
}

/** A PUT that tells no resourceVersion, of a kind whose objects are replaced only as they were read. */
export function unversionedWrite(subject: Subject, name: string): ApiError {
  const message = "Invalid value: 0x0: must be specified for an update";
  // Kubernetes names the resource here where it names the kind in all other refusals of this form.
  const resource = { ...subject, kind: subject.plural };
  return invalid(resource, name, [{ reason: "FieldValueInvalid", field: "metadata.resourceVersion", message }]);
}

/** History that is gone; `token` goes on with a list all the same, as it is by now. */
export function expired(message: string, token?: string): ApiError {
  const status = failure(410, "Expired", message);
  return new ApiError("PB6010", token === undefined ? status : { ...status, metadata: { continue: token } });
}

export function tooLarge(limit: number): ApiError {
  return refusal(
    413,
    "RequestEntityTooLarge",
    `the request, or what it makes, is larger than the limit of ${limit} bytes`,
  );
}

export function tooManyValues(limit: number, values: number): ApiError {
  const why = `has ${values} fields and list elements, of which the limit is ${limit}`;
  return refusal(413, "RequestEntityTooLarge", `the request, or what it makes, ${why}`);
}

export function unsupportedMediaType(message: string): ApiError {
  return refusal(415, "UnsupportedMediaType", message);
}

/** 422 with its causes; `message` of a cause is what stands after the field in the sentence. */
export function invalid(subject: Subject, name: string, causes: readonly StatusCause[]): ApiError {
  const kind = subject.group === "" ? subject.kind : `${subject.kind}.${subject.group}`;
  const sentences = toldCauses(causes).map((cause) =>
    cause.field === "" ? cause.message : `${cause.field}: ${cause.message}`,
  );
  const all = sentences.length === 1 ? sentences[0] : `[${sentences.join(", ")}]`;
  return refusal(422, "Invalid", `${kind} "${name}" is invalid: ${all}`, {
    name,
    ...(subject.group === "" ? {} : { group: subject.group }),
    kind: subject.kind,
    causes,
  });
}

export function tooManyCollisions(subject: Subject, name: string): ApiError {
  return refusal(
    504,
    "Timeout",
    `${qualifiedPlural(subject)} "${name}" changed faster than this call could follow; try again`,
    { ...detailsOf(subject, name), retryAfterSeconds: 1 },
  );
}

export function tooLargeResourceVersion(asked: number, current: number): ApiError {
  return refusal(504, "Timeout", `Too large resource version: ${asked}, current: ${current}`, {
    causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version", field: "" }],
    retryAfterSeconds: 1,
  });
}

/** The medium refused a write. The sentence says which and what to do; the store stays as it was. */
export function notStored(diskFull: boolean, why: string, place: string): ApiError {
  return diskFull
    ? new ApiError(
        "PB6005",
        failure(507, "InsufficientStorage", `the disk that holds ${place} is full; nothing was changed.`),
        "Free some space and try again.",
      )
    : new ApiError(
        "PB6005",
        failure(500, "InternalError", `the store in ${place} could not be written (${why}); nothing was changed.`),
        "Look at the disk and the kernel's log, then try again.",
      );
}
