import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { closeSync } from "node:fs";
import { test } from "node:test";
import { bind, checked, recv, SOCK_CLOEXEC, setsockopt, socket } from "../../src/host/linux/libc.ts";
import { within } from "../../src/host/linux/netns.ts";
import { sendFrames } from "../../src/host/linux/sockets.ts";
import { announce } from "../../src/host/serve/announce.ts";
import { startServices } from "../../src/host/serve/services.ts";
import { formatIp, parseIp6 } from "../../src/model/addresses/ip.ts";
import { linkLocalOf, parseMac } from "../../src/model/addresses/mac.ts";
import {
  type Dhcp6Message,
  type Dhcp6Option,
  decodeDhcp6,
  duidOf,
  encodeDhcp6,
} from "../../src/model/packets/dhcp6.ts";
import { decodeEthernet, encodeEthernet, etherType, multicastMac } from "../../src/model/packets/ethernet.ts";
import { checkIcmp6, decodeNd, encodeNd, type NdMessage, withChecksum } from "../../src/model/packets/icmp6.ts";
import { decodeIp6, encodeIp6, type Ip6Packet } from "../../src/model/packets/ip6.ts";
import { needs } from "../needs.ts";
import { DUAL_STACK, Events, eventually, GUEST_MAC, ip, makeLink, SERVER_MAC, type ServeLink } from "./serve-link.ts";

const [AF_INET6, AF_PACKET, SOCK_DGRAM, SOCK_RAW, SOCK_NONBLOCK, SOL_SOCKET, SO_BINDTODEVICE] = [
  10, 17, 2, 3, 0o4000, 1, 25,
];
const GUEST = parseMac(GUEST_MAC) ?? new Uint8Array(6);
const client: Dhcp6Option = { is: "clientId", duid: duidOf(GUEST) };

/** A DHCPv6 client's socket in the guest's namespace. */
async function clientSocket(link: ServeLink): Promise<Socket> {
  const fd = within(link.guestPath, () => {
    const made = checked("socket", "client", socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const device = new TextEncoder().encode("eth0\0");
    checked("setsockopt", "client", setsockopt(made, SOL_SOCKET, SO_BINDTODEVICE, device, device.length));
    const any = new Uint8Array(28);
    new DataView(any.buffer).setUint16(0, AF_INET6, true);
    new DataView(any.buffer).setUint16(2, 546);
    checked("bind", "client", bind(made, any, 28));
    return made;
  });
  const made = createSocket({ type: "udp6" });
  const listening = once(made, "listening");
  made.bind({ fd });
  await listening;
  return made;
}

/** Sends a message to all servers and returns the first answer to it; asks again, as clients do, where none comes. */
async function exchange(made: Socket, message: Dhcp6Message): Promise<Dhcp6Message> {
  const ask = (): void => void made.send(encodeDhcp6(message), 547, "ff02::1:2");
  const again = setInterval(ask, 5_000);
  try {
    ask();
    const late = AbortSignal.timeout(60_000);
    for (;;) {
      const [bytes, from]: unknown[] = await once(made, "message", { signal: late });
      const answer = answerIn(bytes, from);
      // A late one to what was asked before is nobody's any more.
      if (answer.transactionId === message.transactionId) return answer;
    }
  } finally {
    clearInterval(again);
  }
}

function answerIn(bytes: unknown, from: unknown): Dhcp6Message {
  assert.ok(bytes instanceof Uint8Array && typeof from === "object" && from !== null && "address" in from);
  assert.match(String(from.address), /^fe80:/);
  const read = decodeDhcp6(bytes);
  assert.ok(read.ok, read.ok ? "" : read.detail);
  return read.value;
}

/** A packet socket that sees every frame on eth0 of the guest. */
function sniffer(link: ServeLink): { frames(): Uint8Array[]; close(): void } {
  const fd = within(link.guestPath, () => {
    const made = checked("socket", "sniffer", socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0x0300));
    return made;
  });
  const buffer = new Uint8Array(2048);
  return {
    frames() {
      const found: Uint8Array[] = [];
      for (let size = recv(fd, buffer, 2048, 0); size > 0; size = recv(fd, buffer, 2048, 0))
        found.push(buffer.slice(0, size));
      return found;
    },
    close: () => closeSync(fd),
  };
}

