import { ApiError, failure } from "../model/api/status.ts";
import type { RequestAttributes } from "./request-attributes.ts";

/**
 * - `admin`: everything.
 * - `view`: get, list and watch of everything but Secrets, and the documents (discovery, health, metrics). No calls below
 *   objects but `status` and the logs of pods, as Kubernetes' role of that name: a console is a way to write.
 *
 * Either may ask what it may ({@link SELF_REVIEWS}).
 */
export type Role = "admin" | "view";

/** Who shows a token. */
export interface Principal {
  /** As Kubernetes names users; in the audit log. */
  readonly user: string;
  readonly role: Role;
}

const READING: readonly string[] = ["get", "list", "watch"];

/** Kinds by which one asks about oneself. Nothing is stored of them. */
export const SELF_REVIEWS = {
  access: {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SelfSubjectAccessReview",
    plural: "selfsubjectaccessreviews",
  },
  rules: { apiVersion: "authorization.k8s.io/v1", kind: "SelfSubjectRulesReview", plural: "selfsubjectrulesreviews" },
  subject: { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview", plural: "selfsubjectreviews" },
} as const;

/** True for a part of an object that whoever may read the object may read. */
export function isReadable(group: string, resource: string, subresource: string): boolean {
  return subresource === "status" || (group === "" && resource === "pods" && subresource === "log");
}

/** True for a call that asks about the caller only. */
export function isSelfReview({ verb, group, resource, subresource }: RequestAttributes): boolean {
  if (verb !== "create" || subresource !== undefined) return false;
  return Object.values(SELF_REVIEWS).some((one) => one.plural === resource && one.apiVersion === `${group}/v1`);
}

/** Why this one may not; undefined where it may. 403 in Kubernetes' words. */
export function refusedTo({ user, role }: Principal, asked: RequestAttributes): ApiError | undefined {
  if (role === "admin" || isSelfReview(asked)) return undefined;
  const { verb, group, resource, subresource, namespace, name, path } = asked;
  const reads = READING.includes(verb);
  if (resource === undefined) {
    return reads ? undefined : forbidden(`forbidden: User "${user}" cannot ${verb} path "${path}"`, {});
  }
  // Who asks what they may can ask about all at once.
  const isSecret = ["", "*"].includes(group) && ["secrets", "*"].includes(resource);
  if (reads && !isSecret && (subresource === undefined || isReadable(group, resource, subresource))) return undefined;
  const qualified = group === "" ? resource : `${resource}.${group}`;
  const what = subresource === undefined ? resource : `${resource}/${subresource}`;
  const where = namespace === undefined ? "at the cluster scope" : `in the namespace "${namespace}"`;
  return forbidden(
    `${qualified}${name === undefined ? "" : ` "${name}"`} is forbidden: User "${user}" cannot ${verb} resource "${what}" in API group "${group}" ${where}`,
    { ...(name === undefined ? {} : { name }), ...(group === "" ? {} : { group }), kind: resource },
  );
}

function forbidden(message: string, details: { name?: string; group?: string; kind?: string }): ApiError {
  return new ApiError("PB6010", failure(403, "Forbidden", message, details));
}
