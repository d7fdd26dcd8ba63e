import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { closeSync } from "node:fs";
import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { addNetwork, delNetwork } from "../../src/host/cni/network.ts";
import { applyKernel } from "../../src/host/linux/apply.ts";
import { createNetns, deleteNetns } from "../../src/host/linux/netns.ts";
import { readLinks } from "../../src/host/linux/pod-facts.ts";
import { closeFds } from "../../src/host/linux/tap.ts";
import { formatIp } from "../../src/model/addresses/ip.ts";
import type { Interface } from "../../src/model/api/interfaces.ts";
import { etherType } from "../../src/model/packets/ethernet.ts";
import { decodeNd, encodeNd, ICMP6, icmp6Type, withChecksum } from "../../src/model/packets/icmp6.ts";
import { decodeIp6, encodeIp6, type Ip6Packet } from "../../src/model/packets/ip6.ts";
import { concat } from "../../src/model/packets/octets.ts";
import type { LinkFacts } from "../../src/model/wiring/facts.ts";
import { nicContexts, wire } from "../../src/model/wiring/nics.ts";
import type { Wiring } from "../../src/model/wiring/wiring.ts";
import { networkOf, type TestHost, testHost } from "../kernel/cni-hosts.ts";
import {
  arpFrame,
  arpOf,
  capture,
  echo,
  echoOf,
  type Frame,
  ip4Of,
  ip4Packet,
  octetsOf,
  TapGuest,
} from "../kernel/tap-guest.ts";

const run = promisify(execFile);

/** A host whose link `uplink` leads to another machine. */
export interface Site {
  readonly host: TestHost;
  /** Path of the other machine's namespace; its end is called `far`. */
  readonly outside: string;
}

let count = 0;

/** Everything goes away with the test. */
export function site(t: TestContext): Site {
  const host = testHost(t);
  const name = `pbnested-${process.pid}-${count++}`;
  const outside = createNetns(name);
  t.after(() => deleteNetns(name));
  host.ip(host.netns, "link", "add", "uplink", "type", "veth", "peer", "name", "far", "netns", outside);
  host.ip(host.netns, "link", "set", "uplink", "up");
  host.ip(outside, "link", "set", "far", "up");
  return { host, outside };
}

/** A VLAN of the other machine's, with an address. */
export function vlanOutside({ host, outside }: Site, id: number, cidr: string): string {
  const name = `far.${id}`;
  host.ip(outside, "link", "add", name, "link", "far", "type", "vlan", "id", `${id}`);
  host.ip(outside, "link", "set", name, "up");
  host.ip(outside, "address", "add", cidr, "dev", name);
  return name;
}

/** A pod on one network, and the guest that has taken its place there. */
export interface BridgedPod {
  readonly netns: string;
  /** The pod's link as CNI made it. */
  readonly link: LinkFacts;
  readonly wiring: Wiring;
  readonly guest: TapGuest;
  /** Takes the pod away: DEL, the guest, its namespace. */
  readonly detach: () => Promise<void>;
}

/** A pod attached to the network of a CNI configuration. */
export async function attachedPod({ host }: Site, name: string, config: object): Promise<string> {
  const netns = host.pod(name);
  await addNetwork({ network: networkOf(config), netns, containerId: name, ifName: "eth0" }, host.cni);
  return netns;
}

/** Attaches a pod to the network of a CNI configuration, and wires a guest to it by the bridge binding. */
export async function bridgedPod(t: TestContext, here: Site, name: string, config: object): Promise<BridgedPod> {
  const netns = await attachedPod(here, name, config);
  const [link] = readLinks(netns).links;
  assert.ok(link !== undefined);
  const wiring = wiringOf(netns, { bridge: {} });
  const { taps } = applyKernel(netns, wiring.kernel);
  const fds = [...taps.values()].flat();
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (isOpen) await closeFds(fds);
    isOpen = false;
  };
  t.after(close);
  assert.deepEqual(applyKernel(netns, wiring.kernel, { taps }).steps, [], "applied twice, nothing is done");
  return {
    netns,
    link,
    wiring,
    guest: new TapGuest(taps.get("tap0")?.[0] ?? -1),
    detach: async () => {
      await delNetwork({ containerId: name, ifName: "eth0" }, here.host.cni);
      await close();
      here.host.removePod(name);
    },
  };
}

/** The names of a namespace's links, once those that are going have gone. */
export async function linksBecome(netns: string, wanted: readonly string[]): Promise<void> {
  const names = (): string[] => readLinks(netns).links.map(({ name }) => name);
  const end = performance.now() + 10_000;
  while (names().length > wanted.length && performance.now() < end) await pause(20);
  assert.deepEqual(names(), wanted);
}

/** The wiring of a guest with one interface on the pod's network. */
export function wiringOf(netns: string, iface: Partial<Interface>): Wiring {
  const facts = {
    podUid: "11111111-2222-3333-4444-555555555555",
    ...readLinks(netns),
    resolver: { nameservers: [], search: [], options: [] },
    networkStatus: [],
  };
  const spec = {
    domain: { devices: { interfaces: [{ name: "default", ...iface }] } },
    networks: [{ name: "default", pod: {} }],
  };
  return wire(nicContexts({ spec, hostName: "guest", annotations: {} }), facts);
}

