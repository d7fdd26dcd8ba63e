import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type Dhcp6Message,
  type Dhcp6Option,
  decodeDhcp6,
  duidOf,
  encodeDhcp6,
  type MessageType6,
  status6,
} from "../packets/dhcp6.ts";
import type { Dhcp6Service } from "../wiring/wiring.ts";
import { answerDhcp6, checkDhcp6, type Dhcp6State, serverDuid } from "./dhcp6.ts";
import type { Answer } from "./note.ts";

const service: Dhcp6Service = {
  serverMac: "02:00:00:00:00:01",
  clientAddress: "fd10:0:2::2",
  leaseSeconds: 86_313_600,
  hostName: "guest",
  dnsServers: ["fd00:10:96::a"],
  searchDomains: ["default.svc.cluster.local", "cluster.local"],
};
const SOURCE = "fe80::ff:fe00:2";
const client: Dhcp6Option = { is: "clientId", duid: duidOf(Uint8Array.of(2, 0, 0, 0, 0, 2)) };
const ours: Dhcp6Option = { is: "serverId", duid: serverDuid(service) };
const theirs: Dhcp6Option = { is: "serverId", duid: duidOf(Uint8Array.of(2, 0, 0, 0, 0, 9)) };
const address = (text: string): Dhcp6Option => ({ is: "iaAddr", address: text, preferred: 0, valid: 0, options: [] });
const iaNa = (...options: Dhcp6Option[]): Dhcp6Option => ({ is: "iaNa", iaid: 7, t1: 0, t2: 0, options });
const RIGHT = "fd10:0:2::2";
const WRONG = "fd99::2";

function ask(type: MessageType6, options: readonly Dhcp6Option[], state: Dhcp6State = {}): Answer<Dhcp6State> {
  return answerDhcp6(service, state, encodeDhcp6({ type, transactionId: 0xabcdef, options }), SOURCE);
}

function replyOf(answer: Answer<Dhcp6State>): Dhcp6Message {
  assert.ok(answer.reply !== undefined, answer.notes.map(({ message }) => message).join());
  assert.deepEqual(answer.reply.to, { address: SOURCE, port: 546 });
  const read = decodeDhcp6(answer.reply.bytes);
  assert.ok(read.ok);
  assert.equal(read.value.transactionId, 0xabcdef);
  assert.deepEqual(
    read.value.options.find(({ is }) => is === "serverId"),
    ours,
  );
  return read.value;
}

const given: Dhcp6Option = {
  is: "iaNa",
  iaid: 7,
  t1: 43_156_800,
  t2: 69_050_880,
  options: [{ is: "iaAddr", address: RIGHT, preferred: 86_313_600, valid: 86_313_600, options: [] }],
};
const dns: Dhcp6Option = { is: "dnsServers", addresses: service.dnsServers };
const search: Dhcp6Option = { is: "dnsSearch", names: service.searchDomains };

/** Status code by association (by name), and `message` for the one of the message itself. */
function statuses(message: Dhcp6Message): Record<string, number> {
  const found: Record<string, number> = {};
  for (const option of message.options) {
    if (option.is === "status") found["message"] = option.code;
    if (option.is !== "iaNa" && option.is !== "iaTa" && option.is !== "iaPd") continue;
    for (const inner of option.options) if (inner.is === "status") found[`${option.is} ${option.iaid}`] = inner.code;
  }
  return found;
}

test("SOLICIT is answered with an ADVERTISE that is taken at once", () => {
  const answer = ask("solicit", [client, iaNa()]);
  const message = replyOf(answer);
  assert.equal(message.type, "advertise");
  assert.deepEqual(message.options, [client, ours, { is: "preference", value: 255 }, given, dns, search]);
  assert.deepEqual(answer.state, {});
});

test("SOLICIT with rapid commit is answered with a REPLY", () => {
  const answer = ask("solicit", [client, { is: "rapidCommit" }, iaNa()]);
  const message = replyOf(answer);
  assert.equal(message.type, "reply");
  assert.deepEqual(message.options, [client, ours, { is: "rapidCommit" }, given, dns, search]);
  assert.deepEqual(answer.state, { client: { duid: "00030001020000000002", iaid: 7 } });
});

