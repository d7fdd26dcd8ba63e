import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Dhcp4Message, decodeDhcp4, encodeDhcp4 } from "../packets/dhcp4.ts";
import {
  addressOf,
  decodeClasslessRoutes,
  messageType4,
  octetOf,
  option4,
  optionOf,
} from "../packets/dhcp4-options.ts";
import { concat, u16 } from "../packets/octets.ts";
import type { Dhcp4Service } from "../wiring/wiring.ts";
import { answerDhcp4, type Dhcp4State } from "./dhcp4.ts";
import { checkDhcp4 } from "./dhcp4-values.ts";
import type { Answer } from "./note.ts";

const GUEST = Uint8Array.of(2, 0, 0, 0, 0, 2);
const SERVER = Uint8Array.of(10, 0, 2, 1);
const ADDRESS = Uint8Array.of(10, 0, 2, 2);
const ELSEWHERE = Uint8Array.of(192, 168, 1, 9);

const service: Dhcp4Service = {
  serverAddress: "10.0.2.1",
  clientAddress: "10.0.2.2",
  prefixLength: 24,
  leaseSeconds: 86_313_600,
  mtu: 1450,
  routers: ["10.0.2.1"],
  dnsServers: ["10.96.0.10"],
  hostName: "vm-a",
  domainName: "default.svc.cluster.local",
  searchDomains: ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"],
  ntpServers: ["10.0.0.7", "10.0.0.8"],
  privateOptions: [{ option: 224, value: "a b" }],
  classlessRoutes: [],
};

function message(
  type: number,
  changes: Partial<Dhcp4Message> = {},
  options: Dhcp4Message["options"] = [],
): Dhcp4Message {
  return {
    op: "request",
    htype: 1,
    hops: 0,
    xid: 0xdeadbeef,
    secs: 7,
    broadcast: false,
    ciaddr: "0.0.0.0",
    yiaddr: "0.0.0.0",
    siaddr: "0.0.0.0",
    giaddr: "0.0.0.0",
    chaddr: GUEST,
    sname: "",
    file: "",
    ...changes,
    options: [{ code: option4.messageType, value: Uint8Array.of(type) }, ...options],
  };
}

function ask(asked: Dhcp4Message, served: Dhcp4Service = service, state: Dhcp4State = {}): Answer<Dhcp4State> {
  return answerDhcp4(served, state, encodeDhcp4(asked).bytes);
}

function replyOf(answer: Answer<Dhcp4State>): Dhcp4Message {
  assert.ok(answer.reply !== undefined, answer.notes.map(({ message }) => message).join());
  const read = decodeDhcp4(answer.reply.bytes);
  assert.ok(read.ok);
  return read.value;
}

const typeOf = (answer: Answer<Dhcp4State>): number | undefined =>
  answer.reply === undefined ? undefined : octetOf(replyOf(answer), option4.messageType);
const kinds = (answer: Answer<Dhcp4State>): readonly string[] => answer.notes.map(({ kind }) => kind);
const server = (value: Uint8Array) => ({ code: option4.serverIdentifier, value });
const requested = (value: Uint8Array) => ({ code: option4.requestedAddress, value });

test("an OFFER holds every configured option, the mask before the router", () => {
  const answer = ask(message(messageType4.discover));
  const offer = replyOf(answer);
  assert.deepEqual(
    [offer.op, offer.xid, offer.yiaddr, offer.ciaddr, offer.hops, offer.secs],
    ["reply", 0xdeadbeef, "10.0.2.2", "0.0.0.0", 0, 0],
  );
  assert.deepEqual(offer.chaddr, GUEST);
  assert.deepEqual(
    offer.options.map(({ code }) => code),
    [53, 54, 51, 1, 3, 6, 26, 12, 15, 119, 42, 224],
  );
  const hex = (code: number): string => Buffer.from(optionOf(offer, code) ?? []).toString("hex");
  assert.deepEqual([53, 54, 51, 1, 3, 6, 26].map(hex), [
    "02",
    "0a000201",
    "05250a80",
    "ffffff00",
    "0a000201",
    "0a60000a",
    "05aa",
  ]);
  assert.equal(optionOf(offer, option4.domainSearch)?.length, 61);
  assert.equal(Buffer.from(optionOf(offer, 224) ?? []).toString(), "a b");
  assert.deepEqual(answer.reply?.to, { address: "255.255.255.255", port: 68 });
});

