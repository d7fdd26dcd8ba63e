/** An nftables table that Patchbay owns whole: it replaces it in one transaction and deletes it whole. */
export interface NftTable {
  readonly family: "ip" | "ip6" | "inet" | "netdev" | "bridge";
  readonly name: string;
  readonly sets: readonly NftSet[];
  readonly chains: readonly NftChain[];
}

export interface NftSet {
  readonly name: string;
  /** nft's type expression, such as `inet_proto . inet_service`. */
  readonly type: string;
  readonly flags?: readonly string[];
  /** In nft's own order and spelling. */
  readonly elements: readonly string[];
}

export interface NftChain {
  readonly name: string;
  /** Absent: a regular chain. */
  readonly hook?: {
    readonly type: "nat" | "filter" | "route";
    readonly at: string;
    readonly priority: number;
    readonly device?: string;
  };
  /** Rules in nft's own spelling, as `nft list` prints them with `counter` and without its state. */
  readonly rules: readonly string[];
}

/** The commands that make the table so, whatever it was before: one transaction. */
export function replaceTable(table: NftTable): string {
  const id = `${table.family} ${table.name}`;
  return `table ${id}\ndelete table ${id}\n${renderTable(table)}\n`;
}

/** The table as `nft -s list table` prints it, but for white space. */
export function renderTable(table: NftTable): string {
  const sets = table.sets.map((set) => {
    const flags = set.flags === undefined || set.flags.length === 0 ? "" : `\t\tflags ${set.flags.join(",")}\n`;
    const elements = set.elements.length === 0 ? "" : `\t\telements = { ${set.elements.join(", ")} }\n`;
    return `\tset ${set.name} {\n\t\ttype ${set.type}\n${flags}${elements}\t}\n`;
  });
  const chains = table.chains.map((chain) => {
    const device = chain.hook?.device === undefined ? "" : ` device "${chain.hook.device}"`;
    const hook =
      chain.hook === undefined
        ? ""
        : `\t\ttype ${chain.hook.type} hook ${chain.hook.at}${device} priority ${chain.hook.priority}; policy accept;\n`;
    return `\tchain ${chain.name} {\n${hook}${chain.rules.map((rule) => `\t\t${rule}\n`).join("")}\t}\n`;
  });
  return `table ${table.family} ${table.name} {\n${[...sets, ...chains].join("\n")}}`;
}

const PRIORITIES: Readonly<Record<string, number>> = {
  raw: -300,
  mangle: -150,
  dstnat: -100,
  filter: 0,
  security: 50,
  srcnat: 100,
};

/** The bridge family's own (nft(8), "priority names for bridge family"). */
const BRIDGE_PRIORITIES: Readonly<Record<string, number>> = { dstnat: -300, filter: -200, out: 100, srcnat: 300 };

/**
 * Brings two spellings of one table's listing together: white space, handles, counters' state, named priorities, and
 * the order of a set's elements, which is the kernel's, in rules as well.
 */
export function normaliseListing(listing: string): string {
  const priorities = /^\s*table bridge /.test(listing) ? BRIDGE_PRIORITIES : PRIORITIES;
  return listing
    .replace(/# handle \d+/g, "")
    .replace(COUNTER, "counter")
    .replace(
      /priority ([a-z]+)(?: ([+-]) (\d+))?;/g,
      (whole, name: string, sign: string | undefined, offset: string | undefined) => {
        const base = priorities[name];
        if (base === undefined) return whole;
        return `priority ${base + (offset === undefined ? 0 : Number(`${sign}${offset}`))};`;
      },
    )
    .replace(SET, (_, named: string | undefined, ofSet: string, ofRule: string) => {
      const elements = (named === undefined ? ofRule : ofSet).split(",");
      const sorted = elements.map((element) => element.replace(/\s+/g, " ").trim()).sort();
      return `${named ?? ""}{ ${sorted.join(", ")} }`;
    })
    .replace(/\s+/g, " ")
    .trim();
}

/** The elements of a named set, which may take several lines, or of one that stands in a rule. */
const SET = /(elements = )\{([^}]*)\}|\{([^{}\n]*)\}/g;

const COUNTER = /counter packets \d+ bytes \d+/g;

/** True when `listing`, as the kernel's tables were read back, is this table. */
export function isTable(table: NftTable, listing: string): boolean {
  return normaliseListing(renderTable(table)) === normaliseListing(listing);
}

/**
 * The table with the counters that its rules have in `listing`, so that replacing it goes on counting where they were.
 *
 * A rule is the same when its text and its chain are; of several equal ones each takes the next counter.
 */
export function withCounters(table: NftTable, listing: string): NftTable {
  const counted = new Map<string, string[]>();
  for (const [, chain = "", body = ""] of listing.matchAll(/^\tchain (\S+) \{\n([\s\S]*?)^\t\}/gm)) {
    for (const line of body.split("\n")) {
      const rule = line.replace(/# handle \d+/, "").trim();
      const key = `${chain} ${rule.replace(COUNTER, "counter")}`;
      counted.set(key, [...(counted.get(key) ?? []), rule]);
    }
  }
  return {
    ...table,
    chains: table.chains.map((chain) => ({
      ...chain,
      rules: chain.rules.map((rule) => counted.get(`${chain.name} ${rule}`)?.shift() ?? rule),
    })),
  };
}
