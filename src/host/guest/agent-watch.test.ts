import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { watchAgent } from "./agent-watch.ts";
import { agentChannel } from "./command-line.ts";
import type { Qmp } from "./qmp.ts";

test("the agent of a paused guest is not asked until the guest goes on: it could not answer, and would seem mute", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "pbagent-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "agent.sock");
  const calls = Promise.withResolvers<void>();
  let asked = false;
  const server = createServer((socket) => {
    asked = true;
    calls.resolve();
    socket.destroy();
  });
  server.listen(path);
  await once(server, "listening");
  t.after(() => server.close());

  let running = false;
  let looks = 0;
  const looked = Promise.withResolvers<void>();
  const qmp: Qmp = {
    version: "7.2.0",
    execute(command) {
      if (command === "query-chardev") {
        looks += 1;
        if (looks > 5) looked.resolve();
        return Promise.resolve([{ label: agentChannel, "frontend-open": true }]);
      }
      return Promise.resolve({ running, status: running ? "running" : "paused" });
    },
    onEvent: () => () => {},
    closed: new Promise(() => {}),
    close: () => {},
  };
  const pace = { first: 1, last: 1, closed: 1 };
  const reports: string[] = [];
  const watch = watchAgent({ qmp, path, changed: ({ channel }) => reports.push(channel), pace });
  t.after(() => watch.stop());
  await looked.promise;
  assert.equal(asked, false);
  assert.deepEqual(reports, []);
  running = true;
  await calls.promise;
});