test("REQUEST in its four states", () => {
  const selecting = ask(message(messageType4.request, {}, [requested(ADDRESS), server(SERVER)]));
  const rebooting = ask(message(messageType4.request, {}, [requested(ADDRESS)]));
  const renewing = ask(message(messageType4.request, { ciaddr: "10.0.2.2" }));
  const rebinding = ask(message(messageType4.request, { ciaddr: "10.0.2.2", broadcast: true }));
  for (const answer of [selecting, rebooting, renewing, rebinding]) {
    assert.equal(typeOf(answer), messageType4.ack);
    assert.equal(replyOf(answer).yiaddr, "10.0.2.2");
    assert.deepEqual(kinds(answer), ["leased"]);
    assert.deepEqual(answer.state, { client: { mac: "02:00:00:00:00:02" } });
  }
  assert.equal(replyOf(renewing).ciaddr, "10.0.2.2");
  assert.deepEqual(selecting.reply?.to.address, "255.255.255.255");
  assert.deepEqual(renewing.reply?.to, { address: "10.0.2.2", port: 68 });
});

test("NAK where the address or the server is wrong, to everybody, and without a lease", () => {
  const wrong = [
    message(messageType4.request, {}, [requested(ELSEWHERE), server(SERVER)]),
    message(messageType4.request, {}, [requested(ADDRESS), server(ELSEWHERE)]),
    message(messageType4.request, {}, [requested(ELSEWHERE)]),
    message(messageType4.request, { ciaddr: "192.168.1.9" }),
  ];
  for (const asked of wrong) {
    const answer = ask(asked);
    const nak = replyOf(answer);
    assert.equal(octetOf(nak, option4.messageType), messageType4.nak);
    assert.deepEqual(
      nak.options.map(({ code }) => code),
      [53, 54, 56],
    );
    assert.deepEqual([nak.yiaddr, nak.ciaddr], ["0.0.0.0", "0.0.0.0"]);
    assert.deepEqual(answer.reply?.to, { address: "255.255.255.255", port: 68 });
    assert.deepEqual(kinds(answer), ["refused"]);
  }
});

test("a relay's answer goes to the relay; a NAK asks it to broadcast", () => {
  const relayed = ask(message(messageType4.discover, { giaddr: "10.0.2.77" }));
  assert.deepEqual(relayed.reply?.to, { address: "10.0.2.77", port: 67 });
  const nak = ask(message(messageType4.request, { giaddr: "10.0.2.77" }, [requested(ELSEWHERE)]));
  assert.deepEqual(nak.reply?.to, { address: "10.0.2.77", port: 67 });
  assert.ok(replyOf(nak).broadcast);
  assert.deepEqual(kinds(ask(message(messageType4.discover, { giaddr: "172.16.0.1" }))), ["ignored"]);
});

test("INFORM is acknowledged without address and lease", () => {
  const answer = ask(message(messageType4.inform, { ciaddr: "10.0.2.9" }));
  const ack = replyOf(answer);
  assert.deepEqual([ack.yiaddr, ack.ciaddr], ["0.0.0.0", "10.0.2.9"]);
  assert.equal(optionOf(ack, option4.leaseTime), undefined);
  assert.ok(optionOf(ack, option4.dnsServers) !== undefined);
  assert.deepEqual(answer.reply?.to, { address: "10.0.2.9", port: 68 });
  assert.deepEqual(answer.state, {});
});

test("DECLINE and RELEASE end the lease without an answer; the address is offered again", () => {
  const held: Dhcp4State = { client: { mac: "02:00:00:00:00:02" } };
  const declined = ask(message(messageType4.decline, {}, [requested(ADDRESS), server(SERVER)]), service, held);
  assert.deepEqual([declined.reply, declined.state, kinds(declined)], [undefined, {}, ["declined"]]);
  assert.match(declined.notes[0]?.message ?? "", /no other address/);
  const released = ask(message(messageType4.release, { ciaddr: "10.0.2.2" }, [server(SERVER)]), service, held);
  assert.deepEqual([released.reply, released.state, kinds(released)], [undefined, {}, ["released"]]);
  assert.equal(typeOf(ask(message(messageType4.discover), service, declined.state)), messageType4.offer);
  for (const foreign of [
    message(messageType4.decline, {}, [requested(ELSEWHERE), server(SERVER)]),
    message(messageType4.release, { ciaddr: "10.0.2.2" }, [server(ELSEWHERE)]),
    message(messageType4.release, { ciaddr: "192.168.1.9" }),
  ]) {
    const answer = ask(foreign, service, held);
    assert.deepEqual([answer.reply, answer.state, kinds(answer)], [undefined, held, ["ignored"]]);
  }
});

test("what is not for a server gets no answer", () => {
  const bootp = { ...message(messageType4.discover), options: [] };
  const others = [
    bootp,
    message(messageType4.offer),
    message(messageType4.ack),
    message(13),
    message(messageType4.discover, { op: "reply" }),
    message(messageType4.discover, { htype: 6 }),
    message(messageType4.request),
  ];
  for (const asked of others) assert.equal(ask(asked).reply, undefined);
  assert.match(ask(bootp).notes[0]?.message ?? "", /BOOTP/);
  assert.equal(kinds(answerDhcp4(service, {}, new Uint8Array(10)))[0], "malformed");
});

