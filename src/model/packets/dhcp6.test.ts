import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatIp } from "../addresses/ip.ts";
import { type Dhcp6Option, decodeDhcp6, duidOf, encodeDhcp6, type MessageType6, messageType6 } from "./dhcp6.ts";
import { concat, u16 } from "./octets.ts";

const plain = { noNullPrototype: true } as const;
const u32s = fc.nat(0xffffffff);
const address = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(formatIp);
const names = fc.array(fc.constantFrom("cluster.local", "svc.cluster.local", "example.com"), { maxLength: 3 });
const known = new Set([1, 2, 3, 4, 5, 6, 7, 8, 13, 14, 23, 24, 25, 39]);

const leaf: fc.Arbitrary<Dhcp6Option> = fc.oneof(
  fc.record(
    {
      is: fc.constantFrom("clientId" as const, "serverId" as const),
      duid: fc.uint8Array({ minLength: 1, maxLength: 130 }),
    },
    plain,
  ),
  fc.record({ is: fc.constant("optionRequest" as const), codes: fc.array(fc.nat(0xffff), { maxLength: 8 }) }, plain),
  fc.record({ is: fc.constant("preference" as const), value: fc.nat(255) }, plain),
  fc.record({ is: fc.constant("elapsedTime" as const), hundredths: fc.nat(0xffff) }, plain),
  fc.record(
    { is: fc.constant("status" as const), code: fc.nat(0xffff), message: fc.constantFrom("", "no address, naïve") },
    plain,
  ),
  fc.constant<Dhcp6Option>({ is: "rapidCommit" }),
  fc.record({ is: fc.constant("dnsServers" as const), addresses: fc.array(address, { maxLength: 3 }) }, plain),
  fc.record({ is: fc.constant("dnsSearch" as const), names }, plain),
  fc.record(
    {
      is: fc.constant("clientFqdn" as const),
      updates: fc.boolean(),
      overrides: fc.boolean(),
      none: fc.boolean(),
      name: fc.constantFrom("", "guest", "guest.example.com", "guest.example.com."),
    },
    plain,
  ),
  fc.record(
    {
      is: fc.constant("other" as const),
      code: fc.nat(0xffff).filter((code) => !known.has(code)),
      value: fc.uint8Array({ maxLength: 40 }),
    },
    plain,
  ),
);
const addressOption: fc.Arbitrary<Dhcp6Option> = fc.record(
  {
    is: fc.constant("iaAddr" as const),
    address,
    preferred: u32s,
    valid: u32s,
    options: fc.array(leaf, { maxLength: 2 }),
  },
  plain,
);
const association: fc.Arbitrary<Dhcp6Option> = fc.oneof(
  fc.record(
    {
      is: fc.constantFrom("iaNa" as const, "iaPd" as const),
      iaid: u32s,
      t1: u32s,
      t2: u32s,
      options: fc.array(fc.oneof(addressOption, leaf), { maxLength: 3 }),
    },
    plain,
  ),
  fc.record(
    { is: fc.constant("iaTa" as const), iaid: u32s, options: fc.array(addressOption, { maxLength: 2 }) },
    plain,
  ),
);
const types = Object.keys(messageType6) as MessageType6[];
const messages = fc.record(
  {
    type: fc.constantFrom(...types),
    transactionId: fc.nat(0xffffff),
    options: fc.array(fc.oneof(leaf, association), { maxLength: 8 }),
  },
  plain,
);

test("a message survives its bytes", () => {
  fc.assert(
    fc.property(messages, (message) =>
      assert.deepEqual(decodeDhcp6(encodeDhcp6(message)), { ok: true, value: message }),
    ),
  );
});

test("any bytes are read or refused, damaged messages as well", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => typeof decodeDhcp6(bytes).ok === "boolean"));
  fc.assert(
    fc.property(messages, fc.nat(), fc.nat(255), fc.nat(), (message, at, octet, cut) => {
      const bytes = encodeDhcp6(message);
      const damaged = bytes.with(at % bytes.length, octet).subarray(0, bytes.length - (cut % 5));
      assert.equal(typeof decodeDhcp6(damaged).ok, "boolean");
    }),
    { numRuns: 2000 },
  );
});

test("nesting has an end", () => {
  const nest = (inner: Uint8Array): Uint8Array => concat(u16(4), u16(4 + inner.length), new Uint8Array(4), inner);
  let bytes = new Uint8Array();
  for (let depth = 0; depth < 8000; depth += 1) bytes = bytes.length > 60000 ? bytes : new Uint8Array(nest(bytes));
  const message = decodeDhcp6(concat([1, 0, 0, 1], bytes));
  assert.ok(!message.ok && message.reason === "malformed");
});

test("a SOLICIT as RFC 8415 lays it out", () => {
  const hex =
    "01102030" + // SOLICIT
    "0001000a00030001020000000001" + // client id: DUID-LL
    "0003000c0000000100000e1000001518" + // IA_NA 1, T1 3600, T2 5400
    "00060004" +
    "00170018" + // option request: 23, 24
    "000800020000" + // elapsed time
    "000e0000"; // rapid commit
  const message = decodeDhcp6(Uint8Array.from(Buffer.from(hex, "hex")));
  assert.deepEqual(message, {
    ok: true,
    value: {
      type: "solicit",
      transactionId: 0x102030,
      options: [
        { is: "clientId", duid: duidOf(Uint8Array.of(2, 0, 0, 0, 0, 1)) },
        { is: "iaNa", iaid: 1, t1: 3600, t2: 5400, options: [] },
        { is: "optionRequest", codes: [23, 24] },
        { is: "elapsedTime", hundredths: 0 },
        { is: "rapidCommit" },
      ],
    },
  });
});

test("relay messages are not read", () => {
  const relay = decodeDhcp6(new Uint8Array(40).with(0, 12));
  assert.ok(!relay.ok && relay.reason === "unsupported");
});
