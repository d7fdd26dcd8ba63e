import { parseCidr, sizeOf } from "../../model/addresses/cidr.ts";
import { parseIp } from "../../model/addresses/ip.ts";
import type { Code } from "../../model/codes/codes.ts";
import { Fault } from "../../model/fault.ts";
import { isJsonObject, type JsonObject } from "../../model/json.ts";
import type { CniError } from "../../model/networks/cni-result.ts";

/** What a message needs to know of a call. */
export interface CallFacts {
  readonly command: string;
  readonly type: string;
  readonly binary: string;
  readonly network: string;
  readonly config: JsonObject;
}

interface Meaning {
  readonly code: Code;
  readonly words: string;
  readonly cure: string;
}

/** The codes that the specification reserves (section 5, "Error"). */
const MEANINGS: Readonly<Record<number, Meaning>> = {
  1: {
    code: "PB3011",
    words: "incompatible CNI version",
    cure: "Write a cniVersion that the plugin speaks (Debian 12's speak up to 1.0.0), or install a newer plugin.",
  },
  2: { code: "PB3012", words: "unsupported field in the configuration", cure: "Remove or change that field." },
  3: {
    code: "PB3013",
    words: "container unknown or gone",
    cure: "Delete the VMI and apply it again: the plugin has lost its pod.",
  },
  4: {
    code: "PB3012",
    words: "invalid environment",
    cure: "See docs/findings/PB3012.md: an argument is not accepted.",
  },
  5: { code: "PB3000", words: "I/O failure", cure: "Look for a full disk or a read-only file system." },
  6: { code: "PB3012", words: "content cannot be decoded", cure: "Mend the fields of the plugin's configuration." },
  7: { code: "PB3012", words: "invalid configuration", cure: "Mend the fields of the plugin's configuration." },
  11: { code: "PB3014", words: "try again later", cure: "Wait until what it names is done: it is tried again." },
  50: {
    code: "PB3015",
    words: "plugin not available",
    cure: "Bring up the daemon or service that the plugin talks to.",
  },
  51: {
    code: "PB3015",
    words: "plugin not available, existing containers may have limited connectivity",
    cure: "Bring up the daemon or service that the plugin talks to.",
  },
};

/** Code 999 is what the plugins' own library gives to any error without a code: it says nothing. */
const UNCODED = 999;

/** The fault of a plugin that answered with an error result: one sentence with what it said. */
export function pluginFault(call: CallFacts, error: CniError): Fault {
  const said = error.details === undefined ? error.message : `${error.message}: ${error.details}`;
  const meaning = MEANINGS[error.code];
  const special = meaning === undefined || error.code === 5 ? recognise(call, said) : undefined;
  const number = meaning === undefined ? `code ${error.code}` : `code ${error.code}, ${meaning.words}`;
  const suffix = error.code === UNCODED ? "" : ` (CNI error ${number})`;
  const message = special?.message ?? `The CNI plugin ${named(call)} failed: ${said}${suffix}.`;
  return new Fault(special?.code ?? meaning?.code ?? "PB3000", message, {
    place: call.binary,
    cure: special?.cure ?? meaning?.cure ?? "Mend what the plugin names: it is tried again.",
    data: {
      ...facts(call),
      cniCode: error.code,
      cniMessage: error.message,
      ...(error.details === undefined ? {} : { cniDetails: error.details }),
      ...(special?.data ?? {}),
    },
  });
}

interface Special {
  readonly code: Code;
  readonly message: string;
  readonly cure: string;
  readonly data?: JsonObject;
}

/** What plugins report without a code of its own, by their words. */
function recognise(call: CallFacts, said: string): Special | undefined {
  const pool = /no IP addresses available in range set: (\S+)/.exec(said)?.[1];
  if (pool !== undefined) return exhausted(call, pool);
  if (/no more tries/.test(said) && dhcpOf(call)) {
    return {
      code: "PB3035",
      message: `No DHCP server answers the pod on the network "${call.network}".`,
      cure: "See that one runs on that layer 2 network and has a free address, and that VLANs, bridges and cables lead there; or give the network another ipam. It is tried again.",
    };
  }
  const program = /exec: "?([\w./-]+)"?: executable file not found|failed to locate (\w+)/.exec(said);
  const name = program?.[1] ?? program?.[2];
  if (name !== undefined) {
    return {
      code: "PB3016",
      message: `The CNI plugin ${named(call)} needs the program ${name}, which is not installed.`,
      cure: `Install it with: apt-get install ${name === "nft" ? "nftables" : name.replace(/^ip6tables.*/, "iptables")}.`,
      data: { program: name },
    };
  }
  const delegate = /failed to find plugin "([^"]+)" in path \[([^\]]*)\]/.exec(said);
  if (delegate !== null) {
    return {
      code: "PB3006",
      message: `The CNI plugin ${named(call)} needs the plugin "${delegate[1]}", which is in none of the folders ${(delegate[2] ?? "").split(" ").join(", ")}.`,
      cure: "Put its binary there, or name its folder with --cni-bin-dir; the usual ones: apt-get install containernetworking-plugins.",
      data: { missing: delegate[1] },
    };
  }
  const master = call.config["master"];
  if (/link not found|no such device/i.test(said) && typeof master === "string") {
    return {
      code: "PB3027",
      message: `The CNI plugin ${named(call)} builds on the host's link "${master}", which is not there: ${said}.`,
      cure: `Name a link that "ip link show" lists as the "master" of the configuration, or make ${master}.`,
      data: { master },
    };
  }
  if (/operation not supported|address family not supported|protocol not supported/i.test(said)) {
    return {
      code: "PB3017",
      message: `The CNI plugin ${named(call)} asked the kernel for what it does not have: ${said}.`,
      cure: `Load the kernel module for it (modprobe ${call.type}), or use another plugin.`,
    };
  }
  return undefined;
}

