import assert from "node:assert/strict";
import { test } from "node:test";
import { raisedLimits } from "./locked-memory.ts";

const GIB = 1n << 30n;
/** RLIM_INFINITY of getrlimit(2). */
const INFINITY = 2n ** 64n - 1n;

test("what may be locked is raised to a guest's memory and a margin, and never lowered", () => {
  assert.deepEqual(raisedLimits(8n << 20n, 8n << 20n, 4n * GIB), { soft: 5n * GIB, hard: 5n * GIB });
  assert.deepEqual(raisedLimits(8n << 20n, INFINITY, 4n * GIB), { soft: 5n * GIB, hard: INFINITY });
  assert.equal(raisedLimits(INFINITY, INFINITY, 4n * GIB), undefined);
  assert.equal(raisedLimits(5n * GIB, 5n * GIB, 4n * GIB), undefined);
});
