import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatIp } from "../addresses/ip.ts";
import { type Dhcp4Message, decodeDhcp4, encodeDhcp4 } from "./dhcp4.ts";
import {
  addresses4,
  addressesOf,
  addressOf,
  decodeClasslessRoutes,
  encodeClasslessRoute,
  messageType4,
  octetOf,
  option4,
} from "./dhcp4-options.ts";
import { encodeNames } from "./dns-names.ts";
import { concat } from "./octets.ts";

const octets = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const address = octets(4).map(formatIp);
const latin1 = (maxLength: number): fc.Arbitrary<string> =>
  fc.array(fc.integer({ min: 1, max: 255 }), { maxLength }).map((codes) => String.fromCharCode(...codes));
const codes = fc.integer({ min: 1, max: 254 }).filter((code) => code !== 52);
const options = (longest: number): fc.Arbitrary<{ code: number; value: Uint8Array }[]> =>
  fc.uniqueArray(
    fc.record({ code: codes, value: fc.uint8Array({ maxLength: longest, size: "max" }) }, { noNullPrototype: true }),
    {
      selector: ({ code }) => code,
      maxLength: 12,
      size: "max",
    },
  );
const messages = (longest: number, fields = true): fc.Arbitrary<Dhcp4Message> =>
  fc.record(
    {
      op: fc.constantFrom("request" as const, "reply" as const),
      htype: fc.nat(255),
      hops: fc.nat(255),
      xid: fc.nat(0xffffffff),
      secs: fc.nat(0xffff),
      broadcast: fc.boolean(),
      ciaddr: address,
      yiaddr: address,
      siaddr: address,
      giaddr: address,
      chaddr: fc.uint8Array({ maxLength: 16 }),
      sname: fields ? latin1(63) : fc.constant(""),
      file: fields ? latin1(127) : fc.constant(""),
      options: options(longest),
    },
    { noNullPrototype: true },
  );

function read(bytes: Uint8Array): Dhcp4Message {
  const message = decodeDhcp4(bytes);
  assert.ok(message.ok, message.ok ? "" : message.detail);
  return message.value;
}

test("a message survives its bytes, long options included", () => {
  fc.assert(
    fc.property(messages(700), (message) => {
      const { bytes, dropped } = encodeDhcp4(message);
      assert.deepEqual(dropped, []);
      assert.ok(bytes.length >= 300);
      assert.deepEqual(read(bytes), message);
    }),
  );
});

test("within a limit the message holds the options that were not dropped, in whatever field", () => {
  const seen = { overloaded: 0, dropped: 0 };
  fc.assert(
    fc.property(messages(300, false), fc.integer({ min: 300, max: 1500 }), (message, limit) => {
      const { bytes, dropped } = encodeDhcp4(message, limit);
      assert.ok(bytes.length <= limit);
      const back = read(bytes);
      const byCode = (one: { code: number }, other: { code: number }): number => one.code - other.code;
      assert.deepEqual(
        back.options.toSorted(byCode),
        message.options.filter(({ code }) => !dropped.includes(code)).toSorted(byCode),
      );
      if (bytes[240] === 52) seen.overloaded += 1;
      if (dropped.length > 0) seen.dropped += 1;
    }),
    { numRuns: 1000 },
  );
  assert.ok(seen.overloaded > 0 && seen.dropped > 0);
});

test("fields that are in use are not overloaded", () => {
  const value = new Uint8Array(250);
  const message: Dhcp4Message = {
    ...read(encodeDhcp4(blank()).bytes),
    sname: "boot",
    file: "pxelinux.0",
    options: [
      { code: 224, value },
      { code: 225, value: new Uint8Array(20) },
    ],
  };
  const { bytes, dropped } = encodeDhcp4(message, 300);
  assert.deepEqual(dropped, [224]);
  assert.deepEqual([read(bytes).sname, read(bytes).file], ["boot", "pxelinux.0"]);
});

test("any bytes are read or refused", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => typeof decodeDhcp4(bytes).ok === "boolean"));
  // And with a sound fixed part, so that the options are reached.
  fc.assert(
    fc.property(octets(236), fc.uint8Array({ maxLength: 400 }), (fixed, rest) => {
      const head = concat([1, 1, 6, 0], fixed.subarray(4), [99, 130, 83, 99], rest);
      assert.equal(typeof decodeDhcp4(head).ok, "boolean");
    }),
    { numRuns: 2000 },
  );
});

test("refusals name their reason", () => {
  const sound = encodeDhcp4(blank()).bytes;
  const reason = (bytes: Uint8Array): string => {
    const message = decodeDhcp4(bytes);
    return message.ok ? "read" : message.reason;
  };
  assert.equal(reason(sound.subarray(0, 200)), "truncated");
  assert.equal(reason(sound.with(0, 3)), "malformed");
  assert.equal(reason(sound.with(2, 17)), "malformed");
  assert.equal(reason(sound.with(236, 0)), "unsupported");
  assert.equal(reason(concat(sound.subarray(0, 240), [12, 5, 1])), "truncated");
  assert.equal(reason(sound.subarray(0, 240)), "read");
});

