import { familyOf } from "../addresses/ip.ts";
import { canonicalDomain } from "../packets/dns-names.ts";
import type { Resolver } from "../wiring/facts.ts";

/** What a guest is told of name resolution. */
export interface GuestDns {
  readonly nameservers4: readonly string[];
  readonly nameservers6: readonly string[];
  /** As the pod has them: who serves them leaves out what is no domain, and says so. */
  readonly search: readonly string[];
  /** Those of `search` that are domains, as they are sent. */
  readonly sound: readonly string[];
  /** The longest of these: DHCP option 15 takes one. */
  readonly domain?: string;
}

/** Answers where the pod names no server at all (reference 6.3). */
const FALLBACK_NAMESERVER = "8.8.8.8";
const FALLBACK_SEARCH = "cluster.local";

/** The guest's DNS settings from the pod's resolv.conf and `spec.subdomain` (reference 6.3). */
export function guestDns(resolver: Resolver, subdomain: string | undefined): GuestDns {
  const nameservers4 = resolver.nameservers.filter((server) => familyOf(server) === 4);
  const nameservers6 = resolver.nameservers.filter((server) => familyOf(server) === 6);
  const lower = resolver.search.map((domain) => domain.toLowerCase());
  const search = withSubdomain(lower.length === 0 ? [FALLBACK_SEARCH] : lower, subdomain);
  const sound = search.flatMap((domain) => canonicalDomain(domain) ?? []);
  const domain = longest(sound);
  return {
    nameservers4: nameservers4.length + nameservers6.length === 0 ? [FALLBACK_NAMESERVER] : nameservers4,
    nameservers6,
    search,
    sound,
    ...(domain === undefined ? {} : { domain }),
  };
}

/**
 * A sentence, with a space before it, about the search domains of the pod that a guest is not told: those that are none,
 * and those after the first `most`. Empty where it is told all.
 */
export function unsaidSearch({ search, sound }: GuestDns, most: number = Number.POSITIVE_INFINITY): string {
  const wrong = search.filter((domain) => canonicalDomain(domain) === undefined);
  const late = sound.slice(most);
  const left = [
    ...(wrong.length === 0 ? [] : [`${wrong.join(", ")} (no domain)`]),
    ...(late.length === 0 ? [] : [`${late.join(", ")} (${most} are taken)`]),
  ];
  return left.length === 0 ? "" : ` Of the pod's search domains it is not told ${left.join(" and ")}.`;
}

function withSubdomain(search: readonly string[], subdomain: string | undefined): readonly string[] {
  if (subdomain === undefined || subdomain === "") return search;
  const service = longest(search.filter((domain) => domain.includes(".svc.")));
  if (service === undefined || service.startsWith(`${subdomain}.`)) return search;
  return [`${subdomain}.${service}`, ...search];
}

function longest(domains: readonly string[]): string | undefined {
  return domains.reduce<string | undefined>(
    (best, domain) => (best === undefined || domain.length > best.length ? domain : best),
    undefined,
  );
}
