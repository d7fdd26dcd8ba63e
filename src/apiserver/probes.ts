import type { IncomingMessage, ServerResponse } from "node:http";
import type { Registry } from "prom-client";
import { isApiError } from "../model/api/status.ts";
import { answerError, answerText, internalError } from "./answers.ts";
import { type Health, type HealthKind, healthKinds } from "./health.ts";
import { methodNotAllowed } from "./refusals.ts";

/** Answers `/readyz`, `/livez`, `/healthz` and `/metrics`; false where the path is none of them. */
export type ProbeServer = (request: IncomingMessage, response: ServerResponse) => boolean;

export function makeProbeServer(health: Health, registry: Registry): ProbeServer {
  async function answer(request: IncomingMessage, response: ServerResponse, found: Found): Promise<void> {
    if (request.method !== "GET" && request.method !== "HEAD") throw methodNotAllowed();
    if (found.to === "metrics") {
      answerText(response, 200, await registry.metrics(), [], registry.contentType);
      return;
    }
    const served = await health.serve(found.to, found.check, found.query);
    answerText(response, served.code ?? 200, served.content, [], served.type);
  }

  return (request, response) => {
    const found = find(request.url ?? "");
    if (found === undefined) return false;
    void answer(request, response, found).catch((thrown: unknown) => {
      if (!request.complete) response.setHeader("connection", "close");
      answerError(response, isApiError(thrown) ? thrown : internalError());
    });
    return true;
  };
}

const PROBED = new RegExp(`^/+(?:metrics|${healthKinds.join("|")})`);

type Found =
  | { readonly to: "metrics" }
  | { readonly to: HealthKind; readonly check: string | undefined; readonly query: URLSearchParams };

function find(target: string): Found | undefined {
  // Nearly all requests are for something else.
  if (!PROBED.test(target)) return undefined;
  const [path = "", query] = target.split("?", 2);
  const [first, check, ...more] = path.split("/").filter((segment) => segment !== "");
  if (more.length > 0) return undefined;
  if (first === "metrics") return check === undefined ? { to: "metrics" } : undefined;
  return isHealthKind(first) ? { to: first, check, query: new URLSearchParams(query) } : undefined;
}

function isHealthKind(text: string | undefined): text is HealthKind {
  return text !== undefined && healthKinds.includes(text);
}
