import { hash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Principal } from "./roles.ts";
import { protocolToken } from "./websocket.ts";

/** Tells whose token a request shows. */
export interface Authenticator {
  /** By `Authorization: Bearer`. */
  request(request: IncomingMessage): Principal | undefined;
  /** Also by a protocol of the handshake, for browsers. */
  upgrade(request: IncomingMessage): Principal | undefined;
}

/** Tokens are found by their digests: how long that takes says nothing about them. */
export function makeAuthenticator(holders: readonly (readonly [token: string, holder: Principal])[]): Authenticator {
  const byDigest = new Map(holders.map(([token, holder]) => [digest(token), holder]));
  const holderOf = (token: string | undefined) => (token === undefined ? undefined : byDigest.get(digest(token)));
  const request = ({ headers }: IncomingMessage) =>
    holderOf(/^Bearer ([^\s]+)$/i.exec(headers.authorization ?? "")?.[1]);
  return { request, upgrade: (handshake) => request(handshake) ?? holderOf(protocolToken(handshake)) };
}

function digest(token: string): string {
  return hash("sha256", token, "base64");
}