test("REQUEST, RENEW and REBIND give the address, to an unknown client as well", () => {
  for (const [type, options] of [
    ["request", [client, ours, iaNa()]],
    ["request", [client, ours, iaNa(address(RIGHT))]],
    ["renew", [client, ours, iaNa(address(RIGHT))]],
    ["rebind", [client, iaNa(address(RIGHT))]],
  ] as const) {
    const answer = ask(type, options);
    const message = replyOf(answer);
    assert.equal(message.type, "reply");
    assert.deepEqual(message.options, [client, ours, given, dns, search]);
    assert.equal(answer.notes[0]?.kind, "leased");
  }
});

test("another address is not on this link, or gets lifetimes of zero", () => {
  const requested = ask("request", [client, ours, iaNa(address(WRONG))]);
  assert.deepEqual(statuses(replyOf(requested)), { "iaNa 7": status6.notOnLink });
  assert.equal(requested.notes[0]?.kind, "refused");
  for (const [type, options] of [
    ["renew", [client, ours, iaNa(address(WRONG))]],
    ["rebind", [client, iaNa(address(WRONG))]],
  ] as const) {
    const association = replyOf(ask(type, options)).options.find(({ is }) => is === "iaNa");
    assert.ok(association?.is === "iaNa");
    assert.deepEqual(
      association.options.map((option) => (option.is === "iaAddr" ? [option.address, option.valid] : option)),
      [
        [RIGHT, 86_313_600],
        [WRONG, 0],
      ],
    );
  }
});

test("there is one address, no temporary one and no prefix", () => {
  const asked: readonly Dhcp6Option[] = [
    client,
    { is: "iaNa", iaid: 1, t1: 0, t2: 0, options: [] },
    { is: "iaNa", iaid: 2, t1: 0, t2: 0, options: [] },
    { is: "iaTa", iaid: 3, options: [] },
    { is: "iaPd", iaid: 4, t1: 0, t2: 0, options: [] },
  ];
  const expected = { "iaTa 3": status6.noAddrsAvail, "iaPd 4": status6.noPrefixAvail };
  assert.deepEqual(statuses(replyOf(ask("solicit", asked))), { "iaNa 2": status6.noAddrsAvail, ...expected });
  // The association that has the address keeps it.
  const known: Dhcp6State = { client: { duid: "00030001020000000002", iaid: 2 } };
  assert.deepEqual(statuses(replyOf(ask("solicit", asked, known))), { "iaNa 1": status6.noAddrsAvail, ...expected });
  const prefix = ask("solicit", [client, { is: "rapidCommit" }, { is: "iaPd", iaid: 4, t1: 0, t2: 0, options: [] }]);
  assert.equal(replyOf(prefix).type, "advertise");
});

test("CONFIRM judges the addresses, and is silent when there are none", () => {
  assert.deepEqual(statuses(replyOf(ask("confirm", [client, iaNa(address(RIGHT))]))), { message: status6.success });
  assert.deepEqual(statuses(replyOf(ask("confirm", [client, iaNa(address(WRONG))]))), { message: status6.notOnLink });
  assert.equal(ask("confirm", [client, iaNa()]).reply, undefined);
});

test("RELEASE and DECLINE succeed; what was not given has no binding", () => {
  const held: Dhcp6State = { client: { duid: "00030001020000000002", iaid: 7 } };
  for (const type of ["release", "decline"] as const) {
    const answer = ask(type, [client, ours, iaNa(address(RIGHT))], held);
    assert.deepEqual(statuses(replyOf(answer)), { message: status6.success });
    assert.deepEqual(answer.state, {});
    assert.equal(answer.notes[0]?.kind, type === "release" ? "released" : "declined");
    const unknown = ask(type, [client, ours, iaNa(address(WRONG))], held);
    assert.deepEqual(statuses(replyOf(unknown)), { message: status6.success, "iaNa 7": status6.noBinding });
    assert.deepEqual(unknown.state, held);
  }
});

test("INFORMATION-REQUEST gets DNS and search list, with or without identifiers", () => {
  for (const options of [[], [client], [client, ours]]) {
    const message = replyOf(ask("informationRequest", options));
    assert.equal(message.type, "reply");
    assert.deepEqual(message.options.slice(-2), [dns, search]);
    assert.ok(!message.options.some(({ is }) => is === "iaNa"));
  }
});

