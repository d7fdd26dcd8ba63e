import { canonicalIp, parseIp4 } from "../addresses/ip.ts";
import type { Resolver } from "../wiring/facts.ts";

/** A pod's `dnsConfig`. */
export interface PodDnsConfig {
  readonly nameservers?: readonly string[];
  readonly searches?: readonly string[];
  readonly options?: readonly { readonly name?: string; readonly value?: string }[];
}

export interface ResolverRequest {
  /** `ClusterFirst` where absent, as Kubernetes defaults it. */
  readonly dnsPolicy?: string | undefined;
  readonly dnsConfig?: PodDnsConfig | undefined;
  /** The pod's namespace: part of the search domains of ClusterFirst. */
  readonly namespace?: string | undefined;
  /** Text of the host's resolv.conf. */
  readonly hostResolvConf: string;
  /** Text of the file that lists the name servers behind a local stub, `/run/systemd/resolve/resolv.conf`. */
  readonly behindStub?: string | undefined;
  /** What CNI said of DNS for the pod's primary network; where it names servers, it stands in for the host's. */
  readonly cniDns?:
    | {
        readonly nameservers: readonly string[];
        readonly domain?: string;
        readonly search: readonly string[];
        readonly options: readonly string[];
      }
    | undefined;
  /** The cluster's name servers; where there are none, ClusterFirst is Default, as for kubelet. */
  readonly clusterDns?: readonly string[] | undefined;
  /** `cluster.local` where absent. */
  readonly clusterDomain?: string | undefined;
}

/** Limits of kubelet: what a resolv.conf may have. */
const MAX_NAMESERVERS = 3;
const MAX_SEARCHES = 32;
const MAX_SEARCH_LENGTH = 2048;

/**
 * Reads resolv.conf(5): the last `search` (or `domain`) line counts, `options` lines add up, comments begin with `#` or
 * `;` in the first column. Name servers that are no addresses and unknown keywords are passed over. Never throws.
 */
export function parseResolvConf(text: string): Resolver {
  const nameservers: string[] = [];
  let search: string[] = [];
  const options: string[] = [];
  for (const line of text.split("\n")) {
    if (/^[#;]/.test(line)) continue;
    const [keyword, ...values] = line.trim().split(/\s+/);
    if (keyword === "nameserver") {
      const address = nameserver(values[0] ?? "");
      if (address !== undefined) nameservers.push(address);
    } else if (keyword === "search") search = values;
    else if (keyword === "domain") search = values.slice(0, 1);
    else if (keyword === "options") options.push(...values);
  }
  // "search ." is how "no search domain" is written.
  search = unique(search).filter((domain) => domain !== ".");
  return { nameservers: unique(nameservers), search, options: mergeOptions(options) };
}

/**
 * The resolver of a pod as kubelet makes it of `dnsPolicy` and `dnsConfig`.
 *
 * A name server on the host's loopback is none for a pod: where the host has no other, those behind its stub count.
 */
export function podResolver(request: ResolverRequest): Resolver {
  const { dnsConfig, clusterDns = [] } = request;
  const policy = request.dnsPolicy ?? "ClusterFirst";
  const host = hostResolver(request);
  let base: Resolver;
  if (policy === "None") base = { nameservers: [], search: [], options: [] };
  else if (clusterDns.length > 0 && (policy === "ClusterFirst" || policy === "ClusterFirstWithHostNet")) {
    const domain = request.clusterDomain ?? "cluster.local";
    const own = request.namespace === undefined ? [] : [`${request.namespace}.svc.${domain}`];
    base = {
      nameservers: clusterDns,
      search: [...own, `svc.${domain}`, domain, ...host.search],
      options: ["ndots:5"],
    };
  } else base = host;
  const wanted = dnsConfig?.options?.flatMap(({ name, value }) =>
    name === undefined || name === "" ? [] : [value === undefined || value === "" ? name : `${name}:${value}`],
  );
  return {
    nameservers: unique(
      [...base.nameservers, ...(dnsConfig?.nameservers ?? [])].flatMap((server) => nameserver(server) ?? []),
    ).slice(0, MAX_NAMESERVERS),
    search: withinLimits(unique([...base.search, ...(dnsConfig?.searches ?? [])])),
    options: mergeOptions([...base.options, ...(wanted ?? [])]),
  };
}

/** What the policy `Default` hands on. */
function hostResolver({ hostResolvConf, behindStub, cniDns }: ResolverRequest): Resolver {
  if (cniDns !== undefined && cniDns.nameservers.length > 0) {
    const { nameservers, domain, search, options } = cniDns;
    return { nameservers, search: search.length > 0 || domain === undefined ? search : [domain], options };
  }
  const host = parseResolvConf(hostResolvConf);
  const reachable = host.nameservers.filter((server) => !isLoopback(server));
  if (reachable.length > 0 || behindStub === undefined) return { ...host, nameservers: reachable };
  const behind = parseResolvConf(behindStub);
  return {
    nameservers: behind.nameservers.filter((server) => !isLoopback(server)),
    search: behind.search.length > 0 ? behind.search : host.search,
    options: behind.options.length > 0 ? behind.options : host.options,
  };
}

/** Canonical text; a zone (`fe80::1%eth0`) names a link of the host and makes the server useless in a pod. */
function nameserver(text: string): string | undefined {
  return canonicalIp(text);
}

function isLoopback(address: string): boolean {
  return address === "::1" || parseIp4(address)?.[0] === 127;
}

function unique(items: readonly string[]): string[] {
  return [...new Set(items)];
}

function withinLimits(search: readonly string[]): string[] {
  let length = -1;
  return search.slice(0, MAX_SEARCHES).filter((domain) => {
    if (length + 1 + domain.length > MAX_SEARCH_LENGTH) return false;
    length += 1 + domain.length;
    return true;
  });
}

/** A later option replaces an earlier one of the same name, in its place. */
function mergeOptions(options: readonly string[]): string[] {
  const byName = new Map<string, string>();
  for (const option of options) byName.set(option.replace(/:.*/, ""), option);
  return [...byName.values()];
}
