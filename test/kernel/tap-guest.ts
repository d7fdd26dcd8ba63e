import { readSync, writeSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { bind, checked, errnoOf, recv, SOCK_CLOEXEC, socket } from "../../src/host/linux/libc.ts";
import { within } from "../../src/host/linux/netns.ts";
import { linkIndex } from "../../src/host/linux/rtnetlink.ts";
import { formatIp, parseIp } from "../../src/model/addresses/ip.ts";
import { formatMac, parseMac } from "../../src/model/addresses/mac.ts";
import { type ArpPacket, decodeArp, encodeArp } from "../../src/model/packets/arp.ts";
import { decodeEthernet, encodeEthernet, etherType } from "../../src/model/packets/ethernet.ts";
import { concat, readU16, u16 } from "../../src/model/packets/octets.ts";

const VNET_HEADER = 12;
const BROADCAST = "ff:ff:ff:ff:ff:ff";

/** A frame with its addresses as text. */
export interface Frame {
  readonly to: string;
  readonly from: string;
  readonly type: number;
  readonly payload: Uint8Array;
}

export function octetsOf(text: string): Uint8Array {
  const octets = parseMac(text) ?? parseIp(text);
  if (octets === undefined) throw new Error(`${text} is no address`);
  return octets;
}

/** The frame of these bytes; undefined for one that is no Ethernet II. */
export function frameOf(bytes: Uint8Array): Frame | undefined {
  const { value } = { value: undefined, ...decodeEthernet(bytes) };
  if (value === undefined) return undefined;
  return { to: formatMac(value.destination), from: formatMac(value.source), type: value.type, payload: value.payload };
}

export function bytesOf({ to, from, type, payload }: Frame): Uint8Array {
  return encodeEthernet({ destination: octetsOf(to), source: octetsOf(from), type, payload });
}

/** The ARP packet of a frame. */
export function arpOf({ type, payload }: Frame): ArpPacket | undefined {
  return type === etherType.arp ? { value: undefined, ...decodeArp(payload) }.value : undefined;
}

export function arpFrame(
  operation: ArpPacket["operation"],
  sender: { readonly mac: string; readonly address: string },
  target: { readonly mac?: string; readonly address: string },
): Frame {
  const payload = encodeArp({
    operation,
    senderMac: octetsOf(sender.mac),
    senderAddress: octetsOf(sender.address),
    targetMac: octetsOf(target.mac ?? "00:00:00:00:00:00"),
    targetAddress: octetsOf(target.address),
  });
  return { to: target.mac ?? BROADCAST, from: sender.mac, type: etherType.arp, payload };
}

/** An IPv4 packet (RFC 791) without options. */
export function ip4Packet(protocol: number, source: string, destination: string, data: Uint8Array): Uint8Array {
  const header = concat(
    [0x45, 0],
    u16(20 + data.length),
    [0, 0, 0x40, 0, 64, protocol, 0, 0],
    octetsOf(source),
    octetsOf(destination),
  );
  header.set(u16(checksum(header)), 10);
  return concat(header, data);
}

/** The IPv4 packet of a frame. */
export function ip4Of(
  frame: Frame,
):
  | { readonly protocol: number; readonly source: string; readonly destination: string; readonly data: Uint8Array }
  | undefined {
  const { type, payload } = frame;
  if (type !== etherType.ipv4 || payload.length < 20) return undefined;
  const start = ((payload[0] ?? 0) & 15) * 4;
  return {
    protocol: payload[9] ?? 0,
    source: formatIp(payload.subarray(12, 16)),
    destination: formatIp(payload.subarray(16, 20)),
    data: payload.subarray(start, readU16(payload, 2)),
  };
}

const ECHO_REQUEST = 8;
const ECHO_REPLY = 0;
const ICMP = 1;

/** An echo request or reply (RFC 792); `rest` is identifier, number and data. */
export function echo(type: "request" | "reply", rest: Uint8Array): Uint8Array {
  const message = concat([type === "request" ? ECHO_REQUEST : ECHO_REPLY, 0, 0, 0], rest);
  message.set(u16(checksum(message)), 2);
  return message;
}

/** What of a frame is an echo of that type. */
export function echoOf(frame: Frame, type: "request" | "reply"): Uint8Array | undefined {
  const packet = ip4Of(frame);
  const wanted = type === "request" ? ECHO_REQUEST : ECHO_REPLY;
  return packet?.protocol === ICMP && packet.data[0] === wanted ? packet.data.subarray(4) : undefined;
}

function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** A guest at the other end of a tap. */
export class TapGuest {
  readonly fd: number;
  /** Everything that came, in order. */
  readonly heard: Frame[] = [];

  constructor(fd: number) {
    this.fd = fd;
  }

  send(frame: Frame): void {
    writeSync(this.fd, concat(new Uint8Array(VNET_HEADER), bytesOf(frame)));
  }

  /** What came since the last call. */
  listen(): readonly Frame[] {
    const news: Frame[] = [];
    const buffer = new Uint8Array(65_600);
    for (;;) {
      try {
        const length = readSync(this.fd, buffer);
        const frame = frameOf(buffer.slice(VNET_HEADER, length));
        if (frame !== undefined) news.push(frame);
      } catch (thrown) {
        if (thrown instanceof Error && "code" in thrown && thrown.code === "EAGAIN") break;
        throw thrown;
      }
    }
    this.heard.push(...news);
    return news;
  }

  /** Waits for a frame of which `found` makes something; `ask` is called before each look. */
  async until<T>(what: string, found: (frame: Frame) => T | undefined, ask = (): void => {}): Promise<T> {
    const end = performance.now() + 60_000;
    while (performance.now() < end) {
      ask();
      for (const frame of this.listen()) {
        const value = found(frame);
        if (value !== undefined) return value;
      }
      await pause(5);
    }
    throw new Error(`the guest did not hear ${what}`);
  }
}

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const ETH_P_ALL = 3;

/** Hears every frame on a link, both ways, from now on. The fd is the caller's to close. */
export function capture(netns: string, link: string): { readonly fd: number; readonly frames: () => readonly Frame[] } {
  const protocol = ETH_P_ALL << 8;
  const fd = within(netns, () => {
    const opened = checked("socket", link, socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
    const address = new Uint8Array(20);
    const view = new DataView(address.buffer);
    view.setUint16(0, AF_PACKET, true);
    view.setUint16(2, protocol, true);
    view.setInt32(4, linkIndex(link), true);
    checked("bind", link, bind(opened, address, address.length));
    return opened;
  });
  const buffer = new Uint8Array(65_600);
  return {
    fd,
    frames() {
      const frames: Frame[] = [];
      for (;;) {
        try {
          const length = checked("recv", link, recv(fd, buffer, buffer.length, 0));
          const frame = frameOf(buffer.slice(0, length));
          if (frame !== undefined) frames.push(frame);
        } catch (thrown) {
          if (errnoOf(thrown) === "EAGAIN") return frames;
          throw thrown;
        }
      }
    },
  };
}
