import { formatCidr, parseCidr } from "../addresses/cidr.ts";
import { canonicalIp } from "../addresses/ip.ts";
import { canonicalMac } from "../addresses/mac.ts";
import { isJsonObject, type JsonObject } from "../json.ts";
import { atLeast, type CniVersion, normaliseVersion } from "./cni-config.ts";

/** What a plugin (or a chain) made, whatever version of the specification it was said in. Addresses are canonical text. */
export interface CniResult {
  /** The version it was said in. */
  readonly cniVersion: CniVersion;
  readonly interfaces: readonly CniInterface[];
  readonly ips: readonly CniIp[];
  readonly routes: readonly CniRoute[];
  readonly dns: CniDns;
}

export interface CniInterface {
  readonly name: string;
  readonly mac?: string;
  readonly mtu?: number;
  /** Path of the namespace that the interface is in; absent for one on the host. */
  readonly sandbox?: string;
  readonly pciId?: string;
}

export interface CniIp {
  /** With prefix length: `10.1.0.2/24`. */
  readonly address: string;
  readonly gateway?: string;
  /** Index into `interfaces`. */
  readonly interface?: number;
}

export interface CniRoute {
  readonly destination: string;
  readonly gateway?: string;
}

export interface CniDns {
  readonly nameservers: readonly string[];
  readonly domain?: string;
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/** A plugin's error result (CNI specification, section 5, "Error"). */
export interface CniError {
  readonly code: number;
  readonly message: string;
  readonly details?: string;
}

export type CniResultReading = { readonly result: CniResult } | { readonly problem: string };

/** Reads an ADD result of any version; one without a `cniVersion` is taken to be in `asked`. Never throws. */
export function parseCniResult(value: unknown, asked: CniVersion): CniResultReading {
  if (!isJsonObject(value)) return { problem: "it is no JSON object" };
  const said = value["cniVersion"];
  const cniVersion =
    said === undefined || said === "" ? asked : typeof said === "string" ? normaliseVersion(said) : undefined;
  if (cniVersion === undefined) return { problem: `its cniVersion ${JSON.stringify(said)} is not known` };
  try {
    const dns = dnsOf(value["dns"]);
    if (!atLeast(cniVersion, "0.3.0")) return { result: { cniVersion, ...legacy(value), dns } };
    const interfaces = list(value, "interfaces").map((item, index) => interfaceOf(item, `interfaces[${index}]`));
    const ips = list(value, "ips").map((item, index) => ipOf(item, `ips[${index}]`, interfaces.length));
    const routes = list(value, "routes").map((item, index) => routeOf(item, `routes[${index}]`));
    return { result: { cniVersion, interfaces, ips, routes, dns } };
  } catch (thrown) {
    if (thrown instanceof Misfit) return { problem: thrown.message };
    throw thrown;
  }
}

/** Reads an error result; undefined for what is none. Never throws. */
export function parseCniError(value: unknown): CniError | undefined {
  if (!isJsonObject(value) || typeof value["code"] !== "number" || !Number.isInteger(value["code"])) return undefined;
  const { msg, details, code } = value;
  if (code === 0 || (msg !== undefined && typeof msg !== "string")) return undefined;
  const message = flat(typeof msg === "string" ? msg : "");
  return {
    code,
    message: message === "" ? "no reason given" : message,
    ...(typeof details === "string" && flat(details) !== "" ? { details: flat(details) } : {}),
  };
}

/** The JSON of a result in a version of the specification, for a plugin that is asked in that version. */
export function renderCniResult(result: CniResult, cniVersion: CniVersion): JsonObject {
  const { nameservers, domain, search, options } = result.dns;
  const dns = {
    ...(nameservers.length === 0 ? {} : { nameservers }),
    ...(domain === undefined ? {} : { domain }),
    ...(search.length === 0 ? {} : { search }),
    ...(options.length === 0 ? {} : { options }),
  };
  const routes = result.routes.map((route) => ({
    dst: route.destination,
    ...(route.gateway === undefined ? {} : { gw: route.gateway }),
  }));
  if (!atLeast(cniVersion, "0.3.0")) return { cniVersion, ...renderLegacy(result, routes), dns };
  const withMtu = atLeast(cniVersion, "1.1.0");
  return {
    cniVersion,
    interfaces: result.interfaces.map((link) => ({
      name: link.name,
      ...(link.mac === undefined ? {} : { mac: link.mac }),
      ...(link.mtu === undefined || !withMtu ? {} : { mtu: link.mtu }),
      ...(link.sandbox === undefined ? {} : { sandbox: link.sandbox }),
      ...(link.pciId === undefined || !withMtu ? {} : { pciID: link.pciId }),
    })),
    ips: result.ips.map((ip) => ({
      ...(atLeast(cniVersion, "1.0.0") ? {} : { version: isV6(ip.address) ? "6" : "4" }),
      ...(ip.interface === undefined ? {} : { interface: ip.interface }),
      address: ip.address,
      ...(ip.gateway === undefined ? {} : { gateway: ip.gateway }),
    })),
    routes,
    dns,
  };
}

/** Thrown within this file only: a field is not what the specification says. */
class Misfit extends Error {}

function legacy(value: JsonObject): Pick<CniResult, "interfaces" | "ips" | "routes"> {
  const ips: CniIp[] = [];
  const routes: CniRoute[] = [];
  for (const key of ["ip4", "ip6"]) {
    const half = value[key];
    if (half === undefined || half === null) continue;
    if (!isJsonObject(half)) throw new Misfit(`its ${key} is no object`);
    ips.push({ address: cidr(half["ip"], `${key}.ip`), ...optional("gateway", half["gateway"], key) });
    routes.push(...list(half, "routes").map((item, index) => routeOf(item, `${key}.routes[${index}]`)));
  }
  return { interfaces: [], ips, routes };
}

function renderLegacy(result: CniResult, routes: readonly { readonly dst: string }[]): JsonObject {
  const half = (v6: boolean): JsonObject | undefined => {
    const ip = result.ips.find(({ address }) => isV6(address) === v6);
    if (ip === undefined) return undefined;
    return {
      ip: ip.address,
      ...(ip.gateway === undefined ? {} : { gateway: ip.gateway }),
      routes: routes.filter(({ dst }) => isV6(dst) === v6),
    };
  };
  const [ip4, ip6] = [half(false), half(true)];
  return { ...(ip4 === undefined ? {} : { ip4 }), ...(ip6 === undefined ? {} : { ip6 }) };
}

function interfaceOf(item: unknown, path: string): CniInterface {
  const link = object(item, path);
  const name = text(link["name"], `${path}.name`);
  const mac = link["mac"];
  const address = typeof mac === "string" ? canonicalMac(mac) : undefined;
  const { mtu, sandbox, pciID } = link;
  return {
    name,
    // Links without an Ethernet address report an empty one or one of another length: not ours to refuse.
    ...(address === undefined ? {} : { mac: address }),
    ...(typeof mtu === "number" && mtu > 0 ? { mtu } : {}),
    ...(typeof sandbox === "string" && sandbox !== "" ? { sandbox } : {}),
    ...(typeof pciID === "string" && pciID !== "" ? { pciId: pciID } : {}),
  };
}

function ipOf(item: unknown, path: string, interfaces: number): CniIp {
  const ip = object(item, path);
  const index = ip["interface"];
  if (index !== undefined && index !== null && index !== -1) {
    if (typeof index !== "number" || !Number.isInteger(index) || index < 0 || index >= interfaces) {
      throw new Misfit(`its ${path}.interface ${JSON.stringify(index)} is no index of its interfaces`);
    }
  }
  return {
    address: cidr(ip["address"], `${path}.address`),
    ...optional("gateway", ip["gateway"], path),
    ...(typeof index === "number" && index >= 0 ? { interface: index } : {}),
  };
}

function routeOf(item: unknown, path: string): CniRoute {
  const route = object(item, path);
  return { destination: cidr(route["dst"], `${path}.dst`), ...optional("gateway", route["gw"], path) };
}

function dnsOf(value: unknown): CniDns {
  if (value === undefined || value === null) return { nameservers: [], search: [], options: [] };
  const dns = object(value, "dns");
  const domain = dns["domain"];
  const texts = (key: string): string[] => list(dns, key).map((item, index) => text(item, `dns.${key}[${index}]`));
  return {
    nameservers: texts("nameservers").map((server) => canonicalIp(server) ?? server),
    ...(typeof domain === "string" && domain !== "" ? { domain } : {}),
    search: texts("search"),
    options: texts("options"),
  };
}

function optional(key: "gateway", value: unknown, path: string): { readonly gateway?: string } {
  if (value === undefined || value === null || value === "") return {};
  const address = typeof value === "string" ? canonicalIp(value) : undefined;
  if (address === undefined) throw new Misfit(`its ${path}.${key} ${JSON.stringify(value)} is no address`);
  return { [key]: address };
}

function object(value: unknown, path: string): JsonObject {
  if (!isJsonObject(value)) throw new Misfit(`its ${path} is no object`);
  return value;
}

function list(value: JsonObject, key: string): readonly unknown[] {
  const items = value[key];
  if (items === undefined || items === null) return [];
  if (!Array.isArray(items)) throw new Misfit(`its ${key} is no list`);
  return items;
}

function text(value: unknown, path: string): string {
  if (typeof value !== "string" || value === "") throw new Misfit(`its ${path} is no text`);
  return value;
}

function cidr(value: unknown, path: string): string {
  const parsed = typeof value === "string" ? parseCidr(value) : undefined;
  if (parsed === undefined) throw new Misfit(`its ${path} ${JSON.stringify(value)} is no address with prefix length`);
  return formatCidr(parsed);
}

function isV6(address: string): boolean {
  return address.includes(":");
}

/** A foreign message as part of one line: white space collapsed, at most 500 characters. */
export function flat(message: string): string {
  const line = message.replace(/[\s\p{Cc}]+/gu, " ").trim();
  return line.length > 500 ? `${line.slice(0, 499)}…` : line;
}
