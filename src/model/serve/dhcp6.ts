import { parseIp6, sameBytes } from "../addresses/ip.ts";
import { formatMac, parseMac } from "../addresses/mac.ts";
import {
  type Dhcp6Message,
  type Dhcp6Option,
  decodeDhcp6,
  duidOf,
  encodeDhcp6,
  type IaAddr,
  type IaNa,
  INFINITY6,
  type MessageType6,
  option6,
  status6,
} from "../packets/dhcp6.ts";
import { canonicalDomain } from "../packets/dns-names.ts";
import type { Dhcp6Service } from "../wiring/wiring.ts";
import { badAddresses, badDomains, checked, isWhole, type ServiceCheck } from "./check.ts";
import type { Answer, NoteKind } from "./note.ts";

/** What a DHCPv6 server remembers: who has the address, by DUID (hexadecimal) and IAID. */
export interface Dhcp6State {
  readonly client?: { readonly duid: string; readonly iaid: number };
}

const CLIENT_PORT = 546;
/** A client that reads it asks at once instead of waiting for other servers (RFC 8415 section 18.2.1). */
const HIGHEST_PREFERENCE = 255;

/** Looks through a DHCPv6 service before it starts. */
export function checkDhcp6({
  serverMac,
  clientAddress,
  leaseSeconds,
  dnsServers,
  searchDomains,
}: Dhcp6Service): ServiceCheck {
  return checked(
    [
      [parseMac(serverMac) !== undefined, `the server's MAC "${serverMac}" is no Ethernet address`],
      [parseIp6(clientAddress) !== undefined, `the guest's address "${clientAddress}" is no IPv6 address`],
      [isWhole(leaseSeconds), `the lease time ${leaseSeconds} is no number of seconds`],
    ],
    [...badAddresses(6, "DNS server", dnsServers), ...badDomains(searchDomains)],
  );
}

/**
 * What the server of one guest answers to the payload of a datagram for ff02::1:2 port 547 (RFC 8415 section 18.3).
 *
 * There is one address, and the server needs no record to know whose it is: a client that it does not remember is
 * served like a known one. `source` is the client's link-local address, without zone.
 */
export function answerDhcp6(
  service: Dhcp6Service,
  state: Dhcp6State,
  bytes: Uint8Array,
  source: string,
): Answer<Dhcp6State> {
  const read = decodeDhcp6(bytes);
  if (!read.ok) {
    return silent(state, read.reason === "unsupported" ? "ignored" : "malformed", `From ${source}: ${read.detail}.`);
  }
  const message = read.value;
  const wrong = invalid(service, message);
  if (wrong !== undefined) return silent(state, "ignored", `${message.type} of ${source}: ${wrong}.`);
  return decide(service, state, message, source);
}

/** Which messages must, may or must not name client and server (RFC 8415 section 16). */
const VALIDITY: Readonly<
  Record<MessageType6, { readonly client: boolean; readonly server: "must" | "may" | "never" } | undefined>
> = {
  solicit: { client: true, server: "never" },
  confirm: { client: true, server: "never" },
  rebind: { client: true, server: "never" },
  request: { client: true, server: "must" },
  renew: { client: true, server: "must" },
  release: { client: true, server: "must" },
  decline: { client: true, server: "must" },
  informationRequest: { client: false, server: "may" },
  advertise: undefined,
  reply: undefined,
  reconfigure: undefined,
};

/** Why a message is discarded; undefined for one that gets an answer. */
function invalid(service: Dhcp6Service, message: Dhcp6Message): string | undefined {
  const rule = VALIDITY[message.type];
  if (rule === undefined) return "a message for clients";
  const server = duid(message, "serverId");
  if (rule.client && duid(message, "clientId") === undefined) return "there is no client identifier";
  if (rule.server === "never" && server !== undefined) return "it must not name a server";
  if (rule.server === "must" && server === undefined) return "there is no server identifier";
  if (server !== undefined && !sameBytes(server, serverDuid(service))) return "it is for another server";
  const associates = message.options.some(({ is }) => is === "iaNa" || is === "iaTa" || is === "iaPd");
  return message.type === "informationRequest" && associates ? "it asks for an address" : undefined;
}

