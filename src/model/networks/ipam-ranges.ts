import { addressNumber, type Cidr, contains, hostAddress, networkOf, parseCidr, sizeOf } from "../addresses/cidr.ts";
import { formatIp, parseIp } from "../addresses/ip.ts";
import type { FieldPath } from "../api/field-path.ts";
import { isJsonObject, type JsonObject, objectAt, textAt } from "../json.ts";
import type { CniPlugin } from "./cni-config.ts";

/** A stretch of addresses that an IPAM plugin gives out. */
export interface AddressRange {
  /** Where it stands in the `ipam` object. */
  readonly at: FieldPath;
  readonly subnet: Cidr;
  /** Of the subnet, `first` not after `last`. */
  readonly first: Uint8Array;
  readonly last: Uint8Array;
  /** Left out where it is in the range. */
  readonly gateway?: Uint8Array;
  /** Left out as well. */
  readonly excluded: readonly Cidr[];
}

/** Something in an `ipam` object for which its plugin gives no address, or one that is of no use. */
export interface RangeProblem {
  /** Where it stands in the `ipam` object. */
  readonly at: FieldPath;
  /** An error where the plugin refuses every pod. */
  readonly severity: "error" | "warning";
  /** What is wrong, as a sentence that does not name the file. */
  readonly message: string;
  readonly expected: string;
}

export interface RangesReading {
  /** One address is given of each set; what cannot be used is left out. */
  readonly sets: readonly (readonly AddressRange[])[];
  readonly problems: readonly RangeProblem[];
}

/** The ranges of a `host-local` or `whereabouts` section; none of another. Never throws. */
export function readRanges({ config, ipamType, capabilities }: CniPlugin): RangesReading {
  const ipam = objectAt(config, "ipam");
  const problems: RangeProblem[] = [];
  if (ipamType === "whereabouts") {
    const sets = whereabouts(ipam).map(({ at, given }) => rangesOf([{ at, given }], WHEREABOUTS, problems));
    return { sets: sets.filter((set) => set.length > 0), problems };
  }
  if (ipamType !== "host-local") return { sets: [], problems };
  const written = hostLocal(ipam, problems);
  const fromRuntime = capabilities.includes("ipRanges");
  if (written.length === 0 && problems.length === 0 && !fromRuntime) {
    problems.push({ at: [], severity: "error", message: "It has no subnet.", expected: "subnet or ranges" });
  }
  const sets = written.map((set) => rangesOf(set, HOST_LOCAL, problems));
  problems.push(...collisions(sets));
  return { sets: sets.filter((set) => set.length > 0), problems };
}

interface Given {
  readonly at: FieldPath;
  readonly given: JsonObject;
}

/** What the two plugins call the parts of a range, and in what they differ. */
interface Dialect {
  readonly subnet: string;
  readonly first: string;
  readonly last: string;
  /** What a subnet of this many addresses or fewer has room for: nobody. */
  readonly tooSmall: bigint;
  readonly hostBits: boolean;
  /** The gateway where none is written. */
  readonly defaultGateway: boolean;
}

const HOST_LOCAL: Dialect = {
  subnet: "subnet",
  first: "rangeStart",
  last: "rangeEnd",
  tooSmall: 2n,
  hostBits: false,
  defaultGateway: true,
};
const WHEREABOUTS: Dialect = {
  subnet: "range",
  first: "range_start",
  last: "range_end",
  tooSmall: 0n,
  hostBits: true,
  defaultGateway: false,
};