test("with a MAC only that client is served, whatever the spelling", () => {
  const bound = { ...service, clientMac: "02-00-00-00-00-02" };
  assert.equal(typeOf(ask(message(messageType4.discover), bound)), messageType4.offer);
  assert.equal(ask(message(messageType4.discover, { chaddr: GUEST.with(5, 3) }), bound).reply, undefined);
});

test("a parameter request list does not limit, the client identifier comes back", () => {
  const list = { code: option4.parameterRequestList, value: Uint8Array.of(1) };
  const client = { code: option4.clientIdentifier, value: Uint8Array.of(1, 2, 0, 0, 0, 0, 2) };
  const offer = replyOf(ask(message(messageType4.discover, {}, [list, client])));
  assert.ok(optionOf(offer, option4.domainSearch) !== undefined);
  assert.deepEqual(optionOf(offer, option4.clientIdentifier), client.value);
});

test("the message size that the client takes is kept, and the least necessary goes first", () => {
  const many = {
    ...service,
    privateOptions: Array.from({ length: 31 }, (_, index) => ({ option: 224 + index, value: "x".repeat(60) })),
  };
  const size = (value: number | undefined): Answer<Dhcp4State> =>
    ask(
      message(
        messageType4.discover,
        {},
        value === undefined ? [] : [{ code: option4.maximumMessageSize, value: concat(u16(value)) }],
      ),
      many,
    );
  for (const [value, limit] of [
    [undefined, 548],
    [100, 548],
    [576, 548],
    [1000, 972],
    [65535, 1422],
  ] as const) {
    const answer = size(value);
    assert.ok(answer.reply !== undefined && answer.reply.bytes.length <= limit, `${value}`);
    const offer = replyOf(answer);
    for (const code of [53, 54, 51, 1, 3, 6, 26, 12, 15, 119, 42])
      assert.ok(optionOf(offer, code) !== undefined, `${code}`);
  }
  assert.ok(replyOf(size(65535)).options.length > replyOf(size(576)).options.length);
});

test("classless routes, boot file and next server", () => {
  const routed = {
    ...service,
    tftpServerName: "10.0.0.8",
    bootFileName: "pxelinux.0",
    classlessRoutes: [
      { destination: "10.0.0.0/8", gateway: "10.1.2.3" },
      { destination: "0.0.0.0/0", gateway: "10.1.2.1" },
    ],
  };
  const offer = replyOf(ask(message(messageType4.discover), routed));
  assert.equal(Buffer.from(optionOf(offer, option4.classlessRoutes) ?? []).toString("hex"), "080a0a010203000a010201");
  assert.deepEqual(decodeClasslessRoutes(optionOf(offer, 121) ?? new Uint8Array()), routed.classlessRoutes);
  assert.deepEqual([offer.siaddr, offer.file, offer.sname], ["10.0.0.8", "pxelinux.0", ""]);
  assert.equal(addressOf(offer, option4.serverIdentifier), "10.0.2.1");
});

test("what cannot be sent is named and left out; what makes no sense stops the service", () => {
  const spoiled = {
    ...service,
    dnsServers: ["10.96.0.10", "fd00::1"],
    searchDomains: ["a..b", "cluster.local"],
    privateOptions: [{ option: 12, value: "x" }],
    classlessRoutes: [{ destination: "10.0.0.0", gateway: "10.0.0.1" }],
  };
  const { fatal, notes } = checkDhcp4(spoiled);
  assert.equal(fatal, undefined);
  assert.equal(notes.length, 4);
  const offer = replyOf(ask(message(messageType4.discover), spoiled));
  assert.equal(Buffer.from(optionOf(offer, option4.dnsServers) ?? []).toString("hex"), "0a60000a");
  assert.equal(Buffer.from(optionOf(offer, option4.hostName) ?? []).toString(), "vm-a");
  assert.deepEqual(checkDhcp4(service), { notes: [] });
  for (const change of [
    { serverAddress: "x" },
    { clientAddress: "" },
    { prefixLength: 33 },
    { clientMac: "x" },
    { leaseSeconds: -1 },
  ]) {
    assert.ok(checkDhcp4({ ...service, ...change }).fatal !== undefined);
  }
});

test("any bytes are answered or not", () => {
  const near = fc
    .tuple(fc.constantFrom(1, 2, 3, 4, 5, 7, 8), fc.uint8Array({ maxLength: 200 }))
    .map(([type, rest]) => concat(encodeDhcp4(message(type)).bytes.subarray(0, 243), rest));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 400 }), near), (bytes) => {
      const answer = answerDhcp4(service, {}, bytes);
      if (answer.reply !== undefined) assert.ok(decodeDhcp4(answer.reply.bytes).ok);
      else assert.ok(answer.notes.length > 0);
    }),
    { numRuns: 2000 },
  );
});
