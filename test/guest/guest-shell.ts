import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually, type TestHost } from "../daemon.ts";
import { type ConsoleSession, openConsole } from "./console-session.ts";

/** A root shell inside a guest, on its console: for guests that no network leads to as well. */
export interface GuestShell {
  /** Runs commands to their end: how they ended and what they printed. */
  run(commands: string): Promise<{ readonly code: number; readonly output: string }>;
  /** What commands printed that must succeed, without blanks around it. */
  ask(commands: string): Promise<string>;
  /** The same, tried until they succeed: for what goes over a network, where an address may be coming and a packet lost. */
  insist(commands: string): Promise<string>;
  close(): Promise<void>;
}

/** Waits until the guest of a VMI has booted, and opens a shell there. */
export async function openShell(host: TestHost, name: string): Promise<GuestShell> {
  const { folder } = await host.guest(name);
  await eventually(`${name} to boot`, async () =>
    /patchbay-guest: ready/.test(await readFile(join(folder, "console.log"), "utf8").catch(() => "")),
  );
  const console = await openConsole(host, name);
  let count = 0;
  const run = async (commands: string): Promise<{ readonly code: number; readonly output: string }> => {
    count += 1;
    return exchange(console, commands, count);
  };
  return {
    run,
    ask: async (commands) => {
      const { code, output } = await run(commands);
      assert.equal(code, 0, `${name}: ${commands}\n${output}`);
      return output.trim();
    },
    insist: async (commands) => {
      let last = "";
      try {
        return await eventually(commands, async () => {
          const { code, output } = await run(commands);
          last = output;
          return code === 0 && { said: output.trim() };
        }).then(({ said }) => said);
      } catch (cause) {
        throw new Error(`${name}: ${commands} never succeeds:\n${last}`, { cause });
      }
    },
    close: async () => {
      await console.detach();
    },
  };
}

/** The shell echoes what is typed: the marks are sums, so that only their results stand for the answer. */
async function exchange(
  console: ConsoleSession,
  commands: string,
  count: number,
): Promise<{ readonly code: number; readonly output: string }> {
  const [from, to] = [`from-${count}-42`, `to-${count}-42`];
  console.type(`echo from-${count}-$((6*7)); { ${commands}; } 2>&1; echo to-${count}-$((6*7)) $?\n`);
  const [all = "", code = ""] = await console.until(new RegExp(`${from}\\r?\\n[^]*?${to} (\\d+)\\r?\\n`));
  return {
    code: Number(code),
    output: all.slice(from.length, all.lastIndexOf(to)).replaceAll("\r", ""),
  };
}
