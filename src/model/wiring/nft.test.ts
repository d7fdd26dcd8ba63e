import assert from "node:assert/strict";
import { test } from "node:test";
import { isTable, type NftTable, normaliseListing, renderTable, replaceTable, withCounters } from "./nft.ts";

const nat: NftTable = {
  family: "ip",
  name: "nat",
  sets: [{ name: "ports", type: "inet_proto . inet_service", elements: ["tcp . 80", "udp . 53"] }],
  chains: [
    {
      name: "prerouting",
      hook: { type: "nat", at: "prerouting", priority: -100 },
      rules: [
        `iifname "eth0" counter jump KUBEVIRT_PREINBOUND`,
        "counter accept",
        "counter accept",
        "ip daddr 10.0.0.1 drop",
      ],
    },
    { name: "input", hook: { type: "nat", at: "input", priority: 100 }, rules: [] },
    { name: "KUBEVIRT_PREINBOUND", rules: ["meta l4proto . th dport @ports counter dnat to 10.0.2.2"] },
  ],
};

/** As nft 1.0.6 prints it. */
const listing = `table ip nat {
	set ports {
		type inet_proto . inet_service
		elements = { udp . 53,
			     tcp . 80 }
	}

	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		iifname "eth0" counter packets 7 bytes 420 jump KUBEVIRT_PREINBOUND
		counter packets 1 bytes 10 accept
		counter packets 2 bytes 20 accept
		ip daddr 10.0.0.1 drop
	}

	chain input {
		type nat hook input priority 100; policy accept;
	}

	chain KUBEVIRT_PREINBOUND {
		meta l4proto . th dport @ports counter packets 3 bytes 180 dnat to 10.0.2.2
	}
}
`;

test("a listing with named priorities, counters and the kernel's order of elements is the table", () => {
  assert.ok(isTable(nat, listing));
  assert.ok(isTable(nat, renderTable(nat)));
});

test("a listing that lacks a rule, an element or a chain, or has one more, is not", () => {
  const changed = [
    listing.replace("\t\tip daddr 10.0.0.1 drop\n", ""),
    listing.replace(" udp . 53,", ""),
    listing.replace("tcp . 80", "tcp . 81"),
    listing.replace("priority 100", "priority 101"),
    listing.replace("policy accept", "policy drop"),
    listing.replace("\t\tip daddr", "\t\tip saddr 10.0.0.9 accept\n\t\tip daddr"),
    listing.replace("table ip nat", "table ip6 nat"),
  ];
  for (const other of changed) assert.ok(!isTable(nat, other), other);
});

test("a set in a rule is the same in any order", () => {
  const rule = (set: string): NftTable => ({
    ...nat,
    sets: [],
    chains: [{ name: "c", rules: [`ip saddr ${set} accept`] }],
  });
  const listed = renderTable(rule("{ 10.0.0.9, 127.0.0.1 }"));
  assert.ok(isTable(rule("{ 127.0.0.1, 10.0.0.9 }"), listed));
  assert.ok(!isTable(rule("{ 127.0.0.1, 10.0.0.8 }"), listed));
});

test("rules keep their order in the comparison", () => {
  const [first, ...rest] = nat.chains;
  assert.ok(first);
  assert.ok(!isTable({ ...nat, chains: [{ ...first, rules: first.rules.toReversed() }, ...rest] }, listing));
});

test("named priorities are read with their offset, and by the bridge family's own numbers", () => {
  assert.equal(normaliseListing("priority dstnat + 5;"), "priority -95;");
  assert.equal(normaliseListing("priority srcnat - 1;"), "priority 99;");
  assert.match(normaliseListing("table bridge b {\n type filter hook forward priority filter; }"), /priority -200;/);
});

test("counters go on where they were, for rules that stay, equal ones one by one", () => {
  const counted = withCounters(
    { ...nat, chains: nat.chains.map((chain) => ({ ...chain, rules: [...chain.rules, "counter accept"] })) },
    listing,
  );
  assert.deepEqual(counted.chains[0]?.rules, [
    `iifname "eth0" counter packets 7 bytes 420 jump KUBEVIRT_PREINBOUND`,
    "counter packets 1 bytes 10 accept",
    "counter packets 2 bytes 20 accept",
    "ip daddr 10.0.0.1 drop",
    "counter accept",
  ]);
  assert.deepEqual(counted.chains[2]?.rules, [
    "meta l4proto . th dport @ports counter packets 3 bytes 180 dnat to 10.0.2.2",
    "counter accept",
  ]);
  assert.deepEqual(withCounters(nat, ""), nat);
});

test("replacing begins with the deletion of what may be there, of which an empty table is made first", () => {
  assert.match(replaceTable(nat), /^table ip nat\ndelete table ip nat\ntable ip nat \{\n/);
});

test("a netdev chain names its device and a set its flags", () => {
  const text = renderTable({
    family: "netdev",
    name: "join",
    sets: [{ name: "s", type: "ipv4_addr", flags: ["interval"], elements: [] }],
    chains: [{ name: "in", hook: { type: "filter", at: "ingress", priority: 0, device: "eth0" }, rules: ["drop"] }],
  });
  assert.match(text, /type filter hook ingress device "eth0" priority 0; policy accept;/);
  assert.match(text, /set s \{\n\t\ttype ipv4_addr\n\t\tflags interval\n\t\}/);
});