/** The neighbour discovery messages among frames, with their packets; each has its checksum checked. */
function ndOf(frames: readonly Uint8Array[]): { readonly packet: Ip6Packet; readonly message: NdMessage }[] {
  return frames.flatMap((bytes) => {
    const frame = decodeEthernet(bytes);
    if (!frame.ok || frame.value.type !== etherType.ipv6) return [];
    const packet = decodeIp6(frame.value.payload);
    if (!packet.ok || packet.value.nextHeader !== 58) return [];
    const message = decodeNd(packet.value.payload);
    if (!message.ok) return [];
    assert.ok(checkIcmp6(packet.value.payload, packet.value.source, packet.value.destination));
    return [{ packet: packet.value, message: message.value }];
  });
}

/** The guest's link is up and its link-local address usable. */
async function guestUp(link: ServeLink): Promise<void> {
  ip("-n", link.guest, "link", "set", "eth0", "up");
  await eventually("the guest's link-local address", () => {
    const text = ip("-n", link.guest, "-6", "address", "show", "dev", "eth0", "scope", "link");
    return text.includes("fe80") && !text.includes("tentative") ? text : undefined;
  });
}

test("S3.57: a DHCPv6 client gets fd10:0:2::2, DNS and search list in four messages, and in two", async (t) => {
  if (!needs(t, "root", "netns", "veth")) return;
  await using link = makeLink();
  await guestUp(link);
  const running = await startServices({
    netns: link.serverPath,
    podUid: "uid",
    services: [DUAL_STACK],
    onEvent: () => {},
  });
  const made = await clientSocket(link);
  try {
    const association: Dhcp6Option = { is: "iaNa", iaid: 1, t1: 0, t2: 0, options: [] };
    const advertised = await exchange(made, { type: "solicit", transactionId: 1, options: [client, association] });
    assert.equal(advertised.type, "advertise");
    const server = advertised.options.find(({ is }) => is === "serverId");
    const offered = advertised.options.find(({ is }) => is === "iaNa");
    assert.ok(server !== undefined && offered !== undefined);
    const given = await exchange(made, { type: "request", transactionId: 2, options: [client, server, offered] });
    const quick = await exchange(made, {
      type: "solicit",
      transactionId: 3,
      options: [client, { is: "rapidCommit" }, association],
    });
    for (const answer of [given, quick]) {
      assert.equal(answer.type, "reply");
      const bound = answer.options.find(({ is }) => is === "iaNa");
      const address = bound?.is === "iaNa" ? bound.options[0] : undefined;
      assert.ok(address?.is === "iaAddr");
      assert.deepEqual([address.address, address.valid], ["fd10:0:2::2", 86_313_600]);
      assert.deepEqual(answer.options.slice(-2), [
        { is: "dnsServers", addresses: ["fd00:10:96::a"] },
        { is: "dnsSearch", names: ["default.svc.cluster.local", "cluster.local"] },
      ]);
    }
    assert.deepEqual(running.leases(), [
      { nic: "default", service: "dhcp6", address: "fd10:0:2::2", client: "00030001020000000002" },
    ]);
    const informed = await exchange(made, { type: "informationRequest", transactionId: 4, options: [client] });
    assert.equal(informed.type, "reply");
  } finally {
    made.close();
    await running.close();
  }
});