/** host-local's sets of ranges; older configurations have one range on top. */
function hostLocal(ipam: JsonObject, problems: RangeProblem[]): readonly (readonly Given[])[] {
  const { ranges } = ipam;
  const wrong = (at: FieldPath, what: string): [] => {
    const expected = "a list of lists of ranges: [[{subnet}], …]";
    problems.push({ at, severity: "error", message: `Its ${what}.`, expected });
    return [];
  };
  if (ranges !== undefined && ranges !== null && !Array.isArray(ranges)) return wrong(["ranges"], "ranges are no list");
  const sets = (Array.isArray(ranges) ? ranges : []).flatMap((set: unknown, index): (readonly Given[])[] => {
    const at = ["ranges", index];
    if (!Array.isArray(set)) return wrong(at, `ranges[${index}] is no list`);
    if (set.length === 0) return wrong(at, `ranges[${index}] is empty`);
    return [
      set.flatMap((given: unknown, place): Given[] =>
        isJsonObject(given)
          ? [{ at: [...at, place], given }]
          : wrong([...at, place], `ranges[${index}] has what is no range`),
      ),
    ];
  });
  return textAt(ipam, "subnet") === undefined ? sets : [[{ at: [], given: ipam }], ...sets];
}

/** whereabouts' one range on top and those of its list, of each of which one address is given. */
function whereabouts(ipam: JsonObject): readonly Given[] {
  const { ipRanges, gateway } = ipam;
  const listed = (Array.isArray(ipRanges) ? ipRanges : []).flatMap((given: unknown, index): Given[] =>
    isJsonObject(given) ? [{ at: ["ipRanges", index], given: { gateway, ...given } }] : [],
  );
  const all = textAt(ipam, "range") === undefined ? listed : [{ at: [], given: ipam }, ...listed];
  return all.map(({ at, given }) => ({ at, given: spelledOut(given) }));
}

/** whereabouts takes `10.0.0.10-10.0.0.20/24` for a range with its ends. */
function spelledOut(given: JsonObject): JsonObject {
  const [, start, end, length] = /^([^-]+)-([^/]+)\/(\d+)$/.exec(textAt(given, "range") ?? "") ?? [];
  return start === undefined ? given : { ...given, range: `${end}/${length}`, range_start: start, range_end: end };
}

function rangesOf(set: readonly Given[], dialect: Dialect, problems: RangeProblem[]): readonly AddressRange[] {
  return set.flatMap(({ at, given }) => rangeOf(at, given, dialect, problems) ?? []);
}

function rangeOf(
  at: FieldPath,
  given: JsonObject,
  dialect: Dialect,
  problems: RangeProblem[],
): AddressRange | undefined {
  const wrong = (key: string, message: string, expected: string, severity: RangeProblem["severity"] = "error") => {
    problems.push({ at: [...at, key], severity, message, expected });
    return undefined;
  };
  const text = textAt(given, dialect.subnet) ?? "";
  const subnet = parseCidr(text);
  if (subnet === undefined) {
    return wrong(dialect.subnet, `Its ${dialect.subnet} "${text}" is no network.`, "a network such as 10.1.0.0/16");
  }
  const network = formatIp(networkOf(subnet).address);
  if (!dialect.hostBits && network !== formatIp(subnet.address)) {
    const message = `Its ${dialect.subnet} "${text}" has host bits: the network is ${network}/${subnet.prefixLength}.`;
    return wrong(dialect.subnet, message, `${network}/${subnet.prefixLength}`);
  }
  if (sizeOf(subnet) <= dialect.tooSmall) {
    const longest = subnet.family === 4 ? 30 : 126;
    return wrong(dialect.subnet, `Its ${dialect.subnet} "${text}" is too small.`, `a network of /${longest} or larger`);
  }
  const spared = subnet.family === 4 ? 2n : 1n;
  const [first, last] = (
    [
      [dialect.first, 1n],
      [dialect.last, sizeOf(subnet) - spared],
    ] as const
  ).map(([key, offset]) => {
    const end = textAt(given, key);
    if (end === undefined) return hostAddress(subnet, offset) ?? networkOf(subnet).address;
    const address = parseIp(end);
    if (address !== undefined && contains(subnet, address)) return address;
    return wrong(key, `Its ${key} "${end}" is no address of ${text}.`, `an address of ${text}`);
  });
  const gateway = gatewayOf(given, subnet, dialect, wrong);
  if (first === undefined || last === undefined || gateway === "none") return undefined;
  if (addressNumber(first) > addressNumber(last)) {
    const message = `Its ${dialect.first} ${formatIp(first)} comes after its ${dialect.last} ${formatIp(last)}.`;
    return wrong(dialect.first, message, `an address up to ${formatIp(last)}`);
  }
  const { exclude } = given;
  const excluded = (Array.isArray(exclude) ? exclude : []).flatMap((one: unknown) =>
    typeof one === "string" ? (parseCidr(one) ?? []) : [],
  );
  return { at, subnet, first, last, ...(gateway === undefined ? {} : { gateway }), excluded };
}