function decide(service: Dhcp6Service, state: Dhcp6State, message: Dhcp6Message, source: string): Answer<Dhcp6State> {
  const values = [...configuration(service), ...nameFor(service, message)];
  const served = chosen(state, message);
  const answer = (
    type: "advertise" | "reply",
    options: readonly Dhcp6Option[],
    kind: NoteKind | undefined,
    text: string,
    next = state,
  ): Answer<Dhcp6State> => ({
    state: next,
    notes: kind === undefined ? [] : [{ kind, message: text }],
    reply: {
      bytes: encodeDhcp6({
        type,
        transactionId: message.transactionId,
        options: [...identifiers(service, message), ...options],
      }),
      to: { address: source, port: CLIENT_PORT },
    },
  });
  const bound: Dhcp6State = served === undefined ? state : { client: { duid: clientName(message), iaid: served.iaid } };
  const has = `${source} has ${service.clientAddress} (${message.type}).`;
  switch (message.type) {
    case "solicit": {
      const associations = assign(service, message, served, "other");
      const commits = served !== undefined && message.options.some(({ is }) => is === "rapidCommit");
      if (commits) return answer("reply", [{ is: "rapidCommit" }, ...associations, ...values], "leased", has, bound);
      const preference: Dhcp6Option = { is: "preference", value: HIGHEST_PREFERENCE };
      return answer("advertise", [preference, ...associations, ...values], undefined, "");
    }
    case "request":
    case "renew":
    case "rebind": {
      const associations = assign(service, message, served, message.type === "request" ? "request" : "extend");
      const given = associations.some((option) => option.is === "iaNa" && option.options.some(isGiven));
      return given
        ? answer("reply", [...associations, ...values], "leased", has, bound)
        : answer("reply", [...associations, ...values], "refused", `${source} asked for what is not its to have.`);
    }
    case "confirm": {
      const asked = addressesOf(message);
      // Without an address there is nothing to judge, and no answer (RFC 8415 section 18.3.3).
      if (asked.length === 0) return silent(state, "ignored", `confirm of ${source} names no address.`);
      const right = asked.every(({ address }) => address === service.clientAddress);
      return right
        ? answer("reply", [status(status6.success, "The address belongs to this link.")], "leased", has, bound)
        : answer(
            "reply",
            [status(status6.notOnLink, "Not an address of this link.")],
            "refused",
            `${source} asked whether ${asked.map(({ address }) => address).join(", ")} belongs to this link; only ${service.clientAddress} does.`,
          );
    }
    case "release":
    case "decline": {
      const unknown = message.options.flatMap((option) =>
        option.is === "iaNa" &&
        !option.options.some((inner) => inner.is === "iaAddr" && inner.address === service.clientAddress)
          ? [{ ...option, t1: 0, t2: 0, options: [status(status6.noBinding, "This address was not given.")] }]
          : [],
      );
      const concerned = addressesOf(message).some(({ address }) => address === service.clientAddress);
      const options = [status(status6.success, "Noted."), ...unknown];
      if (!concerned) {
        return answer(
          "reply",
          options,
          "ignored",
          `${source} gave up an address that is not ${service.clientAddress}.`,
        );
      }
      return message.type === "release"
        ? answer("reply", options, "released", `${source} released ${service.clientAddress}.`, {})
        : answer(
            "reply",
            options,
            "declined",
            `${source} declined ${service.clientAddress}: it found the address in use on its link. There is no other address to give; it will be offered again.`,
            {},
          );
    }
    case "informationRequest":
      return answer("reply", values, "informed", `${source} asked for its configuration.`);
    default:
      return silent(state, "ignored", `${message.type} of ${source}: a message for clients.`);
  }
}

/** The association that gets the address: the one that has it, else the first. */
function chosen(state: Dhcp6State, message: Dhcp6Message): IaNa | undefined {
  const all = message.options.filter((option) => option.is === "iaNa");
  const known = state.client?.duid === clientName(message) ? state.client.iaid : undefined;
  return all.find(({ iaid }) => iaid === known) ?? all[0];
}

/**
 * The answer to each association asked for: the address, or why there is none.
 *
 * Another address than the guest's is refused with NotOnLink on REQUEST (RFC 8415 section 18.3.2) and sent back with
 * lifetimes of zero, beside the right one, on RENEW and REBIND (sections 18.3.4 and 18.3.5).
 */
