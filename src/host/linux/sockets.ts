import { closeSync } from "node:fs";
import koffi from "koffi";
import { formatIp, parseIp6 } from "../../model/addresses/ip.ts";
import { bind, callFault, checked, errnoName, lastErrno, libc, SOCK_CLOEXEC, setsockopt, socket } from "./libc.ts";
import { within } from "./netns.ts";
import { linkIndex } from "./rtnetlink.ts";

// Values of the generic Linux ABI (asm-generic/socket.h, linux/in6.h, linux/icmpv6.h, linux/if_packet.h).
const AF_INET = 2;
const AF_INET6 = 10;
const AF_PACKET = 17;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_BROADCAST = 6;
const SO_NO_CHECK = 11;
const SO_BINDTODEVICE = 25;
const SO_ATTACH_FILTER = 26;
const IPPROTO_IPV6 = 41;
const IPPROTO_ICMPV6 = 58;
const IPV6_UNICAST_HOPS = 16;
const IPV6_MULTICAST_HOPS = 18;
const IPV6_MULTICAST_LOOP = 19;
const IPV6_JOIN_GROUP = 20;
const IPV6_V6ONLY = 26;
const ICMP6_FILTER = 1;
const ROUTER_SOLICITATION = 133;
const MSG_DONTWAIT = 0x40;

const ALL_DHCP_SERVERS = "ff02::1:2";
const ALL_ROUTERS = "ff02::2";

const sendto = libc<
  [fd: number, data: Uint8Array, length: number, flags: number, address: Uint8Array, addressLength: number],
  number
>("long sendto(int fd, const void *data, size_t length, int flags, const void *address, uint addressLength)");
const recvfrom = libc<
  [fd: number, data: Uint8Array, length: number, flags: number, address: Uint8Array, addressLength: Uint8Array],
  number
>("long recvfrom(int fd, void *data, size_t length, int flags, void *address, void *addressLength)");

/**
 * A UDP socket on port 67 of one device in a namespace, for the guest's datagrams and for broadcasts to it.
 *
 * Not blocking; `dgram.createSocket("udp4").bind({ fd })` takes it over. It stays in its namespace for ever, and on
 * the device it was made for: once that is deleted, it hears nothing more.
 *
 * @throws Fault PB4010 where the kernel refuses, PB4012 where there is no such namespace.
 */
export function dhcp4Socket(netns: string, device: string): number {
  return within(netns, () =>
    opened(AF_INET, SOCK_DGRAM, 0, device, (fd) => {
      flag(fd, SOL_SOCKET, SO_REUSEADDR, 1, device);
      flag(fd, SOL_SOCKET, SO_BROADCAST, 1, device);
      // A checksum left to the device never gets filled in on a virtual link, and DHCP clients that read raw frames then
      // drop the answer. None at all is right for UDP over IPv4 (RFC 768).
      flag(fd, SOL_SOCKET, SO_NO_CHECK, 1, device);
      bindToDevice(fd, device);
      checked("bind", `UDP port 67 on ${device}`, bind(fd, address4(67), 16));
    }),
  );
}

/** An IPv6 socket of one device and that device's index in its namespace. */
export interface LinkSocket {
  readonly fd: number;
  readonly index: number;
}

/**
 * A UDP socket for what is sent to ff02::1:2 port 547 on one device in a namespace; unicast does not reach it, as
 * RFC 8415 section 18.4 wants it. Its answers leave from the device's link-local address.
 *
 * Not blocking; read it with {@link receive6}, write it with {@link send6}, close it with `closeSync`.
 *
 * @throws Fault PB4010 where the kernel refuses, PB4015 where there is no such device, PB4012 where there is no such
 * namespace.
 */
