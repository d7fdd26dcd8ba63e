import type { Socket } from "node:net";
import { ApiError, failure } from "../model/api/status.ts";
import type { Principal } from "./roles.ts";

/** What clients may take of the server. Beyond it they get 429 and Retry-After, or are cut off where they are not known. */
export interface Limits {
  /** Connections of all clients, known or not. */
  readonly connections: number;
  /** Connections of one token. */
  readonly connectionsPerToken: number;
  /** Watches of one token at once. */
  readonly watchesPerToken: number;
  /** Other requests of one token that are being read or answered. Each may hold a body in memory. */
  readonly requestsPerToken: number;
  /** TLS handshake, and the headers of a request, in ms. */
  readonly headerMs: number;
  /** A request with its body, in ms. */
  readonly requestMs: number;
  /** How long a kept connection may lie idle, in ms. */
  readonly idleMs: number;
}

export const defaultLimits: Limits = {
  connections: 5_000,
  connectionsPerToken: 2_000,
  watchesPerToken: 1_500,
  requestsPerToken: 400,
  headerMs: 10_000,
  requestMs: 60_000,
  idleMs: 90_000,
};

/** Which limit was reached. */
export type Limited = "connections" | "watches" | "requests";

/** Counts what each token takes. */
export interface Allowances {
  /**
   * Takes one request's share, to be given back by calling the answer; or says which limit it would exceed.
   *
   * A connection counts from its first request until it closes.
   */
  take(holder: Principal, socket: Socket, watches: boolean): (() => void) | Limited;
}

interface Share {
  readonly connections: Set<Socket>;
  watches: number;
  requests: number;
}

/** `exempt`: the daemon's own components, whom users must not keep from working. */
export function makeAllowances(limits: Limits, exempt: Principal): Allowances {
  const shares = new Map<Principal, Share>();
  return {
    take(holder, socket, watches) {
      if (holder === exempt) return () => undefined;
      const share = shares.get(holder) ?? { connections: new Set(), watches: 0, requests: 0 };
      shares.set(holder, share);
      const { connections } = share;
      if (!connections.has(socket)) {
        if (connections.size >= limits.connectionsPerToken) return "connections";
        connections.add(socket);
        socket.once("close", () => connections.delete(socket));
      }
      const kind = watches ? "watches" : "requests";
      if (share[kind] >= (watches ? limits.watchesPerToken : limits.requestsPerToken)) return kind;
      share[kind] += 1;
      let given = false;
      return () => {
        if (given) return;
        given = true;
        share[kind] -= 1;
      };
    },
  };
}

/** 429 with Retry-After, as kube-apiserver answers under load. */
export function tooManyRequests(limited: Limited): ApiError {
  const message = `this token has too many ${limited} open; end some, or try again later`;
  return new ApiError("PB6010", failure(429, "TooManyRequests", message, { retryAfterSeconds: 1 }));
}
