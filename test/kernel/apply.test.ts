import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { after, test } from "node:test";
import { readActualHere } from "../../src/host/linux/actual.ts";
import { applyKernel } from "../../src/host/linux/apply.ts";
import { dumpNetns, type NetnsDump } from "../../src/host/linux/dump.ts";
import { withRouteSocket } from "../../src/host/linux/netlink-socket.ts";
import { createNetns, deleteNetns, listNetns, within } from "../../src/host/linux/netns.ts";
import { listRuleset, runNft, splitRuleset } from "../../src/host/linux/nftables.ts";
import { dumpAddresses, dumpRoutes, linkIndex } from "../../src/host/linux/rtnetlink.ts";
import { writeSysctl } from "../../src/host/linux/sysctl.ts";
import { closeFds } from "../../src/host/linux/tap.ts";
import { isFault } from "../../src/model/fault.ts";
import type { NftTable } from "../../src/model/wiring/nft.ts";
import { stepText } from "../../src/model/wiring/step-text.ts";
import { needsReading, type Step, stepsTo } from "../../src/model/wiring/steps.ts";
import type { KernelState, TapLink } from "../../src/model/wiring/wiring.ts";
import { needs } from "../needs.ts";

const PREFIX = `pblnx-apply-${process.pid}-`;
let count = 0;

after(() => {
  for (const name of listNetns(PREFIX)) deleteNetns(name);
});

/** A pod as CNI leaves it: eth0 with addresses and routes, a table and sysctls of somebody else. */
async function withPod(fn: (path: string) => void | Promise<void>): Promise<void> {
  count += 1;
  const name = `${PREFIX}${count}`;
  const path = createNetns(name);
  try {
    // Duplicate address detection would change the routes a second later, in the midst of a comparison.
    within(path, () => writeSysctl("net/ipv6/conf/default/accept_dad", "0"));
    const commands = [
      "link add eth0 mtu 1450 type veth peer name far0",
      "link set far0 up",
      "link set eth0 up",
      "address add 10.244.0.5/24 dev eth0",
      "address add fd10:244::5/64 dev eth0 nodad",
      "route add default via 10.244.0.1",
      "neigh add 10.244.0.1 lladdr 02:aa:00:00:00:01 dev eth0",
    ];
    execFileSync("ip", ["-n", name, "-batch", "-"], { input: commands.join("\n") });
    within(path, () => {
      runNft(
        "table inet foreign {\n chain c {\n type filter hook input priority 0;\n ip saddr 203.0.113.1 counter packets 9 bytes 99\n }\n}\n",
      );
      // A mixture that no undoing by the inverse of ip_forward alone would bring back.
      writeSysctl("net/ipv4/conf/eth0/forwarding", "1");
      writeSysctl("net/ipv4/conf/all/accept_redirects", "0");
      writeSysctl("net/ipv6/conf/far0/forwarding", "1");
    });
    await settled(path, "eth0", "far0");
    await fn(path);
  } finally {
    deleteNetns(name);
  }
}

/**
 * Link-local addresses appear a moment after a link is up, and so does the local route of each IPv6 address: waits until
 * they are there.
 */