type Wrong = (key: string, message: string, expected: string, severity?: RangeProblem["severity"]) => undefined;

/** `none` for a gateway that is no address, for which the plugin refuses the range. */
function gatewayOf(given: JsonObject, subnet: Cidr, dialect: Dialect, wrong: Wrong): Uint8Array | "none" | undefined {
  const text = textAt(given, "gateway");
  if (text === undefined) return dialect.defaultGateway ? hostAddress(subnet, 1) : undefined;
  const gateway = parseIp(text);
  if (gateway === undefined) {
    wrong("gateway", `Its gateway "${text}" is no address.`, "an address of the subnet");
    return "none";
  }
  // One gateway for ranges of both families is for one of them.
  const isOther = dialect === WHEREABOUTS && gateway.length !== subnet.address.length;
  if (isOther) return undefined;
  if (!contains(subnet, gateway)) {
    const message = `Its gateway ${text} is outside of the subnet, and no pod can reach it.`;
    wrong("gateway", message, `an address of ${formatIp(networkOf(subnet).address)}/${subnet.prefixLength}`, "warning");
  }
  return gateway;
}

/** host-local refuses ranges of a set in different families, and ranges that have addresses in common. */
function collisions(sets: readonly (readonly AddressRange[])[]): RangeProblem[] {
  const all = sets.flatMap((set, index) => set.map((range) => ({ range, index })));
  return all.flatMap(({ range, index }, place): RangeProblem[] => {
    const before = all.slice(0, place);
    const mixed = before.some((other) => other.index === index && other.range.first.length !== range.first.length);
    const twice = before.some((other) => meet(other.range, range));
    const at = [...range.at, "subnet"];
    return [
      ...(mixed
        ? [
            {
              at,
              severity: "error" as const,
              message: "It has networks of both families in one set.",
              expected: "a set for each family",
            },
          ]
        : []),
      ...(twice
        ? [
            {
              at,
              severity: "error" as const,
              message: "It has an address in two ranges.",
              expected: "ranges that have no address in common",
            },
          ]
        : []),
    ];
  });
}

function meet(one: AddressRange, other: AddressRange): boolean {
  return (
    one.first.length === other.first.length &&
    addressNumber(one.first) <= addressNumber(other.last) &&
    addressNumber(other.first) <= addressNumber(one.last)
  );
}

/** The address that the first pod gets of a range; undefined where it has none to give. */
export function firstAddress({ subnet, first, last, gateway, excluded }: AddressRange): Uint8Array | undefined {
  const start = addressNumber(first) - addressNumber(networkOf(subnet).address);
  let offset = start;
  // Each exclusion is jumped over once at most, and the gateway once.
  for (let jumps = 0; jumps <= excluded.length + 1; jumps += 1) {
    const address = hostAddress(subnet, offset);
    if (address === undefined || addressNumber(address) > addressNumber(last)) return undefined;
    const over = excluded.find((one) => contains(one, address));
    if (over !== undefined) {
      const end = addressNumber(networkOf(over).address) + sizeOf(over);
      offset = end - addressNumber(networkOf(subnet).address);
    } else if (gateway !== undefined && formatIp(gateway) === formatIp(address)) offset += 1n;
    else return address;
  }
  return undefined;
}