function assign(
  service: Dhcp6Service,
  message: Dhcp6Message,
  served: IaNa | undefined,
  mode: "other" | "request" | "extend",
): readonly Dhcp6Option[] {
  return message.options.flatMap((option): readonly Dhcp6Option[] => {
    if (option.is === "iaPd") {
      return [{ ...option, t1: 0, t2: 0, options: [status(status6.noPrefixAvail, "No prefixes are delegated.")] }];
    }
    if (option.is === "iaTa") {
      return [{ ...option, options: [status(status6.noAddrsAvail, "There are no temporary addresses.")] }];
    }
    if (option.is !== "iaNa") return [];
    if (option !== served) {
      return [{ ...option, t1: 0, t2: 0, options: [status(status6.noAddrsAvail, "There is one address only.")] }];
    }
    const others = option.options.filter((inner) => inner.is === "iaAddr" && inner.address !== service.clientAddress);
    if (mode === "request" && others.length > 0) {
      return [{ ...option, t1: 0, t2: 0, options: [status(status6.notOnLink, "Not an address of this link.")] }];
    }
    const ended = mode === "extend" ? others.flatMap(end) : [];
    const preferred = Math.min(service.leaseSeconds, INFINITY6);
    const share = (of: number): number => (preferred === INFINITY6 ? INFINITY6 : Math.floor(preferred * of));
    const given: IaAddr = { is: "iaAddr", address: service.clientAddress, preferred, valid: preferred, options: [] };
    return [{ is: "iaNa", iaid: option.iaid, t1: share(0.5), t2: share(0.8), options: [given, ...ended] }];
  });
}

function end(option: Dhcp6Option): readonly IaAddr[] {
  return option.is === "iaAddr" ? [{ ...option, preferred: 0, valid: 0, options: [] }] : [];
}

function isGiven(option: Dhcp6Option): boolean {
  return option.is === "iaAddr" && option.valid > 0;
}

/** DNS servers and search list, sent whether asked for or not. */
function configuration(service: Dhcp6Service): readonly Dhcp6Option[] {
  const addresses = service.dnsServers.filter((text) => parseIp6(text) !== undefined);
  const names = service.searchDomains.filter((name) => canonicalDomain(name) !== undefined);
  return [
    ...(addresses.length === 0 ? [] : [{ is: "dnsServers", addresses } as const]),
    ...(names.length === 0 ? [] : [{ is: "dnsSearch", names } as const]),
  ];
}

/**
 * The guest's name for a client that tells its own or asks for it (RFC 4704 section 6); as partial as a host name is. The
 * DNS is nobody's to update here, whatever the client wants.
 */
function nameFor({ hostName }: Dhcp6Service, message: Dhcp6Message): readonly Dhcp6Option[] {
  const own = message.options.find((option) => option.is === "clientFqdn");
  const asked = message.options.some(
    ({ is, ...option }) => is === "optionRequest" && "codes" in option && option.codes.includes(option6.clientFqdn),
  );
  const name = hostName === undefined ? undefined : canonicalDomain(hostName);
  if (name === undefined || (own === undefined && !asked)) return [];
  return [{ is: "clientFqdn", updates: false, overrides: own?.updates === true, none: true, name }];
}

function identifiers(service: Dhcp6Service, message: Dhcp6Message): readonly Dhcp6Option[] {
  const client = duid(message, "clientId");
  return [
    ...(client === undefined ? [] : [{ is: "clientId", duid: client } as const]),
    { is: "serverId", duid: serverDuid(service) },
  ];
}

/** The server's DUID-LL; made of its MAC, it survives every restart. */
export function serverDuid(service: Dhcp6Service): Uint8Array {
  return duidOf(parseMac(service.serverMac) ?? new Uint8Array(6));
}

function duid(message: Dhcp6Message, which: "clientId" | "serverId"): Uint8Array | undefined {
  const option = message.options.find(({ is }) => is === which);
  return option !== undefined && "duid" in option ? option.duid : undefined;
}

function clientName(message: Dhcp6Message): string {
  return formatMac(duid(message, "clientId") ?? new Uint8Array()).replaceAll(":", "");
}

/** The addresses in all associations of a message. */
function addressesOf(message: Dhcp6Message): readonly IaAddr[] {
  return message.options
    .filter((option) => option.is === "iaNa" || option.is === "iaTa")
    .flatMap((option) => option.options.filter((inner) => inner.is === "iaAddr"));
}

function status(code: number, text: string): Dhcp6Option {
  return { is: "status", code, message: text };
}

function silent(state: Dhcp6State, kind: NoteKind, message: string): Answer<Dhcp6State> {
  return { state, notes: [{ kind, message }] };
}
