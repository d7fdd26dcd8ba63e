import { contains } from "../addresses/cidr.ts";
import { formatIp, parseIp4 } from "../addresses/ip.ts";
import { canonicalMac, formatMac } from "../addresses/mac.ts";
import { type Dhcp4Message, type Dhcp4Option, decodeDhcp4, encodeDhcp4 } from "../packets/dhcp4.ts";
import { addressOf, messageType4, octetOf, option4, optionOf, u16Of } from "../packets/dhcp4-options.ts";
import type { Dhcp4Service } from "../wiring/wiring.ts";
import { dhcp4Values } from "./dhcp4-values.ts";
import type { Answer, Destination, NoteKind, ServeNote } from "./note.ts";

/** What a DHCPv4 server remembers: who confirmed the address last. It answers the same without it. */
export interface Dhcp4State {
  readonly client?: { readonly mac: string; readonly hostName?: string };
}

const UNSET = "0.0.0.0";
const BROADCAST = "255.255.255.255";
const SERVER_PORT = 67;
const CLIENT_PORT = 68;
/** IP and UDP header: option 57 counts them, as clients and servers in use do. */
const HEADERS = 28;
/** What every client must take (RFC 2131 section 2). */
const SMALLEST_DATAGRAM = 576;

/**
 * What the server of one guest answers to the payload of a datagram on port 67 (RFC 2131 section 4.3).
 *
 * The guest's link has this one server and this one address. The server therefore has authority: a request that names
 * another address or another server is refused with a NAK, so that the client starts anew at once, and a client that
 * it does not remember (after a restart, or on INIT-REBOOT) is served like a known one.
 */
export function answerDhcp4(service: Dhcp4Service, state: Dhcp4State, bytes: Uint8Array): Answer<Dhcp4State> {
  const read = decodeDhcp4(bytes);
  if (!read.ok) return silent(state, read.reason === "unsupported" ? "ignored" : "malformed", `${read.detail}.`);
  const message = read.value;
  if (message.op !== "request") return silent(state, "ignored", "A message from another server.");
  if (message.htype !== 1 || message.chaddr.length !== 6) {
    return silent(state, "ignored", "A client without an Ethernet address.");
  }
  const mac = formatMac(message.chaddr);
  if (service.clientMac !== undefined && mac !== canonicalMac(service.clientMac)) {
    return silent(state, "ignored", `${mac} is not the guest's MAC ${service.clientMac}.`);
  }
  if (message.giaddr !== UNSET && !onLink(service, message.giaddr)) {
    return silent(state, "ignored", `The relay ${message.giaddr} stands for another network.`);
  }
  switch (octetOf(message, option4.messageType)) {
    case messageType4.discover:
      return { state, notes: [], reply: reply(service, message, messageType4.offer) };
    case messageType4.request:
      return answerRequest(service, state, message, mac);
    case messageType4.inform:
      return {
        state,
        notes: [{ kind: "informed", message: `${mac} at ${message.ciaddr} asked for its configuration.` }],
        reply: reply(service, message, messageType4.ack),
      };
    case messageType4.decline:
      return isOurs(service, message)
        ? {
            state: {},
            notes: [
              {
                kind: "declined",
                message: `${mac} declined ${service.clientAddress}: it found the address in use on its link. There is no other address to give; it will be offered again.`,
              },
            ],
          }
        : silent(state, "ignored", `${mac} declined an address that is not ${service.clientAddress}.`);
    case messageType4.release:
      return isOurs(service, message) && message.ciaddr === service.clientAddress
        ? { state: {}, notes: [{ kind: "released", message: `${mac} released ${service.clientAddress}.` }] }
        : silent(state, "ignored", `${mac} released ${message.ciaddr}, which it was not given.`);
    case undefined:
      return silent(state, "ignored", "BOOTP: there is no DHCP message type.");
    default:
      return silent(state, "ignored", `${mac} sent a message that is for clients or for other servers.`);
  }
}

/** REQUEST in its four states (RFC 2131 section 4.3.2). */
function answerRequest(
  service: Dhcp4Service,
  state: Dhcp4State,
  message: Dhcp4Message,
  mac: string,
): Answer<Dhcp4State> {
  const server = addressOf(message, option4.serverIdentifier);
  const requested = addressOf(message, option4.requestedAddress);
  const phase = server !== undefined ? "SELECTING" : requested !== undefined ? "INIT-REBOOT" : "RENEWING";
  // RENEWING and REBINDING differ in how the datagram came, not in its answer; both name the address in ciaddr.
  const wanted = requested ?? (message.ciaddr === UNSET ? undefined : message.ciaddr);
  const refuse = (why: string): Answer<Dhcp4State> => ({
    state,
    notes: [{ kind: "refused", message: `${mac} (${phase}) ${why}.` }],
    reply: refusal(service, message, why),
  });
  if (server !== undefined && server !== service.serverAddress) return refuse(`asked the server ${server}`);
  if (wanted === undefined) return silent(state, "malformed", `${mac} requests no address.`);
  if (wanted !== service.clientAddress) return refuse(`asked for ${wanted} instead of ${service.clientAddress}`);
  const hostName = printable(optionOf(message, option4.hostName));
  return {
    state: { client: hostName === undefined ? { mac } : { mac, hostName } },
    notes: [{ kind: "leased", message: `${mac} has ${service.clientAddress} (${phase}).` }],
    reply: reply(service, message, messageType4.ack),
  };
}

