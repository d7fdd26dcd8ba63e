import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { defaultLimits, makeAllowances } from "./limits.ts";
import { LARGEST_BODY } from "./request-body.ts";

test("docs/api.md tells each limit's figure", () => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/api.md"), "utf8");
  const row = (what: string) => page.split("\n").find((line) => line.startsWith(`| ${what}`)) ?? "";
  const { connections, connectionsPerToken, watchesPerToken, requestsPerToken } = defaultLimits;
  const figures: Readonly<Record<string, string>> = {
    "connections of all clients": connections.toLocaleString("en"),
    "connections of one token": connectionsPerToken.toLocaleString("en"),
    "watches, consoles": watchesPerToken.toLocaleString("en"),
    "other requests of one token": requestsPerToken.toLocaleString("en"),
    "answers of one token": `${defaultLimits.unsentPerToken / 2 ** 20} MiB`,
    "TLS handshake; the headers of a request": `${defaultLimits.headerMs / 1_000} s`,
    "a request with its body": `${defaultLimits.requestMs / 1_000} s`,
    "an idle kept connection": `${defaultLimits.idleMs / 1_000} s`,
    "a body": `${LARGEST_BODY / 2 ** 20} MiB`,
    "an object, by many patches": `${(2 * LARGEST_BODY) / 2 ** 20} MiB`,
  };
  for (const [what, figure] of Object.entries(figures)) {
    assert.equal(
      row(what)
        .split("|")[2]
        ?.trim()
        .split(/,(?= )| each/)[0],
      figure,
      what,
    );
  }
});

test("answers of any kind that are not read count, and few of them keep nobody from others", () => {
  const view = { user: "system:view", role: "view" } as const;
  const own = { user: "system:patchbay", role: "admin" } as const;
  const { take } = makeAllowances({ ...defaultLimits, unsentPerToken: 1_000 }, own);
  const ask = (verb: string, writableLength = 0) => take(view, new Socket(), verb, { writableLength });
  const held = Array.from({ length: 19 }, () => ask("get", 100));
  assert.ok(held.every((share) => typeof share === "function"));
  assert.equal(ask("list"), "unsent");
  const last = ask("get", 100);
  for (const verb of ["get", "create", "watch", "list"]) assert.equal(ask(verb), "unsent");
  assert.equal(typeof take(own, new Socket(), "list", { writableLength: 0 }), "function");
  for (const share of [...held, last]) if (typeof share === "function") share();
  assert.equal(typeof ask("list"), "function");
});
