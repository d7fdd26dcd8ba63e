import { randomInt } from "node:crypto";

/** Waits that double up to a cap, each with a quarter of it drawn at random so that many do not come at once. */
export interface Backoff {
  /** The next wait, in ms. */
  next(): number;
  reset(): void;
}

export function makeBackoff(firstMs: number, capMs: number): Backoff {
  let failures = 0;
  return {
    next() {
      const wait = Math.min(firstMs * 2 ** Math.min(failures, 30), capMs);
      failures += 1;
      const spread = Math.floor(wait / 4);
      return wait - spread + randomInt(spread + 1);
    },
    reset() {
      failures = 0;
    },
  };
}