export function dhcp6Socket(netns: string, device: string): LinkSocket {
  return within(netns, () => {
    const index = linkIndex(device);
    const fd = opened(AF_INET6, SOCK_DGRAM, 0, device, (made) => {
      flag(made, SOL_SOCKET, SO_REUSEADDR, 1, device);
      flag(made, IPPROTO_IPV6, IPV6_V6ONLY, 1, device);
      bindToDevice(made, device);
      join(made, ALL_DHCP_SERVERS, index, device);
      checked("bind", `UDP port 547 on ${device}`, bind(made, address6(ALL_DHCP_SERVERS, index, 547), 28));
    });
    return { fd, index };
  });
}

/**
 * A raw ICMPv6 socket that hears router solicitations on one device in a namespace and sends from `linkLocal`, which
 * the device must have, with hop limit 255. Solicitations with another hop limit do not reach it.
 *
 * Not blocking; read it with {@link receive6}, write it with {@link send6}, close it with `closeSync`.
 *
 * @throws Fault PB4010 where the kernel refuses (EADDRNOTAVAIL: the device has no such address, or it is tentative),
 * PB4015 where there is no such device, PB4012 where there is no such namespace.
 */
export function routerSocket(netns: string, device: string, linkLocal: string): LinkSocket {
  return within(netns, () => {
    const index = linkIndex(device);
    const fd = opened(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6, device, (raw) => {
      const solicitations = new Uint32Array(8).fill(0xffffffff);
      const word = ROUTER_SOLICITATION >>> 5;
      solicitations[word] = (0xffffffff & ~(1 << (ROUTER_SOLICITATION & 31))) >>> 0;
      option(raw, IPPROTO_ICMPV6, ICMP6_FILTER, new Uint8Array(solicitations.buffer), `an ICMPv6 socket on ${device}`);
      requireHopLimit255(raw, device);
      bindToDevice(raw, device);
      flag(raw, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 255, device);
      flag(raw, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 255, device);
      flag(raw, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0, device);
      join(raw, ALL_ROUTERS, index, device);
      checked("bind", `${linkLocal} on ${device}`, bind(raw, address6(linkLocal, index, 0), 28));
    });
    return { fd, index };
  });
}

/** One packet that an IPv6 socket received. */
export interface Received {
  readonly bytes: Uint8Array;
  /** Canonical text, without zone. */
  readonly source: string;
}

const LARGEST_PACKET = 65536;
const packet = new Uint8Array(LARGEST_PACKET);

/** The next packet of an IPv6 socket; undefined when none waits. @throws Fault PB4010 */
export function receive6(fd: number): Received | undefined {
  const source = new Uint8Array(28);
  const length = Uint8Array.from([28, 0, 0, 0]);
  const count = recvfrom(fd, packet, LARGEST_PACKET, MSG_DONTWAIT, source, length);
  const errno = count < 0 ? lastErrno() : 0;
  if (count >= 0) return { bytes: packet.slice(0, count), source: formatIp(source.subarray(8, 24)) };
  if (errnoName(errno) === "EAGAIN" || errnoName(errno) === "EINTR") return undefined;
  throw callFault("recvfrom", "an IPv6 socket", errno);
}

/**
 * Sends to an address on the link of the device with that index; the kernel fills in the checksum. A raw socket has no
 * port. @throws Fault PB4010
 */
export function send6(to: LinkSocket, bytes: Uint8Array, destination: string, port = 0): void {
  checked(
    "sendto",
    destination,
    sendto(to.fd, bytes, bytes.length, MSG_DONTWAIT, address6(destination, to.index, port), 28),
  );
}

/**
 * Sends whole Ethernet frames out of devices of a namespace.
 *
 * @throws Fault PB4010 where the kernel refuses, PB4015 where there is no such device, PB4012 where there is no such
 * namespace.
 */
