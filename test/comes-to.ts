import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";

const PATIENCE_MS = 30_000 * Number(process.env["PATCHBAY_TEST_SLOWNESS"] ?? "1");

/**
 * Waits until what is read equals `wanted`, and fails with the difference where it does not come to.
 *
 * For what the kernel does a moment later: links and routes of a namespace that went, addresses of a link that came up.
 */
export async function comesTo<T>(wanted: T, read: () => T | Promise<T>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await read();
    if (isDeepStrictEqual(found, wanted)) return;
    if (Date.now() > deadline) return assert.deepEqual(found, wanted);
    await delay(50);
  }
}
