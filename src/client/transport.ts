import type { IncomingMessage } from "node:http";
import { Agent as PlainAgent, request as plainRequest } from "node:http";
import { Agent, request as secureRequest } from "node:https";
import { ApiError, failure, isStatus } from "../model/api/status.ts";
import { Fault } from "../model/fault.ts";
import type { Cluster } from "./kubeconfig.ts";

export interface Call {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With its query. */
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly signal?: AbortSignal;
}

/** HTTP to one API server over kept-alive connections. */
export interface Transport {
  /**
   * The parsed answer of a success, and the server's warnings.
   *
   * @throws ApiError for an answer that is none, Fault PB6012 where none comes.
   */
  call(call: Call): Promise<{ readonly value: unknown; readonly warnings: readonly string[] }>;
  /** The open answer of a success; for watches. The caller reads or destroys it. */
  open(call: Call): Promise<IncomingMessage>;
  /** Closes connections that are kept. */
  close(): void;
}

/** `answerMs`: a call that is answered by nothing for so long is given up. */
export function makeTransport(cluster: Cluster, answerMs: number): Transport {
  const base = new URL(cluster.server);
  const secure = base.protocol === "https:";
  const agent = secure
    ? new Agent({
        keepAlive: true,
        ...(cluster.caPem === undefined ? {} : { ca: cluster.caPem }),
        ...(cluster.clientCertPem === undefined ? {} : { cert: cluster.clientCertPem }),
        ...(cluster.clientKeyPem === undefined ? {} : { key: cluster.clientKeyPem }),
      })
    : new PlainAgent({ keepAlive: true });

  function send(call: Call): Promise<IncomingMessage> {
    const text = call.body === undefined ? undefined : JSON.stringify(call.body);
    return new Promise((resolve, reject) => {
      const request = (secure ? secureRequest : plainRequest)({
        agent,
        protocol: base.protocol,
        // Brackets belong to the URL, not to the address.
        hostname: base.hostname.replace(/^\[(.*)\]$/, "$1"),
        port: base.port,
        method: call.method,
        path: `${base.pathname.replace(/\/$/, "")}${call.path}`,
        headers: {
          accept: "application/json",
          "user-agent": "patchbay",
          ...(cluster.token === undefined ? {} : { authorization: `Bearer ${cluster.token}` }),
          ...(text === undefined
            ? {}
            : { "content-type": call.contentType ?? "application/json", "content-length": Buffer.byteLength(text) }),
        },
        ...(call.signal === undefined ? {} : { signal: call.signal }),
      });
      request.setTimeout(answerMs, () => request.destroy(new Error(`no answer within ${answerMs / 1_000} s`)));
      request.on("response", resolve);
      request.on("error", (error) => reject(call.signal?.aborted === true ? call.signal.reason : unreachable(error)));
      request.end(text);
    });
  }

  function unreachable(error: unknown): Fault {
    const why = error instanceof Error ? error.message : String(error);
    return new Fault("PB6012", `the API server ${cluster.server} does not answer: ${why}`, {
      place: cluster.server,
      cure: "See that the daemon runs (`patchbay up`) and that the kubeconfig is its own.",
      cause: error,
    });
  }

  async function readText(response: IncomingMessage): Promise<string> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of response) if (Buffer.isBuffer(chunk)) chunks.push(chunk);
    } catch (thrown) {
      throw unreachable(thrown);
    }
    return Buffer.concat(chunks).toString("utf8");
  }

  async function openChecked(call: Call): Promise<IncomingMessage> {
    const response = await send(call);
    const code = response.statusCode ?? 0;
    if (code >= 200 && code < 300) return response;
    throw refusal(code, await readText(response), call);
  }

  return {
    async call(call) {
      const response = await openChecked(call);
      const text = await readText(response);
      const warnings = readWarnings(response.headers["warning"]);
      if (!(response.headers["content-type"] ?? "").includes("json")) return { value: text, warnings };
      return { value: text === "" ? undefined : parseAnswer(text, call), warnings };
    },
    async open(call) {
      const response = await openChecked(call);
      // From here on silence is no failure.
      response.setTimeout(0);
      return response;
    },
    close: () => agent.destroy(),
  };
}

function parseAnswer(text: string, call: Call): unknown {
  try {
    return JSON.parse(text);
  } catch (thrown) {
    throw new Fault("PB6012", `the answer to ${call.method} ${call.path} is not JSON`, { cause: thrown });
  }
}

function refusal(code: number, text: string, call: Call): ApiError {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (isStatus(value)) return new ApiError("PB6010", value.code === undefined ? { ...value, code } : value);
  const message = `${call.method} ${call.path}: HTTP ${code}${text.trim() === "" ? "" : ` ${text.trim().slice(0, 500)}`}`;
  return new ApiError("PB6010", failure(code, REASONS[code] ?? "Unknown", message));
}

const REASONS: Readonly<Record<number, string>> = {
  400: "BadRequest",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  409: "Conflict",
  410: "Expired",
  422: "Invalid",
  429: "TooManyRequests",
  500: "InternalError",
  503: "ServiceUnavailable",
  504: "Timeout",
};

/** The texts of `Warning: 299 - "text"` headers. */
function readWarnings(header: string | string[] | undefined): string[] {
  const joined = Array.isArray(header) ? header.join(", ") : (header ?? "");
  return [...joined.matchAll(/\b299 \S+ "((?:[^"\\]|\\.)*)"/g)].map(([, text = ""]) =>
    Buffer.from(text.replace(/\\(.)/g, "$1"), "latin1").toString("utf8"),
  );
}
