import { hash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
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
  /** What a connection showed last, which it shows again with each request. */
  const shown = new WeakMap<Socket, { readonly header: string; readonly holder: Principal }>();
  const request = ({ headers, socket }: IncomingMessage) => {
    const header = headers.authorization ?? "";
    const before = shown.get(socket);
    if (before?.header === header) return before.holder;
    const holder = holderOf(/^Bearer ([^\s]+)$/i.exec(header)?.[1]);
    if (holder !== undefined) shown.set(socket, { header, holder });
    return holder;
  };
  return { request, upgrade: (handshake) => request(handshake) ?? holderOf(protocolToken(handshake)) };
}

function digest(token: string): string {
  return hash("sha256", token, "base64");
}
