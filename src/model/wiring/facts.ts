import { type Cidr, parseCidr } from "../addresses/cidr.ts";
import { formatIp, parseIp } from "../addresses/ip.ts";
import { Fault } from "../fault.ts";
import { isJsonObject, type JsonObject } from "../json.ts";
import { readJson } from "../networks/cni-json.ts";

/** What is in a pod's network namespace, read once before Patchbay changes it and kept under the pod's UID. */
export interface PodFacts {
  readonly podUid: string;
  /** Every link but `lo`, in index order. */
  readonly links: readonly LinkFacts[];
  readonly routes: readonly RouteFacts[];
  readonly resolver: Resolver;
  /** The annotation `k8s.v1.cni.cncf.io/network-status`, parsed; in CNI order, the default network first. */
  readonly networkStatus: readonly NetworkStatus[];
  /** Devices that were claimed for networks of the pod. */
  readonly devices?: readonly ClaimedDevice[];
  /** How many files a process of the pod may have open, where that is less than one a port (RLIMIT_NOFILE of getrlimit(2)). */
  readonly openFiles?: number;
}

/** A PCI device of the host that one network of the pod hands over. */
export interface ClaimedDevice {
  /** Name of the network in the manifest. */
  readonly network: string;
  /** `0000:81:02.0` on the host. */
  readonly pci: string;
  readonly mac?: string;
  readonly mtu?: number;
}

export interface LinkFacts {
  readonly name: string;
  /** Kernel kind (`veth`, `macvlan`, …); empty for a physical device. */
  readonly kind: string;
  /** `aa:bb:cc:dd:ee:ff`, lower case. */
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  /** Set where nobody is asked for a MAC on this link (IFF_NOARP). */
  readonly noArp?: true;
  /** In kernel order; link-local ones included. */
  readonly addresses: readonly AddressFacts[];
}

export interface AddressFacts {
  /** Address with its prefix length, canonical text: `10.0.2.2/24`, `fd10:0:2::2/120`. */
  readonly cidr: string;
  readonly scope: "global" | "site" | "link" | "host";
}

export interface RouteFacts {
  readonly family: 4 | 6;
  /** Destination; `0.0.0.0/0` or `::/0` for a default route. */
  readonly destination: string;
  readonly gateway?: string;
  readonly device: string;
  readonly metric?: number;
  /** Preferred source address. */
  readonly source?: string;
}