function dhcpOf({ config: { ipam } }: CallFacts): boolean {
  return isJsonObject(ipam) && ipam["type"] === "dhcp";
}

function exhausted(call: CallFacts, pool: string): Special {
  const ipam = call.config["ipam"];
  const dataDir = isJsonObject(ipam) && typeof ipam["dataDir"] === "string" ? ipam["dataDir"] : "/var/lib/cni/networks";
  const count = pool.split(",").reduce((sum, range) => sum + sizeOfRange(range), 0n);
  return {
    code: "PB3018",
    message: `The network "${call.network}" has no free address: the pool ${pool} of ${count} ${count === 1n ? "address" : "addresses"}, the gateway's included, is taken.`,
    cure: `Delete a VMI that uses the network, or give it a larger subnet; if no VMI uses it, delete the addresses left in ${dataDir}/${call.network}.`,
    data: { pool, addresses: Number(count), dataDir: `${dataDir}/${call.network}` },
  };
}

/** Number of addresses of `10.1.0.1-10.1.0.2`. */
function sizeOfRange(range: string): bigint {
  const whole = parseCidr(range);
  if (whole !== undefined) return sizeOf(whole);
  const [first, last] = range.split("-").map((address) => number(address));
  return first === undefined || last === undefined || last < first ? 0n : last - first + 1n;
}

function number(address: string): bigint | undefined {
  return parseIp(address)?.reduce((sum, octet) => (sum << 8n) | BigInt(octet), 0n);
}

/** How a plugin can fail without an error result of its own. */
export type Misbehaviour = "hangs" | "aborted" | "died" | "silent" | "garbage" | "unstartable";

/** The fault of a plugin that gave no proper answer. `detail`: how long, which exit, what output, which errno. */
export function executionFault(
  call: CallFacts,
  how: Misbehaviour,
  detail: string,
  stderr: string,
  cause?: unknown,
): Fault {
  const words = stderr === "" ? "" : ` It said: ${stderr.replace(/\.?$/, ".")}`;
  const table: Readonly<Record<Misbehaviour, readonly [Code, string, string]>> = {
    hangs: [
      "PB3008",
      `did not answer within ${detail} and was killed`,
      "See what it waits for (a daemon, a DHCP server, a lock). It is tried again; --cni-timeout gives it longer.",
    ],
    aborted: ["PB3026", "was called off", "Nothing: the caller no longer wants it."],
    died: [
      "PB3010",
      `ended without a CNI answer: ${detail}`,
      "Run it by hand to see why; it may be of another architecture.",
    ],
    silent: ["PB3009", `answered ${detail}`, "Install a plugin that follows the CNI specification."],
    garbage: [
      "PB3009",
      `answered what is no CNI result: ${detail}`,
      "Install a plugin that follows the CNI specification.",
    ],
    unstartable: [
      "PB3007",
      `cannot be executed: ${detail}`,
      "See that it is a program for this machine and has mode 0755.",
    ],
  };
  const [code, what, cure] = table[how];
  return new Fault(code, `The CNI plugin ${named(call)} ${what}.${words}`, {
    place: call.binary,
    cure,
    cause,
    data: { ...facts(call), ...(stderr === "" ? {} : { stderr }) },
  });
}

/** What is told of a plugin while it is waited for. */
export function slowPlugin(call: CallFacts, limitMs: number): Fault {
  return new Fault(
    "PB3028",
    `The CNI plugin ${named(call)} has not answered yet; it is given ${limitMs / 1000} s (--cni-timeout).`,
    {
      place: call.binary,
      cure: "If it hangs: see what it waits for (a daemon, a DHCP server, a lock).",
      data: facts(call),
    },
  );
}

function named(call: CallFacts): string {
  return `"${call.type}" (${call.command} of the network "${call.network}")`;
}

function facts(call: CallFacts): JsonObject {
  return { plugin: call.type, command: call.command, network: call.network, binary: call.binary };
}