test("messages that RFC 8415 section 16 has discarded", () => {
  const discarded: readonly (readonly [MessageType6, readonly Dhcp6Option[]])[] = [
    ["solicit", [iaNa()]],
    ["solicit", [client, ours, iaNa()]],
    ["request", [client, iaNa()]],
    ["request", [ours, iaNa()]],
    ["request", [client, theirs, iaNa()]],
    ["confirm", [client, ours, iaNa(address(RIGHT))]],
    ["renew", [client, theirs, iaNa(address(RIGHT))]],
    ["rebind", [client, ours, iaNa(address(RIGHT))]],
    ["release", [client, theirs, iaNa(address(RIGHT))]],
    ["decline", [client, iaNa(address(RIGHT))]],
    ["informationRequest", [client, theirs]],
    ["informationRequest", [client, iaNa()]],
    ["advertise", [client, ours]],
    ["reply", [client, ours]],
    ["reconfigure", [client, ours]],
  ];
  for (const [type, options] of discarded) {
    const answer = ask(type, options);
    assert.equal(answer.reply, undefined, type);
    assert.equal(answer.notes[0]?.kind, "ignored");
  }
});

test("an endless lease has endless times", () => {
  const endless = { ...service, leaseSeconds: 2 ** 40 };
  const bytes = encodeDhcp6({ type: "solicit", transactionId: 0xabcdef, options: [client, iaNa()] });
  const association = replyOf(answerDhcp6(endless, {}, bytes, SOURCE)).options.find(({ is }) => is === "iaNa");
  assert.ok(association?.is === "iaNa");
  assert.deepEqual([association.t1, association.t2], [0xffffffff, 0xffffffff]);
});

test("what cannot be sent is named; what makes no sense stops the service", () => {
  const { fatal, notes } = checkDhcp6({ ...service, dnsServers: ["10.0.0.1"], searchDomains: ["a b"] });
  assert.deepEqual([fatal, notes.length], [undefined, 2]);
  for (const change of [{ serverMac: "x" }, { clientAddress: "10.0.2.2" }, { leaseSeconds: 1.5 }]) {
    assert.ok(checkDhcp6({ ...service, ...change }).fatal !== undefined);
  }
});

test("any bytes are answered or not", () => {
  const near = fc.tuple(fc.integer({ min: 1, max: 11 }), fc.uint8Array({ maxLength: 60 })).map(([type, rest]) => {
    const bytes = encodeDhcp6({ type: "request", transactionId: 1, options: [client, ours, iaNa(address(RIGHT))] });
    const whole = new Uint8Array(bytes.length + rest.length);
    whole.set(bytes);
    whole.set(rest, bytes.length);
    return whole.with(0, type);
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), near), (bytes) => {
      const answer = answerDhcp6(service, {}, bytes, SOURCE);
      if (answer.reply !== undefined) assert.ok(decodeDhcp6(answer.reply.bytes).ok);
      else assert.ok(answer.notes.length > 0);
    }),
    { numRuns: 2000 },
  );
});

test("a client that asks for its name, or tells one, is told the guest's; nobody updates the DNS", () => {
  const nameIn = (...more: Dhcp6Option[]) =>
    replyOf(ask("solicit", [client, iaNa(), ...more])).options.find(({ is }) => is === "clientFqdn");
  const own = { is: "clientFqdn", updates: true, overrides: false, none: false, name: "another" } as const;
  const told = { is: "clientFqdn", updates: false, overrides: false, none: true, name: "guest" };
  assert.equal(nameIn(), undefined);
  assert.equal(nameIn({ is: "optionRequest", codes: [23] }), undefined);
  assert.deepEqual(nameIn({ is: "optionRequest", codes: [23, 39] }), told);
  assert.deepEqual(nameIn(own), { ...told, overrides: true });
  assert.deepEqual(nameIn({ ...own, updates: false, name: "" }), told);
  const reply = replyOf(ask("informationRequest", [{ is: "optionRequest", codes: [39] }]));
  assert.deepEqual(
    reply.options.find(({ is }) => is === "clientFqdn"),
    told,
  );
});
