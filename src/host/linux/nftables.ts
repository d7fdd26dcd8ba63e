import { closeSync, writeSync } from "node:fs";
import { Fault } from "../../model/fault.ts";
import { errnoCure, foreign, libc } from "./libc.ts";
import { asText, byType, decodeAttributes } from "./netlink.ts";
import { dump, withNetfilterSocket } from "./netlink-socket.ts";

const LIBRARY = "libnftables.so.1";
type Context = object;

const contextNew = foreign<[flags: number], Context | null>(LIBRARY, "void *nft_ctx_new(uint32_t flags)");
const contextFree = foreign<[context: Context], void>(LIBRARY, "void nft_ctx_free(void *ctx)");
const bufferOutput = foreign<[context: Context], number>(LIBRARY, "int nft_ctx_buffer_output(void *ctx)");
const bufferError = foreign<[context: Context], number>(LIBRARY, "int nft_ctx_buffer_error(void *ctx)");
const setFlags = foreign<[context: Context, flags: number], void>(
  LIBRARY,
  "void nft_ctx_output_set_flags(void *ctx, uint flags)",
);
const setDryRun = foreign<[context: Context, dry: boolean], void>(
  LIBRARY,
  "void nft_ctx_set_dry_run(void *ctx, bool dry)",
);
const run = foreign<[context: Context, commands: string], number>(
  LIBRARY,
  "int nft_run_cmd_from_buffer(void *ctx, const char *buf)",
);
const runFile = foreign<[context: Context, path: string], number>(
  LIBRARY,
  "int nft_run_cmd_from_filename(void *ctx, const char *filename)",
);
const memfdCreate = libc<[name: string, flags: number], number>("int memfd_create(const char *name, uint flags)");
const output = foreign<[context: Context], string>(LIBRARY, "const char *nft_ctx_get_output_buffer(void *ctx)");
const errors = foreign<[context: Context], string>(LIBRARY, "const char *nft_ctx_get_error_buffer(void *ctx)");

const MFD_CLOEXEC = 1;
const NFT_CTX_OUTPUT_STATELESS = 1 << 2;

/** How a listing is printed. */
export interface NftOptions {
  /** Leaves counters' state out, as `nft -s`. */
  readonly stateless?: boolean;
  /** Only asks the kernel whether it would do it, as `nft -c`. */
  readonly check?: boolean;
}

/**
 * Executes commands as `nft -f` would, in the current namespace and in one transaction, and gives what they print.
 *
 * @throws Fault PB4019 with nft's own sentence, line and caret; then nothing of the commands was done.
 */
export function runNft(commands: string, options: NftOptions = {}): string {
  // The library binds its netlink socket when the context is made: it must not outlive the stay in the namespace.
  const context = contextNew(0);
  if (context === null) throw nftFault(commands, "libnftables could not be started");
  try {
    if (bufferOutput(context) !== 0 || bufferError(context) !== 0) {
      throw nftFault(commands, "libnftables is short of memory");
    }
    if (options.stateless === true) setFlags(context, NFT_CTX_OUTPUT_STATELESS);
    if (options.check === true) setDryRun(context, true);
    const result = run(context, commands);
    if (result !== 0) throw nftFault(commands, placed(commands) ?? errors(context).trim());
    return output(context);
  } finally {
    contextFree(context);
  }
}

/**
 * The errors again with the line that they are about: of commands from memory the library shows the first line only, of
 * commands from a file the right one. Undefined where it finds nothing to complain of this time.
 */
function placed(commands: string): string | undefined {
  const fd = memfdCreate("nftables", MFD_CLOEXEC);
  if (fd < 0) return undefined;
  const context = contextNew(0);
  try {
    writeSync(fd, commands);
    if (context === null || bufferOutput(context) !== 0 || bufferError(context) !== 0) return undefined;
    setDryRun(context, true);
    const path = `/proc/self/fd/${fd}`;
    if (runFile(context, path) === 0) return undefined;
    return errors(context).replaceAll(`${path}:`, "line ").trim();
  } finally {
    if (context !== null) contextFree(context);
    closeSync(fd);
  }
}

function nftFault(commands: string, said: string): Fault {
  const [first = said, ...rest] = said.split("\n");
  const sentence = first.replace(/^(?:line (\d+):(\d+)-\d+: )?Error: /, (_, line, column) =>
    line === undefined ? "" : `line ${line}, column ${column}: `,
  );
  const caret = rest.length === 0 ? "" : `\n${rest.join("\n")}`;
  const cure = /Operation not permitted/.test(sentence)
    ? errnoCure(1)
    : /Operation not supported/.test(sentence)
      ? "This kernel lacks an nftables feature: load its module or use another kernel."
      : undefined;
  return new Fault("PB4019", `nftables refused the rules: ${sentence}${caret}`, {
    place: "nftables",
    data: { sentence, output: said, commands },
    ...(cure === undefined ? {} : { cure }),
  });
}

const NFNL_SUBSYS_NFTABLES = 10;
const NFT_MSG_GETTABLE = 1;
const NFTA_TABLE_NAME = 1;
/** NFPROTO_… of nf_tables as nft spells them. */
const FAMILIES: ReadonlyMap<number, string> = new Map([
  [1, "inet"],
  [2, "ip"],
  [3, "arp"],
  [5, "netdev"],
  [7, "bridge"],
  [10, "ip6"],
]);

/** `family name` of every table of the current namespace, asked of the kernel itself. */
export function tableNames(): string[] {
  const type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETTABLE;
  return withNetfilterSocket((fd) => dump(fd, type, new Uint8Array(4), "the tables")).flatMap(({ payload }) => {
    const name = byType(decodeAttributes(payload, 4)).get(NFTA_TABLE_NAME);
    const family = FAMILIES.get(payload[0] ?? 0);
    return name === undefined || family === undefined ? [] : [`${family} ${asText(name)}`];
  });
}

/** A table and its listing. */
export interface ListedTable {
  readonly family: string;
  readonly name: string;
  readonly listing: string;
}

/** All tables of the current namespace as `nft list ruleset` prints them. */
export function listRuleset(options: NftOptions = {}): string {
  return runNft("list ruleset", options);
}

/** The tables of a listing of {@link listRuleset}, each as `nft list table` would print it. */
export function splitRuleset(ruleset: string): ListedTable[] {
  const END = "\n}\n";
  return ruleset.split(END).flatMap((text) => {
    // A comment may stand before a table that iptables made.
    const start = text.startsWith("table ") ? 0 : text.indexOf("\ntable ") + 1;
    const [, family, name] = /^table (\S+) (\S+) \{/.exec(text.slice(start)) ?? [];
    return family === undefined || name === undefined ? [] : [{ family, name, listing: `${text.slice(start)}${END}` }];
  });
}