test("an IPv6-only pod has no DHCPv4 server, an IPv4-only pod nothing of IPv6", async (t) => {
  if (!needs(t, "root", "netns", "veth")) return;
  await using link = makeLink();
  const { dhcp4, dhcp6, ra, ...nic } = DUAL_STACK;
  assert.ok(dhcp4 !== undefined && dhcp6 !== undefined && ra !== undefined);
  const listening = (): string =>
    execFileSync("ip", ["netns", "exec", link.server, "ss", "-Hanuw"], { encoding: "utf8" });
  for (const [services, there, notThere] of [
    [{ ...nic, dhcp6, ra }, [/:547\b/, /\[fe80::1\]/], [/:67\b/]],
    [{ ...nic, dhcp4 }, [/:67\b/], [/:547\b/, /\[fe80::1\]/]],
  ] as const) {
    const running = await startServices({
      netns: link.serverPath,
      podUid: "uid",
      services: [services],
      onEvent: () => {},
    });
    try {
      for (const pattern of there) assert.match(listening(), pattern);
      for (const pattern of notThere) assert.doesNotMatch(listening(), pattern);
    } finally {
      await running.close();
    }
    assert.equal(listening(), "");
  }
});

test("advertisements carry DNS and search list; closing sends no farewell", async (t) => {
  if (!needs(t, "root", "netns", "veth")) return;
  await using link = makeLink();
  await guestUp(link);
  const seen = sniffer(link);
  const running = await startServices({
    netns: link.serverPath,
    podUid: "uid",
    services: [DUAL_STACK],
    onEvent: () => {},
  });
  try {
    const { packet, message } = await eventually("an advertisement", () =>
      ndOf(seen.frames()).find(({ message: { type } }) => type === "ra"),
    );
    assert.deepEqual(
      [formatIp(packet.source), formatIp(packet.destination), packet.hopLimit],
      ["fe80::1", "ff02::1", 255],
    );
    assert.ok(message.type === "ra" && message.managed && message.otherConfig);
    assert.deepEqual(message.options.slice(-2), [
      { is: "dnsServers", lifetime: 9000, addresses: ["fd00:10:96::a"] },
      { is: "dnsSearch", lifetime: 9000, names: ["default.svc.cluster.local", "cluster.local"] },
    ]);
  } finally {
    await running.close();
  }
  // A frame sent after the close proves that everything sent before it has been seen.
  announce(link.serverPath, [{ device: "tap0", address: "10.0.2.1", mac: SERVER_MAC }]);
  const last = await eventually("the announcement", () => {
    const frames = seen.frames();
    return frames.some((bytes) => bytes[12] === 8 && bytes[13] === 6) ? frames : undefined;
  });
  assert.ok(!ndOf(last).some(({ message }) => message.type === "ra" && message.routerLifetime === 0));
  seen.close();
});

test("a solicitation that crossed a router is not answered", async (t) => {
  if (!needs(t, "root", "netns", "veth")) return;
  await using link = makeLink();
  await guestUp(link);
  const events = new Events();
  const running = await startServices({
    netns: link.serverPath,
    podUid: "uid",
    services: [DUAL_STACK],
    onEvent: events.on,
  });
  const solicit = (source: Uint8Array, hopLimit: number): void => {
    const destination = parseIp6("ff02::2") ?? new Uint8Array(16);
    const payload = withChecksum(encodeNd({ type: "rs", options: [] }), source, destination);
    const packet = encodeIp6({ source, destination, nextHeader: 58, hopLimit, payload });
    const frame = { destination: multicastMac(destination), source: GUEST, type: etherType.ipv6, payload: packet };
    sendFrames(link.guestPath, [{ device: "eth0", bytes: encodeEthernet(frame) }]);
  };
  try {
    const far = parseIp6("fe80::dead") ?? new Uint8Array(16);
    solicit(far, 64);
    solicit(linkLocalOf(GUEST), 255);
    const answered = (): readonly string[] => events.of("ra", "advertised").map(({ message }) => message);
    await eventually("an answer", () => answered().find((message) => message.includes(formatIp(linkLocalOf(GUEST)))));
    assert.ok(!answered().some((message) => message.includes("dead")));
  } finally {
    await running.close();
  }
});

