import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { defaultLimits } from "./limits.ts";
import { LARGEST_BODY } from "./request-body.ts";

test("docs/api.md tells each limit's figure", () => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/api.md"), "utf8");
  const row = (what: string) => page.split("\n").find((line) => line.startsWith(`| ${what}`)) ?? "";
  const { connections, connectionsPerToken, watchesPerToken, requestsPerToken } = defaultLimits;
  const figures: Readonly<Record<string, string>> = {
    "connections of all clients": connections.toLocaleString("en"),
    "connections of one token": connectionsPerToken.toLocaleString("en"),
    "watches and consoles of one token": watchesPerToken.toLocaleString("en"),
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
