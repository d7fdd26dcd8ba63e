import type { IncomingMessage, ServerResponse } from "node:http";
import type { ResourceDefinition } from "../model/api/resource.ts";
import { isApiError } from "../model/api/status.ts";
import { isJsonObject, type JsonObject, objectAt, textAt } from "../model/json.ts";
import { answerError, answerJson, internalError } from "./answers.ts";
import type { Catalog } from "./catalog.ts";
import { badRequest, methodNotAllowed } from "./refusals.ts";
import type { RequestAttributes } from "./request-attributes.ts";
import { readBody } from "./request-body.ts";
import { isReadable, type Principal, refusedTo, SELF_REVIEWS } from "./roles.ts";

/**
 * Answers who asks who they are and what they may: `kubectl auth whoami`, `kubectl auth can-i`. False where the path is
 * none of these calls.
 */
export type SelfReviewServer = (request: IncomingMessage, response: ServerResponse, holder: Principal) => boolean;

const READING = ["get", "list", "watch"];
/** Stands for all there are. */
const ALL = "*";

export function makeSelfReviewServer(catalog: Catalog): SelfReviewServer {
  async function answer(request: IncomingMessage, response: ServerResponse, holder: Principal, found: Found) {
    if (request.method !== "POST") throw methodNotAllowed();
    const body = (await readBody(request)) ?? {};
    if (!isJsonObject(body)) throw badRequest(`the body must be a ${found.kind}`);
    const { kind, apiVersion } = found;
    const given = [body["kind"] ?? kind, body["apiVersion"] ?? apiVersion];
    if (given[0] !== kind || given[1] !== apiVersion) {
      throw badRequest(
        `the body is a ${String(given[0])} of ${String(given[1])}; this path takes ${kind} of ${apiVersion}`,
      );
    }
    const spec = objectAt(body, "spec");
    const status = found.review(catalog, holder, spec);
    const metadata = { creationTimestamp: null };
    answerJson(response, 201, { kind, apiVersion, metadata, ...(found.specified ? { spec } : {}), status });
  }

  return (request, response, holder) => {
    const path = (request.url ?? "").replace(/\?.*$/s, "");
    const found = REVIEWS.find((review) => path === `/apis/${review.apiVersion}/${review.plural}`);
    if (found === undefined) return false;
    void answer(request, response, holder, found).catch((thrown: unknown) => {
      if (!request.complete) response.setHeader("connection", "close");
      answerError(response, isApiError(thrown) ? thrown : internalError());
    });
    return true;
  };
}

interface Found {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  /** True where the answer repeats what was asked. */
  readonly specified: boolean;
  readonly review: (catalog: Catalog, holder: Principal, spec: JsonObject) => object;
}

const REVIEWS: readonly Found[] = [
  {
    ...SELF_REVIEWS.access,
    specified: true,
    review: (_, holder, spec) => {
      const refusal = refusedTo(holder, askedIn(spec));
      return refusal === undefined ? { allowed: true } : { allowed: false, reason: refusal.message };
    },
  },
  { ...SELF_REVIEWS.rules, specified: true, review: (catalog, holder) => rulesOf(catalog, holder) },
  {
    ...SELF_REVIEWS.subject,
    specified: false,
    review: (_, { user, role }) => ({
      userInfo: { username: user, groups: [...(role === "admin" ? ["system:masters"] : []), "system:authenticated"] },
    }),
  },
];

/** What `spec` of a SelfSubjectAccessReview asks about. @throws ApiError 400 where it asks about nothing, or two things. */
function askedIn(spec: JsonObject): RequestAttributes {
  const { resourceAttributes, nonResourceAttributes } = spec;
  if (isJsonObject(resourceAttributes) === isJsonObject(nonResourceAttributes)) {
    throw badRequest("spec must have either resourceAttributes or nonResourceAttributes");
  }
  if (!isJsonObject(resourceAttributes)) {
    const { verb = "get", path = "/" } = objectAt(spec, "nonResourceAttributes");
    return { verb: String(verb), group: "", path: String(path), dryRun: false };
  }
  const part = (key: "subresource" | "namespace" | "name") => {
    const value = textAt(resourceAttributes, key);
    return value === undefined ? {} : { [key]: value };
  };
  return {
    verb: textAt(resourceAttributes, "verb") ?? ALL,
    group: textAt(resourceAttributes, "group") ?? "",
    resource: textAt(resourceAttributes, "resource") ?? ALL,
    ...part("subresource"),
    ...part("namespace"),
    ...part("name"),
    path: "",
    dryRun: false,
  };
}

function rulesOf(catalog: Catalog, { role }: Principal): object {
  const told = { incomplete: false };
  if (role === "admin") {
    return {
      ...told,
      resourceRules: [{ verbs: [ALL], apiGroups: [ALL], resources: [ALL] }],
      nonResourceRules: [{ verbs: [ALL], nonResourceURLs: [ALL] }],
    };
  }
  // No rule of Kubernetes can leave one out: what may be read is told one by one.
  const readable = [...Map.groupBy(catalog.definitions, ({ group }) => group)].map(([group, definitions]) => ({
    verbs: READING,
    apiGroups: [group],
    resources: [
      ...new Set([
        ...definitions.filter((each) => !isSecret(each)).flatMap(resourcesOf),
        ...catalog.subresources
          .filter((one) => one.group === group && isReadable(group, one.plural, one.subresource))
          .map(({ plural, subresource }) => `${plural}/${subresource}`),
      ]),
    ],
  }));
  const own = Object.values(SELF_REVIEWS).map(({ apiVersion, plural }) => ({
    verbs: ["create"],
    apiGroups: [apiVersion.replace(/\/.*$/, "")],
    resources: [plural],
  }));
  return {
    ...told,
    resourceRules: [...own, ...readable],
    nonResourceRules: [{ verbs: ["get"], nonResourceURLs: [ALL] }],
  };
}

function isSecret({ group, plural }: ResourceDefinition): boolean {
  return group === "" && plural === "secrets";
}

function resourcesOf({ plural, statusSubresource }: ResourceDefinition): readonly string[] {
  return statusSubresource ? [plural, `${plural}/status`] : [plural];
}
