import type { ServerResponse } from "node:http";

const tried = new WeakSet<ServerResponse>();

/** Notes that a write was asked for on trial only, where its body says so: the audit log tells. */
export function noteDryRun(response: ServerResponse): void {
  tried.add(response);
}

export function isDryRun(response: ServerResponse): boolean {
  return tried.has(response);
}