export function sendFrames(
  netns: string,
  frames: readonly { readonly device: string; readonly bytes: Uint8Array }[],
): void {
  within(netns, () => {
    const fd = checked("socket", "a packet socket", socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    try {
      for (const { device, bytes } of frames) {
        const address = new Uint8Array(20);
        const view = new DataView(address.buffer);
        view.setUint16(0, AF_PACKET, true);
        view.setInt32(4, linkIndex(device), true);
        checked("sendto", device, sendto(fd, bytes, bytes.length, 0, address, 20));
      }
    } finally {
      closeSync(fd);
    }
  });
}

/** A socket that is closed again when its preparation fails. */
function opened(domain: number, type: number, protocol: number, device: string, prepare: (fd: number) => void): number {
  const fd = checked("socket", `a socket on ${device}`, socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
  try {
    prepare(fd);
    return fd;
  } catch (thrown) {
    closeSync(fd);
    throw thrown;
  }
}

function bindToDevice(fd: number, device: string): void {
  option(fd, SOL_SOCKET, SO_BINDTODEVICE, new TextEncoder().encode(`${device}\0`), device);
}

function join(fd: number, group: string, index: number, device: string): void {
  const request = new Uint8Array(20);
  request.set(parseIp6(group) ?? [], 0);
  new DataView(request.buffer).setUint32(16, index, true);
  option(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, request, `group ${group} on ${device}`);
}

function flag(fd: number, level: number, name: number, value: number, device: string): void {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  option(fd, level, name, bytes, `a socket on ${device}`);
}

function option(fd: number, level: number, name: number, value: Uint8Array, about: string): void {
  checked("setsockopt", about, setsockopt(fd, level, name, value, value.length));
}

interface FilterProgram {
  readonly len: number;
  readonly filter: Uint8Array;
}

let attachFilter:
  | ((fd: number, level: number, option: number, program: FilterProgram, length: number) => number)
  | undefined;

/** A classic BPF program that lets pass what has hop limit 255, which is what comes from this link (RFC 4861 section 6.1.1). */
function requireHopLimit255(fd: number, device: string): void {
  if (attachFilter === undefined) {
    koffi.struct("patchbay_sock_fprog", { len: "uint16", filter: "const uint8_t *" });
    attachFilter = libc<[number, number, number, FilterProgram, number], number>(
      "int setsockopt(int fd, int level, int option, const patchbay_sock_fprog *program, uint length)",
    );
  }
  // SKF_NET_OFF: offsets from the IPv6 header, of which octet 7 is the hop limit.
  const [LOAD_BYTE, JUMP_IF_EQUAL, RETURN, SKF_NET_OFF] = [0x30, 0x15, 0x06, 0xfff00000];
  const program = new Uint8Array(4 * 8);
  const view = new DataView(program.buffer);
  const instruct = (at: number, code: number, no: number, value: number): void => {
    view.setUint16(at * 8, code, true);
    view.setUint8(at * 8 + 3, no);
    view.setUint32(at * 8 + 4, value, true);
  };
  instruct(0, LOAD_BYTE, 0, SKF_NET_OFF + 7);
  instruct(1, JUMP_IF_EQUAL, 1, 255);
  instruct(2, RETURN, 0, 0xffffffff);
  instruct(3, RETURN, 0, 0);
  checked(
    "setsockopt",
    `a socket on ${device}`,
    attachFilter(fd, SOL_SOCKET, SO_ATTACH_FILTER, { len: 4, filter: program }, 16),
  );
}

/** sockaddr_in of any address. */
function address4(port: number): Uint8Array {
  const address = new Uint8Array(16);
  const view = new DataView(address.buffer);
  view.setUint16(0, AF_INET, true);
  view.setUint16(2, port);
  return address;
}

/** sockaddr_in6; text that is no address counts as `::`. */
function address6(text: string, scope: number, port: number): Uint8Array {
  const address = new Uint8Array(28);
  const view = new DataView(address.buffer);
  view.setUint16(0, AF_INET6, true);
  view.setUint16(2, port);
  address.set(parseIp6(text) ?? [], 8);
  view.setUint32(24, scope, true);
  return address;
}