async function settled(path: string, ...links: readonly string[]): Promise<void> {
  const deadline = Date.now() + 60_000;
  const ready = (): boolean =>
    within(path, () => {
      const { routes, addresses } = withRouteSocket((fd) => ({ routes: dumpRoutes(fd), addresses: dumpAddresses(fd) }));
      const local = routes.filter(({ type, family }) => type === 2 && family === 6);
      return links.map(linkIndex).every((index) => {
        const own = addresses.filter(({ link, cidr }) => link === index && cidr.includes(":"));
        const routed = ({ cidr }: { readonly cidr: string }): boolean =>
          local.some(({ link, destination }) => link === index && destination === cidr.replace(/\/.*/, "/128"));
        return own.some(({ cidr }) => cidr.startsWith("fe80:")) && own.every(routed);
      });
    });
  while (!ready()) {
    assert.ok(Date.now() < deadline, `${links.join(", ")}: addresses without a route`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const nat = (family: "ip" | "ip6", guest: string, gateway: string, loopback: string): NftTable => ({
  family,
  name: "nat",
  sets: [{ name: "ports", type: "inet_proto . inet_service", elements: ["tcp . 80", "udp . 53"] }],
  chains: [
    {
      name: "prerouting",
      hook: { type: "nat", at: "prerouting", priority: -100 },
      rules: [`iifname "eth0" counter jump KUBEVIRT_PREINBOUND`],
    },
    { name: "input", hook: { type: "nat", at: "input", priority: 100 }, rules: [] },
    {
      name: "output",
      hook: { type: "nat", at: "output", priority: -100 },
      rules: [`${family} daddr ${loopback} meta l4proto . th dport @ports counter dnat to ${guest}`],
    },
    {
      name: "postrouting",
      hook: { type: "nat", at: "postrouting", priority: 100 },
      rules: [`${family} saddr ${guest} counter masquerade`, `oifname "tap0" counter jump KUBEVIRT_POSTINBOUND`],
    },
    { name: "KUBEVIRT_PREINBOUND", rules: [`meta l4proto . th dport @ports counter dnat to ${guest}`] },
    { name: "KUBEVIRT_POSTINBOUND", rules: [`${family} saddr ${loopback} counter snat to ${gateway}`] },
  ],
});

/** One masquerade NIC: every kind of object that a wiring has. */
const wanted: KernelState = {
  links: [{ kind: "tap", name: "tap0", mac: "02:00:00:00:00:00", mtu: 1450, queues: 1 }],
  addresses: [
    { link: "tap0", cidr: "10.0.2.1/24" },
    { link: "tap0", cidr: "fd10:0:2::1/120" },
    { link: "tap0", cidr: "fe80::1/64" },
  ],
  localRoutes: [{ link: "tap0", destination: "::1/128" }],
  sysctls: [
    { key: "net/ipv4/ip_forward", value: "1" },
    { key: "net/ipv4/conf/tap0/route_localnet", value: "1" },
    { key: "net/ipv4/conf/eth0/proxy_arp", value: "1" },
    { key: "net/ipv6/conf/all/forwarding", value: "1" },
  ],
  tables: [nat("ip", "10.0.2.2", "10.0.2.1", "127.0.0.1"), nat("ip6", "fd10:0:2::2", "fd10:0:2::1", "::1")],
};

/** What of one dump the other has not, as lines; empty on both sides when they are equal. */
function difference(before: NetnsDump, now: NetnsDump): { readonly gone: string[]; readonly come: string[] } {
  const lines = (dump: NetnsDump): string[] => [
    ...[...dump.links, ...dump.addresses, ...dump.neighbours].map((one) => JSON.stringify(one)),
    ...dump.routes,
    ...Object.values(dump.tables),
    ...Object.entries(dump.sysctls).map(([key, value]) => `${key} = ${value}`),
  ];
  const [old, fresh] = [lines(before), lines(now)];
  return {
    gone: old.filter((line) => !fresh.includes(line)),
    come: fresh.filter((line) => !old.includes(line)),
  };
}

const same = { gone: [], come: [] };

/** Every table with its counters, in the order of their names. */
function counted(path: string): string[] {
  return within(path, () => splitRuleset(listRuleset()).map(({ listing }) => listing)).sort();
}

test("everything that was asked for is in the kernel, and nothing else has changed", async (t) => {
  if (!needs(t, "root", "netns", "veth", "tun", "nft")) return;
  await withPod(async (path) => {
    const before = dumpNetns(path);
    const { steps, taps } = applyKernel(path, wanted);
    const now = dumpNetns(path);
    assert.deepEqual([...taps.keys()], ["tap0"]);
    assert.equal(taps.get("tap0")?.length, 1);
    assert.deepEqual(
      now.links.find(({ name }) => name === "tap0"),
      {
        name: "tap0",
        kind: "tun",
        mac: "02:00:00:00:00:00",
        mtu: 1450,
        up: true,
        queues: 1,
      },
    );
    for (const { link, cidr } of wanted.addresses) {
      assert.ok(
        now.addresses.some((address) => address.link === link && address.cidr === cidr),
        cidr,
      );
    }
    assert.ok(now.routes.some((route) => route.startsWith("main unicast 10.0.2.0/24 dev tap0 src 10.0.2.1")));
    for (const { key, value } of wanted.sysctls) assert.equal(now.sysctls[key], value, key);
    assert.deepEqual(Object.keys(now.tables).sort(), ["inet foreign", "ip nat", "ip6 nat"]);
    assert.ok(now.tables["ip6 nat"]?.includes("dnat to fd10:0:2::2"));
    const others = (dump: NetnsDump): unknown => [
      dump.links.filter(({ name }) => name !== "tap0"),
      dump.addresses.filter(({ link }) => link !== "tap0"),
      // A router has the subnet's anycast address (RFC 4291 section 2.6.1).
      dump.routes.filter((route) => !route.includes("tap0") && !route.startsWith("local anycast")),
      dump.neighbours,
    ];
    assert.deepEqual(others(now), others(before));
    assert.ok(steps.length > 10);
    assert.notDeepEqual(difference(before, now), same);
    await closeFds([...taps.values()].flat());
  });
});

test("applied twice, nothing is done the second time, and counters go on", async (t) => {
  if (!needs(t, "root", "netns", "veth", "tun", "nft")) return;
  await withPod(async (path) => {
    const { taps } = applyKernel(path, wanted);
    within(path, () => runNft("reset counters\n"));
    await settled(path, "tap0");
    const before = dumpNetns(path);
    const counters = counted(path);
    const again = applyKernel(path, wanted, { taps });
    assert.deepEqual(again.steps, []);
    assert.deepEqual(again.taps, taps);
    assert.deepEqual(difference(before, dumpNetns(path)), same);
    assert.deepEqual(counted(path), counters);
    await closeFds([...taps.values()].flat());
  });
});

/** Each step of the wanted state in turn, poisoned so that the kernel refuses it, with a word of its sentence. */
const poisons: readonly (readonly [name: string, poisoned: KernelState, sentence: RegExp])[] = [
  ["the tap: a name with a slash", link({ name: "tap/0" }), /cannot be the name of a link/],
  ["the tap: more queues than a tap has", link({ queues: 5000 }), /no number of queues/],
  ["the second tap: the name of another one", taps("tap0", "tap0"), /another link has this name/],
  ["the link: a multicast MAC", link({ mac: "01:00:5e:00:00:01" }), /Cannot assign requested address/],
  ["the link: an impossible MTU", link({ mtu: 1_000_000 }), /mtu greater than device maximum/],
  ["the link: no MAC at all", link({ mac: "zz" }), /It makes no sense/],
  ["the first address: on a link that is not there", address(0, { link: "tap9" }), /There is no link "tap9"/],
  ["the second address: twice the same", address(1, { cidr: "10.0.2.1/24" }), /already assigned/],
  ["the third address: none at all", address(2, { cidr: "fe80::1" }), /It makes no sense/],
  ["the local route: on a link that is not there", route({ link: "tap9" }), /There is no link "tap9"/],
  ["the local route: none at all", route({ destination: "::1" }), /It makes no sense/],
  ["the first sysctl: not there", sysctl(0, { key: "net/ipv4/no_such_thing" }), /No such file/],
  [
    "the second sysctl: of a link that is not there",
    sysctl(1, { key: "net/ipv4/conf/tap9/forwarding" }),
    /No such file/,
  ],
  ["the third sysctl: a value that is refused", sysctl(2, { value: "a lot" }), /Invalid argument/],
  ["the fourth sysctl: read only", sysctl(3, { key: "net/ipv4/conf/all/mc_forwarding", value: "1" }), /failed/],
  ["the first table: a rule that is no rule", table(0, "frobnicate the packet"), /syntax error/],
  ["the first table: a chain that is not there", table(0, "counter jump NOWHERE"), /No such file|chain/],
  [
    "the second table: an address of the other family",
    table(1, "ip6 daddr 10.0.0.1 drop"),
    /Could not resolve|Address family/,
  ],
  ["the second table: a device in a jump loop", table(1, "counter jump prerouting"), /./],
];

function link(change: Partial<TapLink>): KernelState {
  return { ...wanted, links: wanted.links.flatMap((one) => (one.kind === "tap" ? [{ ...one, ...change }] : [])) };
}

function taps(...names: readonly string[]): KernelState {
  return { ...wanted, links: names.flatMap((name) => wanted.links.map((one) => ({ ...one, name }))) };
}

function at<T>(list: readonly T[], index: number, change: Partial<T>): T[] {
  return list.map((one, position) => (position === index ? { ...one, ...change } : one));
}

function address(index: number, change: Partial<KernelState["addresses"][number]>): KernelState {
  return { ...wanted, addresses: at(wanted.addresses, index, change) };
}

function route(change: Partial<KernelState["localRoutes"][number]>): KernelState {
  return { ...wanted, localRoutes: at(wanted.localRoutes, 0, change) };
}

function sysctl(index: number, change: Partial<KernelState["sysctls"][number]>): KernelState {
  return { ...wanted, sysctls: at(wanted.sysctls, index, change) };
}

function table(index: number, rule: string): KernelState {
  const chains = wanted.tables[index]?.chains ?? [];
  return { ...wanted, tables: at(wanted.tables, index, { chains: at(chains, 0, { rules: [rule] }) }) };
}

for (const [name, poisoned, sentence] of poisons) {
  test(`a step that fails leaves everything as it was: ${name}`, async (t) => {
    if (!needs(t, "root", "netns", "veth", "tun", "nft")) return;
    await withPod((path) => {
      const before = dumpNetns(path);
      const open = readdirSync("/proc/self/fd").length;
      assert.throws(
        () => applyKernel(path, poisoned),
        (fault) => {
          assert.ok(isFault(fault, "PB4000"), String(fault));
          assert.match(fault.message, sentence);
          assert.match(fault.message, /Everything done before it was undone\.$/);
          const step = fault.data["step"] as Step;
          assert.equal(fault.place, stepText(step));
          assert.deepEqual(fault.data["left"], []);
          return true;
        },
      );
      assert.deepEqual(difference(before, dumpNetns(path)), same);
      assert.equal(readdirSync("/proc/self/fd").length, open);
    });
  });
}

test("the step that failed is the one named, also in a transaction of several tables", async (t) => {
  if (!needs(t, "root", "netns", "veth", "tun", "nft")) return;
  await withPod((path) => {
    const named = (poisoned: KernelState): string | undefined => {
      try {
        applyKernel(path, poisoned);
      } catch (fault) {
        return isFault(fault) ? fault.place : String(fault);
      }
      return undefined;
    };
    assert.equal(named(table(0, "frobnicate")), "table ip nat");
    assert.equal(named(table(1, "frobnicate")), "table ip6 nat");
    assert.equal(named(address(1, { cidr: "10.0.2.1/24" })), "address 10.0.2.1/24 on link tap0");
    assert.equal(named(sysctl(2, { value: "a lot" })), "sysctl net/ipv4/conf/eth0/proxy_arp = a lot");
  });
});

test("what the kernel takes and reads back otherwise is refused, and everything is undone", async (t) => {
  if (!needs(t, "root", "netns", "veth", "tun", "nft")) return;
  await withPod((path) => {
    const before = dumpNetns(path);
    for (const [poisoned, text] of [
      [sysctl(2, { value: "01" }), /sysctl net\/ipv4\/conf\/eth0\/proxy_arp = 01/],
      [table(1, "ip6 daddr fd00::1/128 counter accept"), /table ip6 nat/],
    ] as const) {
      assert.throws(
        () => applyKernel(path, poisoned),
        (fault) => isFault(fault, "PB4004") && text.test(fault.message) && /Everything was undone/.test(fault.message),
      );
      assert.deepEqual(difference(before, dumpNetns(path)), same);
    }
  });
});

test("a name that another link has is refused before anything is done", async (t) => {
  if (!needs(t, "root", "netns", "veth", "tun", "nft")) return;
  await withPod((path) => {
    const before = dumpNetns(path);
    assert.throws(
      () => applyKernel(path, link({ name: "eth0" })),
      (fault) => isFault(fault, "PB4018") && /kind "veth"/.test(fault.message),
    );
    assert.deepEqual(difference(before, dumpNetns(path)), same);
  });
});

test("a change of a wired pod that fails leaves the wiring, its former rules and their counters as they were", async (t) => {
  if (!needs(t, "root", "netns", "veth", "tun", "nft")) return;
  await withPod(async (path) => {
    const { taps } = applyKernel(path, wanted);
    within(path, () => runNft("add rule ip nat input counter packets 5 bytes 55 accept\n"));
    await settled(path, "tap0");
    const before = dumpNetns(path);
    const counters = counted(path);
    const changed: KernelState = {
      ...wanted,
      links: wanted.links.map((one) => ({ ...one, mac: "02:00:00:00:00:09", mtu: 1400 })),
      addresses: [...wanted.addresses, { link: "tap0", cidr: "10.0.3.1/24" }],
      sysctls: [{ key: "net/ipv4/conf/eth0/proxy_arp", value: "0" }, ...sysctl(1, { value: "01" }).sysctls.slice(1, 2)],
    };
    assert.throws(
      () => applyKernel(path, changed),
      (fault) => isFault(fault, "PB4004"),
    );
    assert.deepEqual(difference(before, dumpNetns(path)), same);
    assert.deepEqual(counted(path), counters);
    await closeFds([...taps.values()].flat());
  });
});

test("a link of which only a part could be set gets that part back", async (t) => {
  if (!needs(t, "root", "netns", "veth", "tun", "nft")) return;
  await withPod(async (path) => {
    const { taps } = applyKernel(path, wanted);
    await settled(path, "tap0");
    const before = dumpNetns(path);
    assert.throws(
      () => applyKernel(path, link({ mac: "02:00:00:00:00:09", mtu: 1_000_000 })),
      (fault) => isFault(fault, "PB4000") && /mtu greater than device maximum/.test(fault.message),
    );
    assert.deepEqual(difference(before, dumpNetns(path)), same);
    await closeFds([...taps.values()].flat());
  });
});

test("what somebody removes or changes by hand is found and repaired, and nothing else is touched", async (t) => {
  if (!needs(t, "root", "netns", "veth", "tun", "nft")) return;
  await withPod(async (path) => {
    const { taps } = applyKernel(path, wanted);
    const before = dumpNetns(path);
    const damages: readonly (readonly [damage: string, steps: readonly string[]])[] = [
      ["nft flush chain ip nat postrouting", ["table ip nat"]],
      ["nft delete table ip6 nat", ["table ip6 nat"]],
      ["nft add rule ip nat prerouting counter accept", ["table ip nat"]],
      ["nft delete element ip nat ports { tcp . 80 }", ["table ip nat"]],
      ["ip address delete 10.0.2.1/24 dev tap0", ["address 10.0.2.1/24 on link tap0"]],
      ["ip link set tap0 address 02:00:00:00:00:77", ["MAC 02:00:00:00:00:00 for link tap0"]],
      ["ip link set tap0 mtu 1300", ["MTU 1450 for link tap0"]],
      ["sysctl -qw net.ipv4.ip_forward=0", ["sysctl net/ipv4/ip_forward = 1"]],
      ["ip -6 route delete local ::1/128 dev tap0 table local", ["local route ::1/128 on link tap0"]],
      [
        "ip link set tap0 down",
        [
          "up for link tap0",
          "address fd10:0:2::1/120 on link tap0",
          "address fe80::1/64 on link tap0",
          "local route ::1/128 on link tap0",
        ],
      ],
    ];
    for (const [damage, steps] of damages) {
      execFileSync("nsenter", [`--net=${path}`, ...damage.split(" ")]);
      const repaired = applyKernel(path, wanted);
      assert.deepEqual(repaired.steps.map(stepText), steps, damage);
      assert.equal(repaired.taps.size, 0);
      const now = dumpNetns(path);
      const without = (dump: NetnsDump): NetnsDump => ({ ...dump, routes: [], addresses: [] });
      assert.deepEqual(difference(without(before), without(now)), same, damage);
      for (const { link, cidr } of wanted.addresses) {
        assert.ok(
          now.addresses.some((one) => one.link === link && one.cidr === cidr),
          `${damage}: ${cidr}`,
        );
      }
    }
    await closeFds([...taps.values()].flat());
  });
});

test("a repaired table goes on counting where it was, other tables as well", async (t) => {
  if (!needs(t, "root", "netns", "veth", "tun", "nft")) return;
  await withPod(async (path) => {
    const { taps } = applyKernel(path, wanted);
    within(path, () =>
      runNft(
        "flush chain ip nat KUBEVIRT_PREINBOUND\nadd rule ip nat KUBEVIRT_PREINBOUND meta l4proto . th dport @ports counter packets 41 bytes 4100 dnat to 10.0.2.2\nflush chain ip nat input\nadd rule ip nat input accept\n",
      ),
    );
    assert.deepEqual(applyKernel(path, wanted).steps.map(stepText), ["table ip nat"]);
    const ruleset = within(path, () => listRuleset());
    assert.match(ruleset, /@ports counter packets 41 bytes 4100 dnat to 10\.0\.2\.2/);
    assert.match(ruleset, /table inet foreign \{[\s\S]*counter packets 9 bytes 99/);
    await closeFds([...taps.values()].flat());
  });
});

test("two NICs: all taps, then one batch of links and addresses, and queues as asked", async (t) => {
  if (!needs(t, "root", "netns", "veth", "tun", "nft")) return;
  await withPod(async (path) => {
    const both: KernelState = {
      ...wanted,
      links: [...wanted.links, { kind: "tap", name: "tapb", mac: "02:00:00:00:00:0b", mtu: 1500, queues: 4 }],
      addresses: [...wanted.addresses, { link: "tapb", cidr: "10.0.9.1/24" }],
    };
    const { taps } = applyKernel(path, both);
    assert.deepEqual([taps.get("tap0")?.length, taps.get("tapb")?.length], [1, 4]);
    assert.deepEqual(
      stepsTo(
        both,
        within(path, () => readActualHere(needsReading(both))),
      ),
      [],
    );
    await closeFds([...taps.values()].flat());
    assert.ok(!dumpNetns(path).links.some(({ name }) => name.startsWith("tap")));
  });
});

test("a namespace that is gone is said to be gone", () => {
  assert.throws(
    () => applyKernel("/run/netns/pblnx-none", wanted),
    (fault) => isFault(fault, "PB4012"),
  );
});
