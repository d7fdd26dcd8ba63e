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

const udp = (from: number, to: number): Uint8Array => concat(u16(from), u16(to), u16(8), u16(0));

function nd(mac: string, message: NdMessage): Frame {
  const [source, destination] = [octetsOf(OWN6), octetsOf(PEER6)];
  const payload = withChecksum(encodeNd(message), source, destination);
  return {
    to: ALL_NODES,
    from: mac,
    type: etherType.ipv6,
    payload: encodeIp6({ source, destination, nextHeader: ICMP6, hopLimit: 255, payload }),
  };
}

/** What a guest with this MAC and address has no business to say, by the rule that drops it. */
function lies(mac: string, address: string): readonly (readonly [rule: RegExp, frame: Frame])[] {
  const other = octetsOf(OTHER_MAC);
  const ipv4 = (from: string, payload: Uint8Array): Frame => ({ to: ALL_NODES, from, type: etherType.ipv4, payload });
  const na = { type: "na", router: false, solicited: false, override: true, target: OWN6 } as const;
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
    [/^arp saddr ether/, { ...arpFrame("reply", { mac: OTHER_MAC, address }, { address: PEER }), from: mac }],
    [/^arp saddr ip/, arpFrame("request", { mac, address: OTHER_ADDRESS }, { address: PEER })],
    [/^udp sport/, ipv4(mac, ip4Packet(UDP, address, "255.255.255.255", udp(67, 68)))],
    [/nd-router-advert/, nd(mac, ra)],
    [/nd-neighbor-advert/, nd(mac, { ...na, options: [{ is: "targetMac", mac: other }] })],
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
          const after = dropped();
          const counted = after.filter(([, packets], index) => packets !== before[index]?.[1]);
          assert.equal(counted.length, 1, `${rule}: ${JSON.stringify(counted)}`);
          assert.match(counted[0]?.[0] ?? "", rule);
        }
        const before = dropped();
        for (const frame of truths(nic.mac, own)) guest.send(frame);
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
  const end = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`gave up waiting for ${what}`);
    await pause(10);
  }
}