test("a DISCOVER as a client sends it", () => {
  const bytes = concat(
    [1, 1, 6, 0, 0x39, 0x03, 0xf3, 0x26, 0, 0, 0x80, 0],
    new Uint8Array(16),
    [0x00, 0x05, 0x3c, 0x04, 0x8d, 0x59],
    new Uint8Array(10 + 64 + 128),
    [0x63, 0x82, 0x53, 0x63, 0x35, 1, 1, 0x37, 4, 1, 3, 6, 15, 0x32, 4, 10, 0, 2, 2, 0xff],
  );
  const message = read(bytes);
  assert.equal(message.xid, 0x3903f326);
  assert.ok(message.broadcast);
  assert.equal(octetOf(message, option4.messageType), messageType4.discover);
  assert.equal(addressOf(message, option4.requestedAddress), "10.0.2.2");
  assert.deepEqual(Array.from(message.chaddr), [0x00, 0x05, 0x3c, 0x04, 0x8d, 0x59]);
});

test("options in file and sname continue those of the options field", () => {
  const fixed = encodeDhcp4(blank()).bytes.slice(0, 240);
  fixed.set([12, 2, 0x63, 0x64, 255], 108);
  fixed.set([12, 1, 0x65, 15, 1, 0x66], 44);
  const message = read(concat(fixed, [52, 1, 3, 12, 2, 0x61, 0x62, 255]));
  assert.deepEqual(message.options, [
    { code: 12, value: Uint8Array.of(0x61, 0x62, 0x63, 0x64, 0x65) },
    { code: 15, value: Uint8Array.of(0x66) },
  ]);
  assert.deepEqual([message.file, message.sname], ["", ""]);
});

test("classless routes of RFC 3442", () => {
  const bytes = (destination: string, gateway: string): number[] | undefined => {
    const value = encodeClasslessRoute({ destination, gateway });
    return value === undefined ? undefined : Array.from(value);
  };
  assert.deepEqual(bytes("10.0.0.0/8", "10.1.2.3"), [8, 10, 10, 1, 2, 3]);
  assert.deepEqual(bytes("0.0.0.0/0", "10.1.2.1"), [0, 10, 1, 2, 1]);
  assert.deepEqual(bytes("10.27.129.0/24", "0.0.0.0"), [24, 10, 27, 129, 0, 0, 0, 0]);
  assert.deepEqual(bytes("10.229.0.128/25", "10.0.0.1"), [25, 10, 229, 0, 128, 10, 0, 0, 1]);
  assert.equal(bytes("fd00::/8", "10.0.0.1"), undefined);
  assert.deepEqual(decodeClasslessRoutes(Uint8Array.of(8, 10, 10, 1, 2, 3, 0, 10, 1, 2, 1)), [
    { destination: "10.0.0.0/8", gateway: "10.1.2.3" },
    { destination: "0.0.0.0/0", gateway: "10.1.2.1" },
  ]);
  assert.equal(decodeClasslessRoutes(Uint8Array.of(33, 1, 2, 3, 4, 5, 1, 1, 1, 1)), undefined);
  assert.equal(decodeClasslessRoutes(Uint8Array.of(8, 10, 1)), undefined);
  assert.equal(decodeClasslessRoutes(Uint8Array.of(4, 0xff, 1, 1, 1, 1)), undefined);
});

test("lists of addresses", () => {
  const message = { ...blank(), options: [{ code: 6, value: addresses4(["10.0.0.1", "nonsense", "10.0.0.2"]) }] };
  assert.deepEqual(addressesOf(message, option4.dnsServers), ["10.0.0.1", "10.0.0.2"]);
  assert.equal(addressesOf({ ...message, options: [{ code: 6, value: Uint8Array.of(1) }] }, 6), undefined);
});

test("the search list of a cluster", () => {
  const names = encodeNames(["default.svc.cluster.local", "svc.cluster.local", "cluster.local"]);
  assert.equal(names.length, 61);
  assert.equal(
    Buffer.from(names).toString("hex").slice(0, 54),
    "0764656661756c740373766307636c7573746572056c6f63616c00",
  );
});

function blank(): Dhcp4Message {
  return {
    op: "request",
    htype: 1,
    hops: 0,
    xid: 1,
    secs: 0,
    broadcast: false,
    ciaddr: "0.0.0.0",
    yiaddr: "0.0.0.0",
    siaddr: "0.0.0.0",
    giaddr: "0.0.0.0",
    chaddr: Uint8Array.of(2, 0, 0, 0, 0, 1),
    sname: "",
    file: "",
    options: [],
  };
}
