import { spawnSync } from "node:child_process";
import { findProgram, searchPath } from "./programs.ts";

/**
 * What a probe saw. `unknown`: it could not look, and says why; that counts as not found. `untried`: it can be
 * looked for only by root, or with a program that is itself a need and missing.
 */
export type Sighting =
  | { readonly state: "found"; readonly where: string }
  | { readonly state: "missing"; readonly because?: string }
  | { readonly state: "unknown"; readonly because: string }
  | { readonly state: "untried"; readonly because: string };

/** Features of the kernel that are tried for real, in a network namespace that dies with the attempt. */
export type KernelFeature = keyof typeof attempts;

/** A shell command each; success of the command is the feature. `p0`/`p1` is a veth pair when veth works. */
const attempts = {
  netns: "true",
  tap: "ip tuntap add dev t0 mode tap",
  veth: "ip link show dev p0 >/dev/null",
  bridge: "ip link add b0 type bridge",
  nat4: "nft 'table ip a { chain c { type nat hook postrouting priority 100; masquerade; }; }'",
  nat6: "nft 'table ip6 a { chain c { type nat hook postrouting priority 100; masquerade; }; }'",
  nftBridge: "nft 'table bridge a { chain c { type filter hook forward priority 0; udp dport 67 drop; }; }'",
  nftForward: "nft 'table netdev a { chain c { type filter hook ingress device p0 priority 0; fwd to p1; }; }'",
  macvtap: "ip link add link p0 name m0 type macvtap mode bridge",
  vlan: "ip link add link p0 name v0 type vlan id 7",
  // A link carries macvlans or ipvlans, not both.
  ipvlan: "ip link add link p1 name i0 type ipvlan mode l2",
} as const;

const tools: Readonly<Record<string, readonly [program: string, debianPackage: string]>> = {
  ip: ["ip", "iproute2"],
  nft: ["nft", "nftables"],
};

/** Half a second of work, and modules to load: on an emulated machine that takes long. */
const ATTEMPT_MS = 60_000;

let answers: ReadonlyMap<string, string> | string | undefined;

/** Runs every attempt in one throw-away namespace; a sentence when no such namespace can be had. */
function attemptAll(): ReadonlyMap<string, string> | string {
  const unshare = findProgram("unshare");
  if (unshare === undefined) return "unshare (package util-linux) is missing, which makes the namespace to try it in";
  const lines = Object.entries(attempts).map(
    ([feature, command]) =>
      `if said=$(${command} 2>&1); then echo '${feature}='; else echo "${feature}=$said" | tr '\\n' ' '; echo; fi`,
  );
  const script = ["ip link add p0 type veth peer name p1 2>/dev/null", ...lines].join("\n");
  const run = spawnSync(unshare, ["--net", "--", "sh", "-c", script], {
    encoding: "utf8",
    env: { ...process.env, PATH: searchPath(), LC_ALL: "C" },
    timeout: ATTEMPT_MS,
  });
  if (run.status === null) return `the attempt did not end (${run.error?.message ?? run.signal ?? "no status"})`;
  const seen = new Map<string, string>();
  for (const line of run.stdout.split("\n")) {
    const cut = line.indexOf("=");
    if (cut > 0) seen.set(line.slice(0, cut), line.slice(cut + 1).trim());
  }
  if (seen.size > 0) return seen;
  return `a network namespace cannot be made: ${run.stderr.trim()}`;
}

/** Tries a feature of the kernel. The attempts are made once a process, in some 60 ms. */
export function probeKernel(feature: KernelFeature): Sighting {
  const tool = tools[attempts[feature].split(" ")[0] ?? ""];
  if (tool !== undefined && findProgram(tool[0]) === undefined) {
    return { state: "untried", because: `${tool[0]} (package ${tool[1]}) is missing, which tries it` };
  }
  if (process.getuid?.() !== 0) return { state: "untried", because: "only root can try it" };
  answers ??= attemptAll();
  if (typeof answers === "string") return { state: "unknown", because: answers };
  const said = answers.get(feature);
  if (said === undefined) return { state: "unknown", because: "the attempt gave no answer" };
  return said === "" ? { state: "found", where: "tried" } : { state: "missing", because: said };
}

/** Forgets what was seen, for a second look after something was installed. */
export function forgetKernelAnswers(): void {
  answers = undefined;
}
