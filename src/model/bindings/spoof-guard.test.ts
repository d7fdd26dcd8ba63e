import assert from "node:assert/strict";
import { test } from "node:test";
import { givenConfiguration, spoofGuardProblem } from "../rules/configuration.ts";
import { settingsOf } from "../rules/settings.ts";
import type { NftTable } from "../wiring/nft.ts";
import { nicContexts, wire } from "../wiring/nics.ts";
import { factsFor } from "../wiring/typical-facts.ts";

function guardsOf(annotations: Readonly<Record<string, string>>): readonly NftTable[] {
  const nics = nicContexts({
    spec: {
      domain: {
        devices: {
          interfaces: [
            { name: "default", masquerade: {}, macAddress: "02:00:00:00:00:07" },
            { name: "red", bridge: {} },
            { name: "card", sriov: {} },
          ],
        },
      },
      networks: [
        { name: "default", pod: {} },
        { name: "red", multus: { networkName: "red" } },
        { name: "card", multus: { networkName: "card" } },
      ],
    },
    hostName: "h",
    annotations,
  });
  return wire(
    nics,
    factsFor(nics, () => undefined),
  ).kernel.tables.filter(({ name }) => name.startsWith("spoof-guard"));
}

test("each tap is guarded where the VMI asks for it, a card's own function is not", () => {
  const guards = guardsOf({ "patchbay.io/spoof-guard": "True" });
  assert.deepEqual(
    guards.map(({ family, name, chains: [chain] }) => [family, name, chain?.hook?.device, chain?.hook?.priority]),
    [
      ["netdev", "spoof-guard-tap0", "tap0", -500],
      ["netdev", "spoof-guard-tapb1f51a511f1", "tapb1f51a511f1", -500],
    ],
  );
  for (const asks of [{}, { "patchbay.io/spoof-guard": "false" }]) assert.deepEqual(guardsOf(asks), []);
});

test("the object that gives the settings gives the guard, with the rest of them or alone", () => {
  const metadata = { name: "kubevirt", annotations: { "patchbay.io/spoof-guard": "true" } };
  const settingsFor = (object: object) => settingsOf(givenConfiguration({ metadata, ...object })?.configuration);
  assert.equal(settingsFor({ kind: "KubeVirt" }).spoofGuard, true);
  const bound = settingsFor({ kind: "KubeVirt", spec: { configuration: { network: { permitSlirpInterface: true } } } });
  assert.deepEqual([bound.spoofGuard, bound.permitSlirp, bound.invalid], [true, true, undefined]);
  const map = { kind: "ConfigMap", metadata: { ...metadata, name: "kubevirt-config" }, data: {} };
  assert.equal(settingsFor(map).spoofGuard, true);
  assert.equal(settingsFor({ kind: "KubeVirt", metadata: {} }).spoofGuard, false);
  const misspelt = givenConfiguration({
    kind: "KubeVirt",
    metadata: { annotations: { "patchbay.io/spoof-guard": "on" } },
  });
  assert.ok(misspelt !== undefined);
  assert.equal(spoofGuardProblem(misspelt)?.code, "PB1005");
});

test("the guest's MAC and its leased address are all that it may speak for", () => {
  const [masqueraded, bridged] = guardsOf({ "patchbay.io/spoof-guard": "true" });
  assert.deepEqual(masqueraded?.chains[0]?.rules, [
    "ether saddr != 02:00:00:00:00:07 counter drop",
    "meta protocol { 8021q, 8021ad } counter drop",
    "meta protocol 0x0004 @nh,0,24 0xaaaa03 counter drop",
    "exthdr frag exists icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect } counter drop",
    "arp htype != 1 counter drop",
    "arp saddr ether != 02:00:00:00:00:07 counter drop",
    "arp saddr ip != { 0.0.0.0, 10.0.2.2 } counter drop",
    "udp sport { 67, 547 } counter drop",
    "udp dport { 68, 546 } counter drop",
    "icmp type { redirect, router-advertisement } counter drop",
    "icmpv6 type { nd-router-advert, nd-redirect } counter drop",
    "icmpv6 type nd-neighbor-advert @th,192,64 != 0x201020000000007 counter drop",
    "icmpv6 type nd-neighbor-solicit @th,192,16 != 0xe01 @th,192,64 != 0x101020000000007 counter drop",
    "icmpv6 type nd-router-solicit @th,64,64 != 0x101020000000007 counter drop",
    "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } @th,256,16 != 0x0 counter drop",
    "icmpv6 type nd-router-solicit @th,128,16 != 0x0 counter drop",
    "frag frag-off 0 @th,0,8 >= 0x0 accept",
    "frag frag-off 0 counter drop",
  ]);
  assert.ok(!bridged?.chains[0]?.rules.some((rule) => rule.startsWith("arp saddr ip")));
});