/** An OFFER or an ACK; an ACK to INFORM has neither an address nor a lease (RFC 2131 section 4.3.5). */
function reply(service: Dhcp4Service, message: Dhcp4Message, type: number): { bytes: Uint8Array; to: Destination } {
  const informs = octetOf(message, option4.messageType) === messageType4.inform;
  const boot = service.tftpServerName === undefined ? undefined : parseIp4(service.tftpServerName);
  const answer: Dhcp4Message = {
    ...answerTo(message),
    ciaddr: type === messageType4.offer ? UNSET : message.ciaddr,
    yiaddr: informs ? UNSET : service.clientAddress,
    // Network boot firmware takes the address of the next server and the file from these fields.
    siaddr: boot === undefined ? UNSET : formatIp(boot),
    file: service.bootFileName ?? "",
    options: [...header(service, message, type), ...dhcp4Values(service, !informs)],
  };
  return { bytes: encodeDhcp4(answer, room(service, message)).bytes, to: destination(message) };
}

function refusal(service: Dhcp4Service, message: Dhcp4Message, why: string): { bytes: Uint8Array; to: Destination } {
  const relayed = message.giaddr !== UNSET;
  const options = [
    ...header(service, message, messageType4.nak),
    { code: option4.message, value: new TextEncoder().encode(why) },
  ];
  // A relay broadcasts a NAK: the client has no address that it could be reached at (RFC 2131 section 4.3.2).
  const answer = { ...answerTo(message), broadcast: relayed || message.broadcast, options };
  const to = relayed ? destination(message) : { address: BROADCAST, port: CLIENT_PORT };
  return { bytes: encodeDhcp4(answer, room(service, message)).bytes, to };
}

/** What every answer copies (RFC 2131 table 3). */
function answerTo(message: Dhcp4Message): Dhcp4Message {
  return {
    ...message,
    op: "reply",
    hops: 0,
    secs: 0,
    ciaddr: UNSET,
    yiaddr: UNSET,
    siaddr: UNSET,
    sname: "",
    file: "",
    options: [],
  };
}

/** Message type, server identifier, and the client identifier where there was one (RFC 6842). */
function header(service: Dhcp4Service, message: Dhcp4Message, type: number): readonly Dhcp4Option[] {
  const client = optionOf(message, option4.clientIdentifier);
  return [
    { code: option4.messageType, value: Uint8Array.of(type) },
    { code: option4.serverIdentifier, value: parseIp4(service.serverAddress) ?? new Uint8Array(4) },
    ...(client === undefined ? [] : [{ code: option4.clientIdentifier, value: client }]),
  ];
}

/** Octets of UDP payload that the client takes: its option 57, at most what the link carries. */
function room(service: Dhcp4Service, message: Dhcp4Message): number {
  const asked = u16Of(message, option4.maximumMessageSize) ?? SMALLEST_DATAGRAM;
  const carried = Math.max(SMALLEST_DATAGRAM, service.mtu);
  return Math.min(Math.max(SMALLEST_DATAGRAM, asked), carried) - HEADERS;
}

/** The relay, the address that the client has, or everybody (RFC 2131 section 4.1). */
function destination(message: Dhcp4Message): Destination {
  if (message.giaddr !== UNSET) return { address: message.giaddr, port: SERVER_PORT };
  return { address: message.ciaddr === UNSET ? BROADCAST : message.ciaddr, port: CLIENT_PORT };
}

function onLink(service: Dhcp4Service, address: string): boolean {
  const [network, bytes] = [parseIp4(service.clientAddress), parseIp4(address)];
  if (network === undefined || bytes === undefined) return false;
  return contains({ family: 4, address: network, prefixLength: service.prefixLength }, bytes);
}

/** DECLINE and RELEASE name the server; DECLINE also the address, RELEASE has it in ciaddr. */
function isOurs(service: Dhcp4Service, message: Dhcp4Message): boolean {
  const server = addressOf(message, option4.serverIdentifier);
  const address = addressOf(message, option4.requestedAddress) ?? message.ciaddr;
  return (server === undefined || server === service.serverAddress) && address === service.clientAddress;
}

/** A host name as the client sent it, for people to read; undefined for anything but letters, digits, dots and hyphens. */
function printable(value: Uint8Array | undefined): string | undefined {
  const text = value === undefined ? "" : String.fromCharCode(...value.subarray(0, 255));
  return /^[A-Za-z0-9._-]+$/.test(text) ? text : undefined;
}

function silent(state: Dhcp4State, kind: NoteKind, message: string): Answer<Dhcp4State> {
  const note: ServeNote = { kind, message };
  return { state, notes: [note] };
}
