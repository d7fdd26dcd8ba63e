import { readFileSync } from "node:fs";
import { Command, CommanderError, Option } from "commander";
import { isFault } from "../model/fault.ts";
import type { SetupOptions } from "./setup.ts";

/** Options that every command takes. */
export interface GlobalOptions {
  readonly dataDir: string;
}

/** The version in package.json, which lies two folders up both in the sources and in a package. */
function version(): string {
  const text = readFileSync(`${import.meta.dirname}/../../package.json`, "utf8");
  const data: unknown = JSON.parse(text);
  return typeof data === "object" && data !== null && "version" in data ? String(data.version) : "unknown";
}

/** `-o json` of the commands that report. */
function outputOption(): Option {
  return new Option("-o, --output <format>", "how to report").choices(["text", "json"]).default("text");
}

/**
 * The commands. Each module is imported when its command runs, so that none pays for another's start.
 *
 * `ended` gets the exit code of the command that ran.
 */
function build(ended: (code: number) => void): Command {
  const program = new Command("patchbay");
  program
    .description("Plugs virtual machines into networks: KubeVirt's manifests and kubectl on one Linux machine.")
    .version(version(), "-V, --version", "print the version")
    .addOption(
      new Option("--data-dir <folder>", "where the store, images, sockets and logs live")
        .env("PATCHBAY_DATA_DIR")
        .default("/var/lib/patchbay"),
    )
    .showHelpAfterError("Run it with --help to see how it is used.")
    .exitOverride();

  program
    .command("setup")
    .description("install what this machine lacks, or only list it")
    .option("--check", "list each need, found or not, and what brings it; change nothing")
    .addOption(outputOption())
    .addHelpText("after", "\nExit code: 0 when nothing needed is missing, 1 when something is, 2 on wrong usage.")
    .action(async (options: SetupOptions) => ended(await (await import("./setup.ts")).setup(options)));

  return program;
}

/** What a thrown thing says on the terminal: code, sentence, place and cure of a fault; the stack of a defect. */
function describe(thrown: unknown): string {
  if (!isFault(thrown)) {
    const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
    return `patchbay: this is a defect in Patchbay, please report it:\n${text}`;
  }
  const place = thrown.place === undefined ? "" : `\n  at ${thrown.place}`;
  const cure = thrown.cure === undefined ? "" : `\n  ${thrown.cure.replaceAll("\n", "\n  ")}`;
  return `patchbay: ${thrown.code}: ${thrown.message}${place}${cure}`;
}

/** Runs one command line; answers the exit code: 0 fine, 1 findings or failure, 2 usage. */
export async function main(argv: readonly string[]): Promise<number> {
  let code = 0;
  const program = build((ended) => {
    code = ended;
  });
  try {
    if (argv.length === 0) {
      program.outputHelp({ error: true });
      return 2;
    }
    await program.parseAsync(argv, { from: "user" });
    return code;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
    process.stderr.write(`${describe(thrown)}\n`);
    return 1;
  }
}
