import { globSync } from "node:fs";
import { basename, join } from "node:path";
import { guestImageFolder } from "../guest/image-cache.ts";
import { openVSwitchFolder } from "../openvswitch.ts";
import { runInMachine } from "./machine.ts";

const root = join(import.meta.dirname, "../..");
/** What needs a machine with a card that makes virtual functions. */
const CARD_FILE = "sriov.test.ts";
/** Of the whole machine. */
const TIME_LIMIT_MS = 1_800_000;

function tell(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Runs the nested tests, those of the named files where some are named; answers the exit code. */
async function main(files: readonly string[]): Promise<number> {
  if (process.getuid?.() !== 0) {
    tell("✖ not root: the nested machine reads this machine's root file system");
    return 1;
  }
  const ending = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => ending.abort(new Error(`ended by ${signal}`)));
  }
  const named = files.length > 0 ? files : globSync(join(root, "test/nested/*.test.ts"));
  const [cards, others] = [true, false].map((card) => named.filter((file) => (basename(file) === CARD_FILE) === card));
  // Inside is no network.
  if (others !== undefined && others.length > 0) await openVSwitchFolder();
  if (cards !== undefined && cards.length > 0) await guestImageFolder();
  let worst = 0;
  for (const [part, card] of [[others ?? [], false] as const, [cards ?? [], true] as const]) {
    if (part.length === 0) continue;
    const began = performance.now();
    const status = await runInMachine(
      [process.execPath, "--disable-warning=ExperimentalWarning", "test/nested/inside.ts", ...part],
      {
        cwd: root,
        env: { ...testEnvironment(), ...(card ? { PATCHBAY_TEST_SLOWNESS: "4" } : {}) },
        // dummy makes a link of its own when it comes, which would count as left behind.
        modules: ["tun", "dummy"],
        card,
        timeLimitMs: TIME_LIMIT_MS,
        onOutput: (bytes) => process.stdout.write(bytes),
        onProgress: (line) => tell(`ℹ ${line}`),
        signal: ending.signal,
      },
    );
    tell(`ℹ the nested machine ran for ${((performance.now() - began) / 1000).toFixed(1)} s`);
    worst = worst === 0 ? status : worst;
  }
  tell(worst === 0 ? "✔ passed" : "✖ failed");
  return worst;
}

/** What tests take from the environment. */
function testEnvironment(): Record<string, string> {
  const cache = process.env["PATCHBAY_TEST_CACHE"];
  return cache === undefined ? {} : { PATCHBAY_TEST_CACHE: cache };
}

process.exitCode = await main(process.argv.slice(2)).catch((thrown: unknown) => {
  tell(`✖ ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  return 1;
});
