import assert from "node:assert/strict";
import { test } from "node:test";
import { differences, snapshot } from "./leftovers.ts";

test("what was left and what was taken away is told, repeats counted", () => {
  const before = new Map([["nftables rule", ["accept", "accept", "drop"]]]);
  const after = new Map([["nftables rule", ["accept", "drop", "drop"]]]);
  assert.deepEqual(differences(before, before), []);
  assert.deepEqual(differences(before, after), ["left behind: nftables rule drop", "taken away: nftables rule accept"]);
  assert.deepEqual(differences(new Map(), new Map([["link", ["tap0"]]])), ["left behind: link tap0"]);
});

test("a snapshot sees the loopback link of this machine", () => {
  const links = snapshot().get("link");
  if (links !== undefined) assert.ok(links.includes("lo"));
});
