import type { Socket } from "node:net";
import type { Writable } from "node:stream";
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
  /** Bytes of answers of one token that its clients have not taken yet, beyond which it gets no more of them. */
  readonly unsentPerToken: number;
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
  unsentPerToken: 256 * 1024 * 1024,
  headerMs: 10_000,
  requestMs: 60_000,
  idleMs: 90_000,
};

/** The limits that a request may meet. */
export const LIMITED = ["connections", "watches", "requests", "unsent"] as const;
/** Which limit was reached. */
export type Limited = (typeof LIMITED)[number];

/** Counts what each token takes. */
export interface Allowances {
  /**
   * Takes one request's share, to be given back by calling the answer; or says which limit it would exceed.
   *
   * A connection counts from its first request until it closes. `verb` is Kubernetes'; a stream counts as a watch.
   * `answer` holds what the client has not taken.
   */
  take(holder: Principal, socket: Socket, verb: string, answer: Answer): (() => void) | Limited;
}

/** A response, or a stream's socket. */
export type Answer = Pick<Writable, "writableLength">;

interface Share {
  readonly connections: Set<Socket>;
  readonly answers: Set<Answer>;
  /** Answers that began since they were last looked at. */
  unseen: number;
  watches: number;
  requests: number;
}

/** So many answers that are no lists cannot be worth much: of the largest objects, 120 MiB. */
const FEW_ANSWERS = 20;

/** `exempt`: the daemon's own components, whom users must not keep from working. */
export function makeAllowances(limits: Limits, exempt: Principal): Allowances {
  const shares = new Map<Principal, Share>();
  return {
    take(holder, socket, verb, answer) {
      if (holder === exempt) return () => undefined;
      const share = shares.get(holder) ?? {
        connections: new Set(),
        answers: new Set(),
        unseen: 0,
        watches: 0,
        requests: 0,
      };
      shares.set(holder, share);
      const { connections, answers } = share;
      if (!connections.has(socket)) {
        if (connections.size >= limits.connectionsPerToken) return "connections";
        connections.add(socket);
        socket.once("close", () => connections.delete(socket));
      }
      const watches = verb === "watch";
      // A list may be as large as all that is stored, and every answer is held until its client has taken it.
      if (verb === "list" || share.unseen >= FEW_ANSWERS) {
        if (exceeds(answers, limits.unsentPerToken)) return "unsent";
        share.unseen = 0;
      }
      const kind = watches ? "watches" : "requests";
      if (share[kind] >= (watches ? limits.watchesPerToken : limits.requestsPerToken)) return kind;
      share[kind] += 1;
      share.unseen += 1;
      answers.add(answer);
      let given = false;
      return () => {
        if (given) return;
        given = true;
        share[kind] -= 1;
        answers.delete(answer);
      };
    },
  };
}

/** Answers that wait behind another one on their connection hold theirs themselves. */
function exceeds(answers: Iterable<Answer>, limit: number): boolean {
  let bytes = 0;
  for (const { writableLength } of answers) bytes += writableLength;
  return bytes > limit;
}

const WORDS: Readonly<Record<Limited, string>> = {
  connections: "too many connections open",
  watches: "too many watches open",
  requests: "too many requests open",
  unsent: "too many answers that it has not read",
};

/** 429 with Retry-After, as kube-apiserver answers under load. */
export function tooManyRequests(limited: Limited): ApiError {
  const message = `this token has ${WORDS[limited]}; end some, or try again later`;
  return new ApiError("PB6010", failure(429, "TooManyRequests", message, { retryAfterSeconds: 1 }));
}