/** The pod's resolv.conf, as resolv.conf(5) reads it. */
export interface Resolver {
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/** One element of Multus' network-status annotation. */
export interface NetworkStatus {
  readonly name: string;
  readonly interface?: string;
  readonly ips?: readonly string[];
  readonly mac?: string;
  readonly mtu?: number;
  readonly default?: boolean;
  readonly gateway?: readonly string[];
  readonly dns?: Readonly<Record<string, unknown>>;
  /** What device it is (NPWG's device information specification 1.1). */
  readonly "device-info"?: Readonly<Record<string, unknown>>;
}

/** The addresses of a link that others can reach, of one family, in kernel order. */
export function globalAddresses(link: LinkFacts, family: 4 | 6): readonly Cidr[] {
  return link.addresses
    .filter(({ scope }) => scope === "global" || scope === "site")
    .flatMap(({ cidr }) => parseCidr(cidr) ?? [])
    .filter((cidr) => cidr.family === family);
}

/** The addresses of the pod's link of that name that others can reach, IPv4 first. */
export function podAddresses(facts: PodFacts, podInterface: string): readonly string[] {
  const link = facts.links.find(({ name }) => name === podInterface);
  if (link === undefined) return [];
  return [...globalAddresses(link, 4), ...globalAddresses(link, 6)].map(({ address }) => formatIp(address));
}

/**
 * Reads facts that were written as JSON; undefined for an empty text.
 *
 * @throws Fault PB4024 that names the field, such as `links[0].mtu`, where they are none.
 */
export function parsePodFacts(text: string): PodFacts | undefined {
  if (text === "") return undefined;
  const reading = readJson(text);
  if ("problem" in reading) throw misfit(`line ${reading.line}, column ${reading.column}`, reading.problem);
  const facts = object(reading.value, "");
  const resolver = object(facts["resolver"], "resolver");
  return {
    podUid: textOf(facts["podUid"], "podUid"),
    links: list(facts["links"], "links", linkOf),
    routes: list(facts["routes"], "routes", routeOf),
    resolver: {
      nameservers: list(resolver["nameservers"], "resolver.nameservers", textOf),
      search: list(resolver["search"], "resolver.search", textOf),
      options: list(resolver["options"], "resolver.options", textOf),
    },
    networkStatus: list(facts["networkStatus"], "networkStatus", statusOf),
    ...maybe("devices", facts["devices"], "", (value, path) => list(value, path, deviceOf)),
    ...maybe("openFiles", facts["openFiles"], "", numberOf),
  };
}

/** Reads a value at a path; throws PB4024 where it is not what belongs there. */
type Read<T> = (value: unknown, path: string) => T;

const linkOf: Read<LinkFacts> = (value, path) => {
  const link = object(value, path);
  return {
    name: textOf(link["name"], `${path}.name`),
    kind: textOf(link["kind"], `${path}.kind`),
    mac: textOf(link["mac"], `${path}.mac`),
    mtu: numberOf(link["mtu"], `${path}.mtu`),
    up: booleanOf(link["up"], `${path}.up`),
    ...(link["noArp"] !== undefined && booleanOf(link["noArp"], `${path}.noArp`) ? { noArp: true } : {}),
    addresses: list(link["addresses"], `${path}.addresses`, addressOf),
  };
};

const addressOf: Read<AddressFacts> = (value, path) => {
  const { cidr, scope } = object(value, path);
  const known = SCOPES.find((name) => name === scope);
  if (known === undefined) throw misfit(`${path}.scope`, `it is not one of ${SCOPES.join(", ")}`);
  return { cidr: cidrOf(cidr, `${path}.cidr`), scope: known };
};

const SCOPES = ["global", "site", "link", "host"] as const;

const routeOf: Read<RouteFacts> = (value, path) => {
  const { family, destination, gateway, device, metric, source } = object(value, path);
  const cidr = cidrOf(destination, `${path}.destination`);
  if (family !== 4 && family !== 6) throw misfit(`${path}.family`, "it is neither 4 nor 6");
  if (parseCidr(cidr)?.family !== family) throw misfit(`${path}.destination`, `it is not of family ${family}`);
  return {
    family,
    destination: cidr,
    ...maybe("gateway", gateway, path, ipOf),
    device: textOf(device, `${path}.device`),
    ...maybe("metric", metric, path, numberOf),
    ...maybe("source", source, path, ipOf),
  };
};

const statusOf: Read<NetworkStatus> = (value, path) => {
  const {
    name,
    interface: link,
    ips,
    mac,
    mtu,
    default: isDefault,
    gateway,
    dns,
    "device-info": device,
  } = object(value, path);
  const texts: Read<readonly string[]> = (items, at) => list(items, at, textOf);
  return {
    name: textOf(name, `${path}.name`),
    ...maybe("interface", link, path, textOf),
    ...maybe("ips", ips, path, texts),
    ...maybe("mac", mac, path, textOf),
    ...maybe("mtu", mtu, path, numberOf),
    ...maybe("default", isDefault, path, booleanOf),
    ...maybe("gateway", gateway, path, texts),
    ...maybe("dns", dns, path, object),
    ...maybe("device-info", device, path, object),
  };
};

const deviceOf: Read<ClaimedDevice> = (value, path) => {
  const { network, pci, mac, mtu } = object(value, path);
  return {
    network: textOf(network, `${path}.network`),
    pci: textOf(pci, `${path}.pci`),
    ...maybe("mac", mac, path, textOf),
    ...maybe("mtu", mtu, path, numberOf),
  };
};

function object(value: unknown, path: string): JsonObject {
  if (!isJsonObject(value)) throw misfit(path, "it is no object");
  return value;
}

function list<T>(value: unknown, path: string, read: Read<T>): readonly T[] {
  if (!Array.isArray(value)) throw misfit(path, "it is no list");
  return value.map((item: unknown, index) => read(item, `${path}[${index}]`));
}

function textOf(value: unknown, path: string): string {
  if (typeof value !== "string") throw misfit(path, "it is no text");
  return value;
}

function numberOf(value: unknown, path: string): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0)
    throw misfit(path, "it is no number from 0");
  return value;
}

function booleanOf(value: unknown, path: string): boolean {
  if (typeof value !== "boolean") throw misfit(path, "it is neither true nor false");
  return value;
}

function ipOf(value: unknown, path: string): string {
  const address = textOf(value, path);
  if (parseIp(address) === undefined) throw misfit(path, "it is no IP address");
  return address;
}

function cidrOf(value: unknown, path: string): string {
  const cidr = textOf(value, path);
  if (parseCidr(cidr) === undefined) throw misfit(path, "it is no IP address with a prefix length");
  return cidr;
}

/** The field where it is there, else none. */
function maybe<K extends string, T>(key: K, value: unknown, path: string, read: Read<T>): { readonly [Key in K]?: T } {
  if (value === undefined) return {};
  return { [key]: read(value, path === "" ? key : `${path}.${key}`) } as { readonly [Key in K]: T };
}

function misfit(path: string, problem: string): Fault {
  const where = path === "" ? "the whole" : path;
  return new Fault("PB4024", `The facts that were kept of a pod cannot be read: ${where}: ${problem}.`, {
    place: where,
    cure: "Remove the annotation patchbay.io/pod-facts from the pod: its node writes it anew.",
  });
}
