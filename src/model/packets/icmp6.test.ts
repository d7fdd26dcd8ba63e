import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatIp } from "../addresses/ip.ts";
import { checkIcmp6, decodeNd, encodeNd, type NdMessage, type NdOption, withChecksum } from "./icmp6.ts";
import { decodeIp6, encodeIp6 } from "./ip6.ts";

const plain = { noNullPrototype: true } as const;
const u32s = fc.nat(0xffffffff);
const octets16 = fc.uint8Array({ minLength: 16, maxLength: 16 });
const address = octets16.map(formatIp);
const options: fc.Arbitrary<readonly NdOption[]> = fc.array(
  fc.oneof(
    fc.record(
      {
        is: fc.constantFrom("sourceMac" as const, "targetMac" as const),
        mac: fc.uint8Array({ minLength: 6, maxLength: 6 }),
      },
      plain,
    ),
    fc.record(
      {
        is: fc.constant("prefix" as const),
        prefix: address,
        prefixLength: fc.nat(128),
        onLink: fc.boolean(),
        autonomous: fc.boolean(),
        validLifetime: u32s,
        preferredLifetime: u32s,
      },
      plain,
    ),
    fc.record({ is: fc.constant("mtu" as const), mtu: u32s }, plain),
    fc.record(
      {
        is: fc.constant("dnsServers" as const),
        lifetime: u32s,
        addresses: fc.array(address, { minLength: 1, maxLength: 3 }),
      },
      plain,
    ),
    fc.record(
      {
        is: fc.constant("dnsSearch" as const),
        lifetime: u32s,
        names: fc.array(fc.constantFrom("cluster.local", "a.example", "svc.cluster.local"), {
          minLength: 1,
          maxLength: 3,
        }),
      },
      plain,
    ),
    fc.record(
      {
        is: fc.constant("other" as const),
        code: fc.integer({ min: 100, max: 255 }),
        value: fc
          .integer({ min: 0, max: 3 })
          .chain((units) => fc.uint8Array({ minLength: 6 + units * 8, maxLength: 6 + units * 8 })),
      },
      plain,
    ),
  ),
  { maxLength: 6 },
);
const messages: fc.Arbitrary<NdMessage> = fc.oneof(
  fc.record({ type: fc.constant("rs" as const), options }, plain),
  fc.record(
    {
      type: fc.constant("ra" as const),
      hopLimit: fc.nat(255),
      managed: fc.boolean(),
      otherConfig: fc.boolean(),
      routerLifetime: fc.nat(0xffff),
      reachableTime: u32s,
      retransTimer: u32s,
      options,
    },
    plain,
  ),
  fc.record({ type: fc.constant("ns" as const), target: address, options }, plain),
  fc.record(
    {
      type: fc.constant("na" as const),
      router: fc.boolean(),
      solicited: fc.boolean(),
      override: fc.boolean(),
      target: address,
      options,
    },
    plain,
  ),
);

test("a message survives its bytes, and its checksum holds", () => {
  fc.assert(
    fc.property(messages, octets16, octets16, (message, source, destination) => {
      const packet = withChecksum(encodeNd(message), source, destination);
      assert.ok(checkIcmp6(packet, source, destination));
      assert.deepEqual(decodeNd(packet), { ok: true, value: message });
      const flipped = packet.with(packet.length - 1, (packet.at(-1) ?? 0) ^ 1);
      assert.ok(!checkIcmp6(flipped, source, destination));
      const carried = decodeIp6(encodeIp6({ source, destination, nextHeader: 58, hopLimit: 255, payload: packet }));
      assert.ok(carried.ok);
      assert.deepEqual(carried.value.payload, packet);
    }),
  );
});

test("any bytes are read or refused, damaged messages as well", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => typeof decodeNd(bytes).ok === "boolean"));
  fc.assert(
    fc.property(messages, fc.nat(), fc.nat(255), (message, at, octet) => {
      const bytes = encodeNd(message);
      assert.equal(typeof decodeNd(bytes.with(at % bytes.length, octet)).ok, "boolean");
    }),
    { numRuns: 2000 },
  );
});

test("options of length zero and cut options are refused (RFC 4861 section 6.1)", () => {
  const reason = (octets: readonly number[]): string => {
    const message = decodeNd(Uint8Array.from(octets));
    return message.ok ? "read" : message.reason;
  };
  assert.equal(reason([133, 0, 0, 0, 0, 0, 0, 0]), "read");
  assert.equal(reason([133, 0, 0, 0, 0, 0, 0]), "truncated");
  assert.equal(reason([133, 1, 0, 0, 0, 0, 0, 0]), "malformed");
  assert.equal(reason([133, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]), "malformed");
  assert.equal(reason([133, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0]), "truncated");
  assert.equal(reason([128, 0, 0, 0, 0, 0, 0, 0]), "unsupported");
});

test("a neighbour solicitation as a Linux kernel sent it", () => {
  // Captured: duplicate address detection of fe80::ff:fe00:1 with the nonce of RFC 7527.
  const captured =
    "6000000000203aff" + // IPv6, 32 octets of ICMPv6, hop limit 255
    "00000000000000000000000000000000" +
    "ff0200000000000000000001ff000001" +
    "8700def000000000" + // neighbour solicitation with its checksum
    "fe80000000000000000000fffe000001" +
    "0e0164bb33d2f79d";
  const carried = decodeIp6(Uint8Array.from(Buffer.from(captured, "hex")));
  assert.ok(carried.ok);
  const { source, destination, payload, hopLimit } = carried.value;
  assert.deepEqual([formatIp(source), formatIp(destination), hopLimit], ["::", "ff02::1:ff00:1", 255]);
  assert.ok(checkIcmp6(payload, source, destination));
  const message: NdMessage = {
    type: "ns",
    target: "fe80::ff:fe00:1",
    options: [{ is: "other", code: 14, value: Uint8Array.of(0x64, 0xbb, 0x33, 0xd2, 0xf7, 0x9d) }],
  };
  assert.deepEqual(decodeNd(payload), { ok: true, value: message });
  assert.deepEqual(withChecksum(encodeNd(message), source, destination), payload);
});
