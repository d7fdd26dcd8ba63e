import { closeSync } from "node:fs";
import { Fault } from "../../model/fault.ts";
import {
  bind,
  checked,
  errnoCure,
  errnoName,
  errnoSentence,
  recv,
  SOCK_CLOEXEC,
  send,
  setsockopt,
  socket,
} from "./libc.ts";
import { asText, byType, decodeAttributes, decodeMessages, encodeMessages, type NetlinkMessage } from "./netlink.ts";

/** A request to the kernel, before it has a number. */
export interface NetlinkRequest {
  readonly type: number;
  /** NLM_F_CREATE, NLM_F_EXCL and the like; REQUEST and ACK are added. */
  readonly flags: number;
  readonly payload: Uint8Array;
  /** What it asks for, for error messages: `address 10.0.2.1/24 on tap0`. */
  readonly about: string;
}

/** What the kernel said to one request. */
export type Verdict =
  | { readonly ok: true }
  | {
      readonly ok: false;
      /** `EEXIST` and the like. */
      readonly errno: string;
      /** The kernel's own sentence where it has one, else the errno's. */
      readonly sentence: string;
    };

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const NETLINK_ROUTE = 0;
const NETLINK_NETFILTER = 12;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const MSG_TRUNC = 0x20;

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLM_F_DUMP_INTR = 0x10;
const NLM_F_DUMP = 0x300;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;

/** Acknowledgements wait in the socket's receive buffer: so many fit into the default one with room to spare. */
const BATCH = 64;
const TIMEOUT_SECONDS = 5;
const DUMP_ATTEMPTS = 8;
const BUFFER = new Uint8Array(256 * 1024);

const flag = Uint8Array.of(1, 0, 0, 0);
const timeout = new Uint8Array(16);
new DataView(timeout.buffer).setBigInt64(0, BigInt(TIMEOUT_SECONDS), true);

/** Runs `fn` with an rtnetlink socket of the current namespace and closes it. The socket blocks, for 5 s at most. */
export function withRouteSocket<T>(fn: (fd: number) => T): T {
  return withNetlinkSocket(NETLINK_ROUTE, fn);
}

/** The same with a socket to the kernel's netfilter. */
export function withNetfilterSocket<T>(fn: (fd: number) => T): T {
  return withNetlinkSocket(NETLINK_NETFILTER, fn);
}

