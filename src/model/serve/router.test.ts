import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatIp, parseIp } from "../addresses/ip.ts";
import { decodeArp } from "../packets/arp.ts";
import { decodeEthernet } from "../packets/ethernet.ts";
import { checkIcmp6, decodeNd, encodeNd } from "../packets/icmp6.ts";
import { decodeIp6 } from "../packets/ip6.ts";
import type { RouterAdvertisementService } from "../wiring/wiring.ts";
import { announcementFrame } from "./announce.ts";
import { advertisement, answerSolicitation, checkRouter, nextAdvertisement } from "./router.ts";

const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);
const service: RouterAdvertisementService = {
  mac: "02:00:00:00:00:01",
  linkLocal: "fe80::1",
  prefix: "fd10:0:2::1/120",
  mtu: 1400,
  managed: true,
  otherConfig: true,
  routerLifetime: 9000,
  dnsServers: ["fd00:10:96::a", "10.0.0.1"],
  searchDomains: ["cluster.local", "a..b"],
};

test("an advertisement holds MAC, MTU, prefix, DNS and search list", () => {
  assert.deepEqual(decodeNd(encodeNd(advertisement(service))), {
    ok: true,
    value: {
      type: "ra",
      hopLimit: 64,
      managed: true,
      otherConfig: true,
      routerLifetime: 9000,
      reachableTime: 0,
      retransTimer: 0,
      options: [
        { is: "sourceMac", mac: MAC },
        { is: "mtu", mtu: 1400 },
        {
          is: "prefix",
          prefix: "fd10:0:2::",
          prefixLength: 120,
          onLink: true,
          autonomous: false,
          validLifetime: 0xffffffff,
          preferredLifetime: 0xffffffff,
        },
        { is: "dnsServers", lifetime: 9000, addresses: ["fd00:10:96::a"] },
        { is: "dnsSearch", lifetime: 9000, names: ["cluster.local"] },
      ],
    },
  });
  assert.equal(checkRouter(service).notes.length, 2);
});

test("a solicitation is answered to its sender, or to all where it has no address", () => {
  const plain = encodeNd({ type: "rs", options: [] });
  const named = encodeNd({ type: "rs", options: [{ is: "sourceMac", mac: MAC }] });
  assert.equal(answerSolicitation(service, named, "fe80::2").reply?.to, "fe80::2");
  assert.equal(answerSolicitation(service, plain, "::").reply?.to, "ff02::1");
  // RFC 4861 section 6.1.1: no source MAC without a source.
  assert.equal(answerSolicitation(service, named, "::").reply, undefined);
  assert.equal(answerSolicitation(service, encodeNd(advertisement(service)), "fe80::2").reply, undefined);
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 100 }),
      (bytes) => typeof answerSolicitation(service, bytes, "fe80::2").notes.length === "number",
    ),
  );
});

test("three advertisements come quickly, then several within the router's lifetime", () => {
  assert.deepEqual(
    [0, 1, 2].map((sent) => nextAdvertisement(service, sent, 0.5)),
    [0, 3000, 3000],
  );
  const lifetimes = fc.integer({ min: 0, max: 9000 });
  fc.assert(
    fc.property(
      lifetimes,
      fc.integer({ min: 3, max: 100 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (routerLifetime, sent, random) => {
        const pause = nextAdvertisement({ ...service, routerLifetime }, sent, random);
        assert.ok(pause >= 3000 && pause <= 600_000);
        if (routerLifetime > 9) assert.ok(pause <= (routerLifetime * 1000) / 3 + 1);
      },
    ),
  );
});

test("what makes no sense stops the service", () => {
  for (const change of [
    { mac: "x" },
    { linkLocal: "fd00::1" },
    { linkLocal: "10.0.0.1" },
    { prefix: "10.0.0.0/8" },
    { routerLifetime: 9001 },
  ]) {
    assert.ok(checkRouter({ ...service, ...change }).fatal !== undefined);
  }
});

test("an address is announced by ARP or by neighbour advertisement", () => {
  const frame = (text: string) => {
    const address = parseIp(text);
    assert.ok(address !== undefined);
    const read = decodeEthernet(announcementFrame(address, MAC));
    assert.ok(read.ok);
    assert.deepEqual(read.value.source, MAC);
    return read.value;
  };
  const four = frame("10.0.2.2");
  const arp = decodeArp(four.payload);
  assert.ok(arp.ok);
  assert.deepEqual([formatIp(arp.value.senderAddress), formatIp(arp.value.targetAddress)], ["10.0.2.2", "10.0.2.2"]);
  assert.equal(Buffer.from(four.destination).toString("hex"), "ffffffffffff");
  const six = frame("fd10:0:2::2");
  assert.equal(Buffer.from(six.destination).toString("hex"), "333300000001");
  const packet = decodeIp6(six.payload);
  assert.ok(packet.ok);
  assert.equal(packet.value.hopLimit, 255);
  assert.ok(checkIcmp6(packet.value.payload, packet.value.source, packet.value.destination));
  const message = decodeNd(packet.value.payload);
  assert.ok(message.ok && message.value.type === "na");
  assert.deepEqual(
    [message.value.target, message.value.override, message.value.solicited],
    ["fd10:0:2::2", true, false],
  );
});