test("a guest that floods the servers is dropped for a while and served again", async (t) => {
  if (!needs(t, "root", "netns", "veth")) return;
  await using link = makeLink();
  await guestUp(link);
  const events = new Events();
  const running = await startServices({
    netns: link.serverPath,
    podUid: "uid",
    services: [DUAL_STACK],
    onEvent: events.on,
  });
  const made = await clientSocket(link);
  try {
    const request = encodeDhcp6({ type: "informationRequest", transactionId: 9, options: [client] });
    for (let sent = 0; sent < 2000; sent += 1) made.send(request, 547, "ff02::1:2");
    await eventually("the word about it", () =>
      events.of("dhcp6", "failed").find(({ message }) => message.includes("dropped")),
    );
    assert.equal(events.of("dhcp6", "failed").length, 1);
    assert.ok(events.of("dhcp6", "informed").length < 2000);
    const before = events.of("dhcp6", "informed").length;
    await eventually("another answer", () => {
      made.send(request, 547, "ff02::1:2");
      return events.of("dhcp6", "informed").length > before ? true : undefined;
    });
  } finally {
    made.close();
    await running.close();
  }
});

test("announcements move an address to its new MAC in the neighbours' caches", async (t) => {
  if (!needs(t, "root", "netns", "veth")) return;
  await using link = makeLink();
  await guestUp(link);
  ip("-n", link.guest, "address", "add", "10.0.2.2/24", "dev", "eth0");
  ip("-n", link.guest, "address", "add", "fd10:0:2::2/120", "dev", "eth0", "nodad");
  const old = "02:00:00:00:00:99";
  for (const address of ["10.0.2.1", "fd10:0:2::1"]) {
    ip("-n", link.guest, "neighbour", "replace", address, "lladdr", old, "dev", "eth0", "nud", "stale");
  }
  const macs = (): Map<string, string> => {
    const found: { dst: string; lladdr?: string }[] = JSON.parse(ip("-n", link.guest, "-j", "neighbour"));
    return new Map(found.map(({ dst, lladdr }) => [dst, lladdr ?? ""]));
  };
  assert.deepEqual([macs().get("10.0.2.1"), macs().get("fd10:0:2::1")], [old, old]);
  announce(link.serverPath, [
    { device: "tap0", address: "10.0.2.1", mac: SERVER_MAC },
    { device: "tap0", address: "fd10:0:2::1", mac: SERVER_MAC },
  ]);
  await eventually("the new MACs", () =>
    macs().get("10.0.2.1") === SERVER_MAC && macs().get("fd10:0:2::1") === SERVER_MAC ? true : undefined,
  );
});

test("a process that serves ends when it wants to", async (t) => {
  if (!needs(t, "root", "netns", "veth")) return;
  await using link = makeLink();
  const services = new URL("../../src/host/serve/services.ts", import.meta.url).href;
  const program = `
    const { startServices } = await import(${JSON.stringify(services)});
    const { ra, dhcp6, dhcp4, ...nic } = ${JSON.stringify(DUAL_STACK)};
    await startServices({ netns: ${JSON.stringify(link.serverPath)}, podUid: "uid", services: [{ ...nic, ra }], onEvent(event) {
      if (event.kind === "advertised") process.exit(7);
    } });
    setTimeout(() => {}, 60000);`;
  const run = (): number | null => {
    try {
      execFileSync(process.execPath, ["--input-type=module", "-e", program], { timeout: 60_000, stdio: "pipe" });
      return 0;
    } catch (thrown) {
      return typeof thrown === "object" && thrown !== null && "status" in thrown && typeof thrown.status === "number"
        ? thrown.status
        : null;
    }
  };
  assert.equal(run(), 7);
});

test("a device that disappears leaves the servers quiet and closable", async (t) => {
  if (!needs(t, "root", "netns", "veth")) return;
  await using link = makeLink();
  await guestUp(link);
  const events = new Events();
  const running = await startServices({
    netns: link.serverPath,
    podUid: "uid",
    services: [DUAL_STACK],
    onEvent: events.on,
  });
  await eventually("the first advertisement", () => events.of("ra", "advertised")[0]);
  ip("-n", link.server, "link", "delete", "tap0");
  // The second advertisement finds no device.
  await eventually("the failure", () => events.of("ra", "failed")[0]);
  await running.close();
  assert.ok(events.all.filter(({ kind }) => kind === "failed").length < 10, JSON.stringify(events.all));
});