function withNetlinkSocket<T>(protocol: number, fn: (fd: number) => T): T {
  const fd = checked("socket", "netlink", socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  try {
    checked("setsockopt", "NETLINK_EXT_ACK", setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, flag, 4));
    checked("setsockopt", "NETLINK_CAP_ACK", setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, flag, 4));
    checked("setsockopt", "SO_RCVTIMEO", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeout, timeout.length));
    const address = new Uint8Array(12);
    address[0] = AF_NETLINK;
    checked("bind", "netlink", bind(fd, address, address.length));
    return fn(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Sends requests in one datagram (more than 64: in several) and gives the verdict of each, in their order.
 *
 * The kernel executes every request of a datagram, also those after one that failed.
 */
export function batch(fd: number, requests: readonly NetlinkRequest[]): Verdict[] {
  const verdicts: Verdict[] = [];
  for (let start = 0; start < requests.length; start += BATCH) {
    const part = requests.slice(start, start + BATCH);
    const messages = part.map(
      ({ type, flags, payload }, index): NetlinkMessage => ({
        type,
        flags: flags | NLM_F_REQUEST | NLM_F_ACK,
        sequence: start + index + 1,
        portId: 0,
        payload,
      }),
    );
    sendAll(fd, messages);
    let missing = part.length;
    while (missing > 0) {
      for (const message of receive(fd)) {
        const index = message.sequence - 1;
        if (message.type !== NLMSG_ERROR || index < start || index >= start + part.length) continue;
        if (verdicts[index] === undefined) missing -= 1;
        verdicts[index] = verdictOf(message);
      }
    }
  }
  return verdicts;
}

/** Like {@link batch} for requests that must all succeed. @throws Fault PB4015 for the first that did not. */
export function request(fd: number, requests: readonly NetlinkRequest[]): void {
  for (const [index, verdict] of batch(fd, requests).entries()) {
    if (!verdict.ok) throw refusal(requests[index]?.about ?? "a request", verdict);
  }
}

/** The error for a request that the kernel refused: PB4015 with its sentence. */
export function refusal(about: string, verdict: Verdict & { readonly ok: false }): Fault {
  return new Fault("PB4015", `The kernel refused ${about}: ${verdict.sentence} (${verdict.errno}).`, {
    place: about,
    data: { about, errno: verdict.errno, sentence: verdict.sentence },
    ...cureOf(verdict.errno),
  });
}

function cureOf(errno: string): { readonly cure: string } | Record<string, never> {
  if (errno === "EOPNOTSUPP") return { cure: "This kernel lacks the feature: load its module or use another kernel." };
  if (errno !== "EPERM") return {};
  return { cure: errnoCure(1) ?? "" };
}

/**
 * Everything of one kind in the current namespace; `type` is an RTM_GET… number and `head` its struct.
 *
 * A dump that something changed meanwhile is begun again, eight times at most.
 */
export function dump(fd: number, type: number, head: Uint8Array, about: string): NetlinkMessage[] {
  for (let attempt = 1; attempt <= DUMP_ATTEMPTS; attempt += 1) {
    const messages: NetlinkMessage[] = [];
    sendAll(fd, [{ type, flags: NLM_F_REQUEST | NLM_F_DUMP, sequence: attempt, portId: 0, payload: head }]);
    let interrupted = false;
    for (let done = false; !done; ) {
      for (const message of receive(fd)) {
        if (message.sequence !== attempt) continue;
        interrupted ||= (message.flags & NLM_F_DUMP_INTR) !== 0;
        if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
          const verdict = verdictOf(message);
          if (!verdict.ok) throw refusal(about, verdict);
          done = true;
        } else messages.push(message);
      }
    }
    if (!interrupted) return messages;
  }
  throw new Fault("PB4015", `${about} changed ${DUMP_ATTEMPTS} times while they were read.`, {
    place: about,
    cure: "Something else changes this namespace without pause: find and stop it.",
    data: { about, errno: "EINTR" },
  });
}

function sendAll(fd: number, messages: readonly NetlinkMessage[]): void {
  const bytes = encodeMessages(messages);
  checked("send", "rtnetlink", send(fd, bytes, bytes.length, 0));
}

function receive(fd: number): NetlinkMessage[] {
  const length = checked("recv", "rtnetlink", recv(fd, BUFFER, BUFFER.length, MSG_TRUNC));
  if (length > BUFFER.length) {
    throw new Fault("PB4015", `An answer of rtnetlink has ${length} octets, more than can be read.`, {
      data: { errno: "EMSGSIZE", about: "rtnetlink" },
    });
  }
  return decodeMessages(BUFFER.slice(0, length));
}

/** Reads NLMSG_ERROR and NLMSG_DONE: an errno (0: done), then for errors the request's header and attributes. */
function verdictOf(message: NetlinkMessage): Verdict {
  const { payload } = message;
  const data = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const errno = payload.length < 4 ? 0 : -data.getInt32(0, true);
  if (errno === 0) return { ok: true };
  return { ok: false, errno: errnoName(errno), sentence: kernelSentence(message, data) ?? errnoSentence(errno) };
}

function kernelSentence(message: NetlinkMessage, data: DataView): string | undefined {
  if ((message.flags & NLM_F_ACK_TLVS) === 0) return undefined;
  let start = 4;
  if (message.type === NLMSG_ERROR) {
    if (message.payload.length < 20) return undefined;
    start = 20;
    if ((message.flags & NLM_F_CAPPED) === 0) start = 4 + ((data.getUint32(4, true) + 3) & ~3);
  }
  return asText(byType(decodeAttributes(message.payload, start)).get(NLMSGERR_ATTR_MSG))?.replace(/\.$/, "");
}
