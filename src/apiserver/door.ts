import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { type ApiError, isApiError } from "../model/api/status.ts";
import type { ApiMetrics } from "./api-metrics.ts";
import type { AuditLog } from "./audit-log.ts";
import type { Authenticator } from "./authentication.ts";
import type { Catalog } from "./catalog.ts";
import { isDryRun } from "./dry-runs.ts";
import { type Allowances, tooManyRequests } from "./limits.ts";
import type { ObjectIdentity } from "./machinery.ts";
import { unauthorized } from "./refusals.ts";
import { type RequestAttributes, readAttributes } from "./request-attributes.ts";
import { isSelfReview, type Principal, refusedTo } from "./roles.ts";

/** Looks at every request before anything else does: who asks, for what, whether they may, and whether there is room. */
export interface Door {
  /** The user who may go on, or why not. The end of the response is counted and, of a write, put on record. */
  request(request: IncomingMessage, response: ServerResponse): Visit | ApiError;
  /** The same for a request to upgrade the connection. */
  upgrade(request: IncomingMessage): UpgradeVisit | ApiError;
}

export interface Visit {
  readonly holder: Principal;
  /** Tells of the object that was written, when it is known. */
  wrote(written: Promise<ObjectIdentity | undefined>): void;
}

export interface UpgradeVisit {
  readonly user: string;
  /** Tells how it was answered: 101, or the status of the refusal. */
  answered(code: number): void;
}

export interface DoorParts {
  readonly authenticator: Authenticator;
  readonly allowances: Allowances;
  readonly catalog: Catalog;
  readonly metrics: ApiMetrics;
  readonly audit: AuditLog;
}

const READING: readonly string[] = ["get", "list", "watch"];

export function makeDoor({ authenticator, allowances, catalog, metrics, audit }: DoorParts): Door {
  function admitted(request: IncomingMessage, holder: Principal | undefined): Known | ApiError {
    if (holder === undefined) {
      metrics.turnedAway(401);
      return unauthorized();
    }
    try {
      const asked = readAttributes(request);
      return { holder, asked, requestId: randomUUID() };
    } catch (thrown) {
      if (!isApiError(thrown)) throw thrown;
      metrics.turnedAway(thrown.httpStatus);
      return thrown;
    }
  }

  function count({ asked }: Known, code: number, begun: number): void {
    metrics.answered(asked, isServed(catalog, asked), { code, seconds: (performance.now() - begun) / 1_000 });
  }

  function record(known: Known, code: number, written: ObjectIdentity | undefined, onTrial = false): void {
    const { holder, asked, requestId } = known;
    const time = new Date().toISOString();
    audit.write(() => ({
      time,
      requestId,
      user: holder.user,
      verb: asked.verb,
      resource: resourceOf(asked),
      ...(asked.namespace === undefined ? {} : { namespace: asked.namespace }),
      ...(asked.name === undefined ? {} : { name: asked.name }),
      ...(written === undefined ? {} : { name: written.name }),
      ...(written?.uid === undefined ? {} : { uid: written.uid }),
      code,
      dryRun: asked.dryRun || onTrial,
    }));
  }

  return {
    request(request, response) {
      const begun = performance.now();
      const known = admitted(request, authenticator.request(request));
      if (isApiError(known)) return known;
      const { holder, asked, requestId } = known;
      response.setHeader("audit-id", requestId);
      let written: Promise<ObjectIdentity | undefined> = Promise.resolve(undefined);
      let giveBack = (): void => undefined;
      response.once("close", () => {
        giveBack();
        // A client that went before its answer came has none.
        const code = response.headersSent ? response.statusCode : 499;
        count(known, code, begun);
        if (!READING.includes(asked.verb) && !isSelfReview(asked))
          void written.then((object) => record(known, code, object, isDryRun(response)));
      });
      const refusal = refusedTo(holder, asked);
      if (refusal !== undefined) return refusal;
      // A text that is followed stays open like a watch.
      const share = allowances.take(holder, request.socket, asked.follows === true ? "watch" : asked.verb, response);
      if (typeof share === "string") {
        metrics.limited(share);
        return tooManyRequests(share);
      }
      giveBack = share;
      return {
        holder,
        wrote: (object) => {
          written = object;
        },
      };
    },
    upgrade(request) {
      const begun = performance.now();
      const known = admitted(request, authenticator.upgrade(request));
      if (isApiError(known)) return known;
      const answered = (code: number): void => {
        count(known, code, begun);
        // What is typed into a stream changes the guest.
        record(known, code, undefined);
      };
      const refusal = refusedTo(known.holder, known.asked);
      if (refusal !== undefined) {
        answered(refusal.httpStatus);
        return refusal;
      }
      const share = allowances.take(known.holder, request.socket, "watch", request.socket);
      if (typeof share === "string") {
        metrics.limited(share);
        answered(429);
        return tooManyRequests(share);
      }
      request.socket.once("close", share);
      return { user: known.holder.user, answered };
    },
  };
}

interface Known {
  readonly holder: Principal;
  readonly asked: RequestAttributes;
  readonly requestId: string;
}

function isServed(catalog: Catalog, { group, resource, subresource }: RequestAttributes): boolean {
  if (resource === undefined) return false;
  const isStored = catalog.stored(group, resource) !== undefined;
  if (isStored && (subresource === undefined || subresource === "status")) return true;
  return catalog.subresources.some(
    (one) => one.group === group && one.plural === resource && one.subresource === subresource,
  );
}

function resourceOf({ group, resource, subresource, path }: RequestAttributes): string {
  if (resource === undefined) return path;
  const qualified = group === "" ? resource : `${resource}.${group}`;
  return subresource === undefined ? qualified : `${qualified}/${subresource}`;
}