/**
 * Has the guest look for the MAC of a neighbour on its network and ask it for an echo; `meanwhile` is called again and
 * again until the answers are there.
 */
export async function ping(pod: BridgedPod, own: string, peer: string, meanwhile = (): void => {}): Promise<void> {
  const { guest } = pod;
  const mac = macOf(pod);
  const found = await guest.until(
    `the MAC of ${peer}`,
    (frame) => {
      const arp = arpOf(frame);
      return arp?.operation === "reply" && formatIp(arp.senderAddress) === peer ? frame.from : undefined;
    },
    () => {
      // The link may need a moment to carry frames.
      guest.send(arpFrame("request", { mac, address: own }, { address: peer }));
      meanwhile();
    },
  );
  const rest = Uint8Array.from({ length: 40 }, (_, index) => index);
  const payload = ip4Packet(1, own, peer, echo("request", rest));
  guest.send({ to: found, from: mac, type: etherType.ipv4, payload });
  assert.deepEqual(await guest.until(`the echo of ${peer}`, (frame) => echoOf(frame, "reply"), meanwhile), rest);
}

function macOf({ wiring }: BridgedPod): string {
  const [nic] = wiring.nics;
  assert.ok(nic !== undefined);
  return nic.mac;
}

/** Has the guest answer what it heard since, as who has that address; how many echoes it answered. */
export function answer(pod: BridgedPod, own: string): number {
  const frames = pod.guest.listen().flatMap((frame) => answerOf(frame, macOf(pod), own) ?? []);
  for (const frame of frames) pod.guest.send(frame);
  return frames.filter(({ type, payload }) => type !== etherType.arp && !isAdvertisement(type, payload)).length;
}

/** Has the other machine ask the guest's address for an echo, and the guest answer. */
export async function isReached(pod: BridgedPod, own: string, outside: string): Promise<void> {
  const asked = run("nsenter", [`--net=${outside}`, "busybox", "ping", "-c", "1", "-w", "10", own]);
  let [asking, answered] = [true, 0];
  const settled = asked.finally(() => {
    asking = false;
  });
  while (asking) {
    answered += answer(pod, own);
    await pause(5);
  }
  await settled;
  assert.ok(answered > 0, `the pod answered for ${own}, not the guest`);
}

/** What a guest with that MAC and address answers to a frame that is for it. */
function answerOf(frame: Frame, mac: string, own: string): Frame | undefined {
  const back = { to: frame.from, from: mac, type: frame.type };
  const arp = arpOf(frame);
  if (arp?.operation === "request" && formatIp(arp.targetAddress) === own) {
    return arpFrame("reply", { mac, address: own }, { mac: frame.from, address: formatIp(arp.senderAddress) });
  }
  const packet = ip4Of(frame);
  const request = echoOf(frame, "request");
  if (packet !== undefined && request !== undefined && packet.destination === own) {
    return { ...back, payload: ip4Packet(packet.protocol, own, packet.source, echo("reply", request)) };
  }
  const { value: packet6 } = { value: undefined, ...(frame.type === etherType.ipv6 ? decodeIp6(frame.payload) : {}) };
  const reply = packet6 === undefined ? undefined : answer6(packet6, mac, own);
  if (packet6 === undefined || reply === undefined) return undefined;
  const [source, destination] = [octetsOf(own), packet6.source];
  return {
    ...back,
    payload: encodeIp6({
      source,
      destination,
      nextHeader: ICMP6,
      hopLimit: 255,
      payload: withChecksum(reply, source, destination),
    }),
  };
}

const [ECHO_REQUEST_6, ECHO_REPLY_6] = [128, 129];

/** The ICMPv6 message that answers a neighbour solicitation or an echo request (RFC 4443 section 4). */
function answer6({ nextHeader, destination, payload }: Ip6Packet, mac: string, own: string): Uint8Array | undefined {
  if (nextHeader !== ICMP6) return undefined;
  const { value: message } = { value: undefined, ...decodeNd(payload) };
  if (message?.type === "ns" && message.target === own) {
    const options = [{ is: "targetMac", mac: octetsOf(mac) } as const];
    return encodeNd({ type: "na", router: false, solicited: true, override: true, target: own, options });
  }
  const isForUs = payload[0] === ECHO_REQUEST_6 && formatIp(destination) === own;
  return isForUs ? concat([ECHO_REPLY_6, 0, 0, 0], payload.subarray(4)) : undefined;
}

function isAdvertisement(type: number, payload: Uint8Array): boolean {
  return type === etherType.ipv6 && payload[40] === icmp6Type.neighbourAdvertisement;
}

/** What a link of the other machine's hears from now on; ends with the test. */
export function hearing(t: TestContext, netns: string, link: string): () => readonly Frame[] {
  const { fd, frames } = capture(netns, link);
  t.after(() => closeSync(fd));
  return frames;
}
