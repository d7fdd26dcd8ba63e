// A guest that lies about who it is, in every way that the guard knows, and one that does not.
import assert from "node:assert/strict";
import { closeSync } from "node:fs";
import { after, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { applyKernel } from "../../src/host/linux/apply.ts";
import { deleteNetns, listNetns, within } from "../../src/host/linux/netns.ts";
import { runNft } from "../../src/host/linux/nftables.ts";
import { readLinks } from "../../src/host/linux/pod-facts.ts";
import { closeFds } from "../../src/host/linux/tap.ts";
import { etherType } from "../../src/model/packets/ethernet.ts";
import { encodeNd, ICMP6, type NdMessage, withChecksum } from "../../src/model/packets/icmp6.ts";
import { encodeIp6 } from "../../src/model/packets/ip6.ts";
import { concat, u16 } from "../../src/model/packets/octets.ts";
import { needs } from "../needs.ts";
import { bridgeNeeds, PREFIX, shapes, withPod } from "./bridge-pod.ts";
import { arpFrame, arpOf, bytesOf, capture, type Frame, ip4Packet, octetsOf, TapGuest } from "./tap-guest.ts";

after(() => {
  for (const name of listNetns(PREFIX)) deleteNetns(name);
});

const [OTHER_MAC, OTHER_ADDRESS, PEER] = ["02:de:ad:be:ef:01", "10.244.0.9", "10.244.0.1"] as const;
const [OWN6, PEER6] = ["fe80::7", "ff02::1"] as const;
const [UDP, ALL_NODES] = [17, "33:33:00:00:00:01"] as const;
const [ICMP, REDIRECT] = [1, 5] as const;
const [FRAGMENT, DESTINATION_OPTIONS] = [44, 60] as const;
const [VLAN, NONCE] = [0x8100, 14] as const;

const udp = (from: number, to: number): Uint8Array => concat(u16(from), u16(to), u16(8), u16(0));

function ipv6(mac: string, nextHeader: number, payload: Uint8Array): Frame {
  const [source, destination] = [octetsOf(OWN6), octetsOf(PEER6)];
  return {
    to: ALL_NODES,
    from: mac,
    type: etherType.ipv6,
    payload: encodeIp6({ source, destination, nextHeader, hopLimit: 255, payload }),
  };
}

const icmp = (message: NdMessage): Uint8Array => withChecksum(encodeNd(message), octetsOf(OWN6), octetsOf(PEER6));

function nd(mac: string, message: NdMessage): Frame {
  return ipv6(mac, ICMP6, icmp(message));
}

/** The first fragment of a packet (RFC 8200 section 4.5), which more follow. */
const firstFragment = (nextHeader: number, data: Uint8Array): Uint8Array =>
  concat([nextHeader, 0, 0, 1, 0, 0, 0, 7], data);

/** Destination options that are padding (RFC 8200 section 4.6). */
const padding = (nextHeader: number): Uint8Array => Uint8Array.of(nextHeader, 0, 1, 4, 0, 0, 0, 0);

/** The frame with a tag of VLAN 0, which hosts take for one without (IEEE 802.1Q). */
const tagged = ({ type, payload, ...frame }: Frame): Frame => ({
  ...frame,
  type: VLAN,
  payload: concat(u16(0), u16(type), payload),
});

/** The frame as RFC 1042 has it: with a length, and its type behind it. */
function snap({ type, payload, ...frame }: Frame): Frame {
  const data = concat([0xaa, 0xaa, 3, 0, 0, 0], u16(type), payload);
  return { ...frame, type: data.length, payload: data };
}

/** What a guest with this MAC and address has no business to say, by the rule that drops it. */
function lies(mac: string, address: string): readonly (readonly [rule: RegExp, frame: Frame])[] {
  const other = octetsOf(OTHER_MAC);
  const ipv4 = (from: string, payload: Uint8Array): Frame => ({ to: ALL_NODES, from, type: etherType.ipv4, payload });
  const na = { type: "na", router: false, solicited: false, override: true, target: OWN6 } as const;
  const lie = { ...arpFrame("reply", { mac: OTHER_MAC, address }, { address: PEER }), from: mac };
  const theirs = { is: "targetMac", mac: other } as const;
  const ra = {
    type: "ra",
    hopLimit: 64,
    managed: false,
    otherConfig: false,
    routerLifetime: 1800,
    reachableTime: 0,
    retransTimer: 0,
    options: [],
  } as const;
  return [
    [/^ether saddr/, ipv4(OTHER_MAC, ip4Packet(UDP, address, PEER, udp(1, 2)))],
    [/^arp saddr ether/, lie],
    [/^arp saddr ether/, tagged(lie)],
    [/^meta protocol .*8021q/, tagged(tagged(lie))],
    [/^meta protocol 0x0004/, snap(lie)],
    [/^arp htype/, { ...lie, payload: concat(u16(6), lie.payload.subarray(2)) }],
    [/^arp saddr ip/, arpFrame("request", { mac, address: OTHER_ADDRESS }, { address: PEER })],
    [/^udp sport/, ipv4(mac, ip4Packet(UDP, address, "255.255.255.255", udp(67, 68)))],
    [/^udp sport/, ipv6(mac, UDP, udp(547, 546))],
    [/^udp dport/, ipv4(mac, ip4Packet(UDP, address, "255.255.255.255", udp(1067, 68)))],
    [/^udp dport/, ipv6(mac, UDP, udp(1547, 546))],
    [/^icmp type/, ipv4(mac, ip4Packet(ICMP, address, PEER, Uint8Array.of(REDIRECT, 1, 0, 0, 10, 244, 0, 9)))],
    [/^icmpv6 type .*nd-router-advert/, nd(mac, ra)],
    [/^icmpv6 type .*nd-router-advert/, ipv6(mac, DESTINATION_OPTIONS, concat(padding(ICMP6), icmp(ra)))],
    [/^icmpv6 type .*nd-router-advert/, tagged(nd(mac, ra))],
    [/^exthdr frag exists/, ipv6(mac, FRAGMENT, firstFragment(ICMP6, icmp(ra)))],
    [/^frag frag-off/, ipv6(mac, FRAGMENT, firstFragment(DESTINATION_OPTIONS, padding(ICMP6)))],
    [/nd-neighbor-advert @th,192/, nd(mac, { ...na, options: [theirs] })],
    [
      /nd-neighbor-advert @th,192/,
      nd(mac, { ...na, options: [{ is: "other", code: 253, value: new Uint8Array(6) }, theirs] }),
    ],
    [/@th,256/, nd(mac, { ...na, options: [{ is: "targetMac", mac: octetsOf(mac) }, theirs] })],
    [/nd-neighbor-solicit/, nd(mac, { type: "ns", target: "fe80::9", options: [{ is: "sourceMac", mac: other }] })],
    [/nd-router-solicit/, nd(mac, { type: "rs", options: [{ is: "sourceMac", mac: other }] })],
  ];
}

function truths(mac: string, address: string): readonly Frame[] {
  const own = octetsOf(mac);
  return [
    arpFrame("request", { mac, address: "0.0.0.0" }, { address }),
    nd(mac, { type: "ns", target: "fe80::9", options: [{ is: "sourceMac", mac: own }] }),
    nd(mac, { type: "ns", target: OWN6, options: [] }),
    nd(mac, { type: "ns", target: OWN6, options: [{ is: "other", code: NONCE, value: new Uint8Array(6).fill(9) }] }),
    ipv6(mac, FRAGMENT, firstFragment(UDP, udp(5000, 53))),
    nd(mac, { type: "rs", options: [{ is: "sourceMac", mac: own }] }),
    nd(mac, {
      type: "na",
      router: false,
      solicited: true,
      override: true,
      target: OWN6,
      options: [{ is: "targetMac", mac: own }],
    }),
    { to: ALL_NODES, from: mac, type: etherType.ipv4, payload: ip4Packet(UDP, address, PEER, udp(68, 2)) },
  ];
}

for (const [position, own] of [
  [0, "10.244.0.5"],
  [6, "10.1.1.2"],
] as const) {
  const shape = shapes[position];
  assert.ok(shape !== undefined);
  test(`a guest speaks for itself only: ${shape.what}`, async (t) => {
    if (!needs(t, ...bridgeNeeds) || !(shape.needs ?? []).every((need) => needs(t, need))) return;
    const guarded = { ...shape, annotations: { "patchbay.io/spoof-guard": "true" } };
    await withPod(guarded, async ({ path, outside, wiring }) => {
      const nic = wiring.nics.at(-1);
      assert.ok(nic?.attachment.kind === "tap");
      const { device } = nic.attachment;
      const { taps } = applyKernel(path, wiring.kernel);
      assert.deepEqual(applyKernel(path, wiring.kernel).steps, [], "the kernel lists the rules as they are wanted");
      const line = capture(outside, "far0");
      try {
        assert.ok(readLinks(outside).links.some(({ name }) => name === "far0"));
        const guest = new TapGuest(taps.get(device)?.[0] ?? -1);
        const dropped = (): readonly (readonly [string, number])[] =>
          [
            ...within(path, () => runNft(`list table netdev spoof-guard-${device}`)).matchAll(
              /^\s*(.*) counter packets (\d+) .*drop/gm,
            ),
          ].map(([, rule = "", packets]) => [rule, Number(packets)]);
        const heard: Frame[] = [];
        // The link may need a moment to carry frames.
        await eventually("the guest's ARP outside", () => {
          guest.send(arpFrame("request", { mac: nic.mac, address: own }, { address: PEER }));
          heard.push(...line.frames());
          return heard.some((frame) => arpOf(frame) !== undefined && frame.from === nic.mac);
        });
        for (const [rule, frame] of lies(nic.mac, own)) {
          const before = dropped();
          guest.send(frame);
          let counted: ReturnType<typeof dropped> = [];
          await eventually(`a drop by ${rule}`, () => {
            counted = dropped().filter(([, packets], index) => packets !== before[index]?.[1]);
            return counted.length > 0;
          });
          assert.equal(counted.length, 1, `${rule}: ${JSON.stringify(counted)}`);
          assert.match(counted[0]?.[0] ?? "", rule);
        }
        const before = dropped();
        for (const frame of truths(nic.mac, own)) {
          guest.send(tagged(frame));
          guest.send(frame);
        }
        assert.deepEqual(dropped(), before);
        const told = truths(nic.mac, own).map((frame) => Buffer.from(bytesOf(frame)).toString("hex"));
        await eventually("all that is true outside", () => {
          heard.push(...line.frames());
          const outsideNow = new Set(heard.map((frame) => Buffer.from(bytesOf(frame)).toString("hex")));
          return told.every((frame) => outsideNow.has(frame));
        });
        const lied = new Set(lies(nic.mac, own).map(([, frame]) => Buffer.from(bytesOf(frame)).toString("hex")));
        assert.ok(!heard.some((frame) => lied.has(Buffer.from(bytesOf(frame)).toString("hex"))));
      } finally {
        closeSync(line.fd);
        await closeFds([...taps.values()].flat());
      }
    });
  });
}

async function eventually(what: string, condition: () => boolean): Promise<void> {
  const end = performance.now() + 60_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`gave up waiting for ${what}`);
    await pause(10);
  }
}
