import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { badRequest } from "./refusals.ts";
import { type CloseCode, closeCodes, closePayload, encodeFrame, frameDecoder, opcodes } from "./websocket-frames.ts";

/** RFC 6455 §1.3. */
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/** A client that is not heard of for two of these is gone. */
const PING_MS = 30_000;
/** A client that takes nothing for so long is cut off: what it does not read, the guest waits with. */
const STALL_MS = 30_000;
const CLOSE_MS = 2_000;

/** What was agreed on with a client. */
export interface Handshake {
  readonly accept: string;
  /** Absent: the client asked for none. */
  readonly protocol?: string;
}

/**
 * Reads a client's opening handshake (RFC 6455 §4.2.1), and chooses the first of its protocols that is among `known`.
 *
 * @throws ApiError 400 where it is none, or offers other protocols only.
 */
export function readHandshake(request: IncomingMessage, known: readonly string[]): Handshake {
  const { headers } = request;
  if (headers.upgrade?.toLowerCase() !== "websocket" || request.method !== "GET") {
    throw badRequest("this is a stream: open it with a websocket upgrade");
  }
  if (headers["sec-websocket-version"] !== "13") throw badRequest("only version 13 of websocket is spoken");
  const key = headers["sec-websocket-key"] ?? "";
  if (!/^[A-Za-z0-9+/]{22}==$/.test(key)) throw badRequest("Sec-WebSocket-Key is not 16 octets in base64");
  const accept = createHash("sha1")
    .update(key + GUID)
    .digest("base64");
  const offered = offeredProtocols(request).filter((protocol) => !protocol.startsWith(BEARER));
  if (offered.length === 0) return { accept };
  const protocol = offered.find((candidate) => known.includes(candidate));
  if (protocol === undefined) {
    throw badRequest(`none of the protocols ${offered.join(", ")} is spoken here; use one of ${known.join(", ")}`);
  }
  return { accept, protocol };
}

/** In front of a token in base64url: browsers can set no header of a websocket, and Kubernetes reads it there. */
const BEARER = "base64url.bearer.authorization.k8s.io.";

/** The bearer token among a handshake's protocols. */
export function protocolToken(request: IncomingMessage): string | undefined {
  const carried = offeredProtocols(request).find((protocol) => protocol.startsWith(BEARER));
  return carried === undefined ? undefined : Buffer.from(carried.slice(BEARER.length), "base64url").toString("utf8");
}

function offeredProtocols({ headers }: IncomingMessage): readonly string[] {
  const value = headers["sec-websocket-protocol"] ?? "";
  return value
    .split(",")
    .map((protocol) => protocol.trim())
    .filter((protocol) => protocol !== "");
}

/** A stream that is served to a client. */
export interface WebSocketSession {
  /** Settles when both sides are closed. */
  readonly closed: Promise<void>;
  end(code: CloseCode, reason: string): void;
}

/**
 * Completes the handshake and carries bytes between a client and `stream`: what the client sends goes there whatever the
 * frames' boundaries, what comes from there is sent in binary frames. Ends with either side.
 */
export function serveWebSocket(
  client: Duplex,
  head: Uint8Array,
  stream: Duplex,
  { accept, protocol }: Handshake,
): WebSocketSession {
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  const decoder = frameDecoder();
  let ending = false;
  let silent = 0;
  let stalled: NodeJS.Timeout | undefined;

  const send = (opcode: (typeof opcodes)[keyof typeof opcodes], payload: Uint8Array): boolean =>
    client.write(encodeFrame(opcode, payload));
  const end = (code: CloseCode, reason: string): void => {
    if (ending) return;
    ending = true;
    stream.destroy();
    send(opcodes.close, closePayload(code, reason));
    client.end();
    setTimeout(() => client.destroy(), CLOSE_MS).unref();
  };
  /** Leaves a side alone until the client has taken what waits for it, which may not be long. */
  const wait = (side: Duplex): void => {
    side.pause();
    stalled ??= setTimeout(() => client.destroy(), STALL_MS);
    client.once("drain", () => {
      clearTimeout(stalled);
      stalled = undefined;
      side.resume();
    });
  };
  const receive = (bytes: Uint8Array): void => {
    silent = 0;
    const { frames, breach } = decoder.push(bytes);
    for (const { opcode, payload } of frames) {
      if (ending) return;
      if (opcode === opcodes.close) end(closeCodes.normal, "");
      else if (opcode === opcodes.ping) send(opcodes.pong, payload);
      else if (opcode !== opcodes.pong && !stream.write(payload)) {
        client.pause();
        stream.once("drain", () => client.resume());
      }
    }
    if (breach !== undefined) end(breach.code, breach.reason);
    // Who sends pings and does not read their answers has to wait, too.
    else if (client.writableNeedDrain) wait(client);
  };

  const alive = setInterval(() => {
    silent += 1;
    if (silent > 2) client.destroy();
    else send(opcodes.ping, new Uint8Array(0));
  }, PING_MS);
  client.on("error", () => client.destroy());
  client.on("data", receive);
  client.once("end", () => client.destroy());
  client.once("close", () => {
    clearInterval(alive);
    clearTimeout(stalled);
    stream.destroy();
    resolve();
  });
  stream.on("error", () => end(closeCodes.failed, "the stream failed"));
  stream.once("close", () => end(closeCodes.normal, "the stream has ended"));
  stream.on("data", (bytes: Uint8Array) => {
    if (ending || send(opcodes.binary, bytes)) return;
    wait(stream);
  });

  const agreed = protocol === undefined ? "" : `Sec-WebSocket-Protocol: ${protocol}\r\n`;
  client.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n${agreed}\r\n`,
  );
  if (head.length > 0) receive(head);
  return { closed, end };
}
