import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hashedInterface } from "../networks/pod-interface.ts";
import { inverse } from "./inverse.ts";
import { renderTable } from "./nft.ts";
import { nicContexts, wire } from "./nics.ts";
import { stepText } from "./step-text.ts";
import { type Actual, type ActualLink, needsReading, type Step, stepsTo, tableKey, takenNames } from "./steps.ts";
import { typicalFacts } from "./typical-facts.ts";
import type { KernelState } from "./wiring.ts";

const nothing: Actual = { links: [], sysctls: {}, tables: {} };
const table = { family: "ip", name: "nat", sets: [], chains: [{ name: "c", rules: ["counter accept"] }] } as const;
const wanted: KernelState = {
  links: [
    { kind: "tap", name: "tap0", mac: "02:00:00:00:00:00", mtu: 1450, queues: 1 },
    { kind: "tap", name: "tap1", mac: "02:00:00:00:00:01", mtu: 1500, queues: 2 },
  ],
  addresses: [{ link: "tap0", cidr: "10.0.2.1/24" }],
  localRoutes: [{ link: "tap0", destination: "::1/128" }],
  sysctls: [{ key: "net/ipv4/ip_forward", value: "1" }],
  tables: [table],
};

/**
 * A kernel in pure data that does what a step says, or throws where a kernel refuses: the meaning of steps, against which
 * they are checked. A link's sysctls are its own: they come, move and go with it.
 */
function executed(step: Step, kernel: Actual): Actual {
  const link = (name: string, change: (link: ActualLink) => ActualLink): Actual => {
    assert.ok(
      kernel.links.some((one) => one.name === name),
      `there is no link ${name}: ${stepText(step)}`,
    );
    return { ...kernel, links: kernel.links.map((one) => (one.name === name ? change(one) : one)) };
  };
  const added = (name: string, kind: string, mac: string, mtu: number): Actual => {
    assert.ok(!kernel.links.some((one) => one.name === name), `there is a link ${name} already`);
    return {
      ...kernel,
      links: [...kernel.links, { name, kind, mac, mtu, up: false, addresses: [], localRoutes: [] }],
      sysctls: {
        ...kernel.sysctls,
        [`net/ipv4/conf/${name}/accept_local`]: "0",
        [`net/ipv4/conf/${name}/rp_filter`]: "0",
        ...("net/ipv6/conf/all/disable_ipv6" in kernel.sysctls ? { [switchOf(name)]: "0" } : {}),
      },
    };
  };
  const withTable = (key: string, listing: string | undefined): Actual => ({
    ...kernel,
    tables: Object.fromEntries(
      Object.entries({ ...kernel.tables, [key]: listing }).flatMap(([k, v]) => (v === undefined ? [] : [[k, v]])),
    ),
  });
  switch (step.do) {
    case "tap.open":
      return added(step.tap.name, "tun", "6a:00:00:00:00:01", 1500);
    case "link.add":
      return added(step.link.name, step.link.kind === "bridge" ? "bridge" : "dummy", step.link.mac, step.link.mtu);
    case "link.rename": {
      const renamed = link(step.name, (one) => {
        // EBUSY before Linux 6.2.
        assert.equal(one.up, false, `${step.name} is up: ${stepText(step)}`);
        return { ...one, name: step.to };
      });
      return { ...renamed, sysctls: sysctlsMoved(kernel.sysctls, step.name, step.to) };
    }
    case "port.learning":
      return link(step.name, (one) => ({ ...one, learning: step.on }));
    case "link.delete":
      return {
        ...kernel,
        links: kernel.links.filter(({ name }) => name !== step.name),
        sysctls: sysctlsMoved(kernel.sysctls, step.name, undefined),
      };
    case "link.set": {
      const { do: _, name, master, ...change } = step;
      return link(name, (one) => {
        const { master: before, learning, ...rest } = { ...one, ...change };
        const set = change.up === false ? withoutIpv6(rest) : rest;
        if (master === null) return set;
        // A new port is learned from.
        if (master !== undefined) return { ...set, master, learning: true };
        return {
          ...set,
          ...(before === undefined ? {} : { master: before }),
          ...(learning === undefined ? {} : { learning }),
        };
      });
    }
    case "address.add":
      return link(step.link, (one) => {
        assert.ok(!one.addresses.includes(step.cidr), `${step.cidr} is there already`);
        const isOff = step.cidr.includes(":") && kernel.sysctls[switchOf(step.link)] === "1";
        assert.ok(!isOff, `IPv6 is off on ${step.link}`);
        return { ...one, addresses: [...one.addresses, step.cidr] };
      });
    // Gone by itself is as good.
    case "address.delete":
      return link(step.link, (one) => ({ ...one, addresses: one.addresses.filter((cidr) => cidr !== step.cidr) }));
    case "route.add":
      return link(step.link, (one) => ({ ...one, localRoutes: [...one.localRoutes, step.destination] }));
    case "route.delete":
      return link(step.link, (one) => ({
        ...one,
        localRoutes: one.localRoutes.filter((destination) => destination !== step.destination),
      }));
    case "sysctl.write": {
      assert.ok(step.key in kernel.sysctls, `there is no ${step.key}`);
      const links = kernel.links.map((one) =>
        step.key === switchOf(one.name) && step.value === "1" ? withoutIpv6(one) : one,
      );
      return { ...kernel, links, sysctls: { ...kernel.sysctls, [step.key]: step.value } };
    }
    case "table.create":
      assert.ok(!(tableKey(step.table) in kernel.tables), `there is a table ${tableKey(step.table)} already`);
      return withTable(tableKey(step.table), renderTable(step.table));
    case "table.replace":
      return withTable(tableKey(step.table), renderTable(step.table));
    case "table.restore":
      return withTable(tableKey(step), step.listing);
    case "table.delete":
      return withTable(tableKey(step), undefined);
  }
}

function switchOf(link: string): string {
  return `net/ipv6/conf/${link}/disable_ipv6`;
}

function withoutIpv6(link: ActualLink): ActualLink {
  return { ...link, addresses: link.addresses.filter((cidr) => !cidr.includes(":")) };
}

/** The sysctls of a link by its new name; of none where it has none any more. */
function sysctlsMoved(sysctls: Actual["sysctls"], from: string, to: string | undefined): Actual["sysctls"] {
  return Object.fromEntries(
    Object.entries(sysctls).flatMap(([key, value]): [string, string][] => {
      const parts = key.split("/");
      if (parts[2] !== "conf" || parts[3] !== from) return [[key, value]];
      return to === undefined ? [] : [[parts.with(3, to).join("/"), value]];
    }),
  );
}

function run(steps: readonly Step[], kernel: Actual): Actual {
  return steps.reduce((state, step) => executed(step, state), kernel);
}

/** Takes steps back, the last first, and gives the links that were there the addresses again that the kernel took. */
function undone(done: readonly Step[], before: Actual, after: Actual): Actual {
  const back = run(
    done.toReversed().flatMap((step) => inverse(step, before)),
    after,
  );
  const lost = before.links.flatMap(({ name, addresses }) => {
    const there = back.links.find((link) => link.name === name)?.addresses ?? [];
    return addresses
      .filter((cidr) => !there.includes(cidr))
      .map((cidr): Step => ({ do: "address.add", link: name, cidr }));
  });
  return run(lost, back);
}

/** A kernel without the orders that mean nothing. */
function plain(kernel: Actual): unknown {
  return {
    ...kernel,
    links: new Map(kernel.links.map((one) => [one.name, { ...one, addresses: one.addresses.toSorted() }])),
  };
}

const names = ["tap0", "tap1", "eth0"];
const cidrs = ["10.0.2.1/24", "fd10:0:2::1/120"];
const kernels: fc.Arbitrary<Actual> = fc.record({
  links: fc.uniqueArray(
    fc.record({
      name: fc.constantFrom(...names),
      kind: fc.constant("tun"),
      mac: fc.constantFrom("02:00:00:00:00:00", "02:00:00:00:00:07"),
      mtu: fc.constantFrom(1450, 1500),
      up: fc.boolean(),
      addresses: fc.subarray(cidrs),
      localRoutes: fc.subarray(["::1/128"]),
    }),
    { selector: ({ name }) => name },
  ),
  sysctls: fc.constantFrom({ "net/ipv4/ip_forward": "0" }, { "net/ipv4/ip_forward": "1" }),
  tables: fc.constantFrom({}, { "ip nat": "table ip nat {\n}" }, { "ip nat": renderTable(table) }),
});

test("from nothing: taps first, then sysctls, tables, links, addresses and routes", () => {
  assert.deepEqual(
    stepsTo(wanted, nothing).map((step) => step.do),
    ["tap.open", "tap.open", "sysctl.write", "table.create", "link.set", "link.set", "address.add", "route.add"],
  );
});

test("from any kernel the steps lead to one that needs no more", () => {
  fc.assert(
    fc.property(kernels, (kernel) => {
      const after = run(stepsTo(wanted, kernel), kernel);
      assert.deepEqual(stepsTo(wanted, after), []);
    }),
  );
});

test("the inverses in reverse lead back from wherever it stopped", () => {
  fc.assert(
    fc.property(kernels, fc.nat(10), (kernel, stop) => {
      const steps = stepsTo(wanted, kernel).slice(0, stop);
      assert.deepEqual(plain(undone(steps, kernel, run(steps, kernel))), plain(kernel));
    }),
  );
});

const bridged: KernelState = {
  links: [
    { kind: "pod", name: "eth0-nic", from: "eth0", mac: "02:00:00:00:00:0b", mtu: 1450, master: "k6t-eth0" },
    { kind: "bridge", name: "k6t-eth0", mac: "02:00:00:00:00:0b", mtu: 1450 },
    { kind: "tap", name: "tap0", mac: "02:00:00:00:00:0a", mtu: 1450, queues: 1, master: "k6t-eth0" },
    { kind: "dummy", name: "eth0", mac: "02:00:00:00:00:01", mtu: 1450 },
  ],
  addresses: [
    { link: "k6t-eth0", cidr: "169.254.75.10/32" },
    { link: "eth0", cidr: "10.244.0.5/24" },
  ],
  localRoutes: [],
  sysctls: [
    { key: "net/ipv4/conf/all/arp_ignore", value: "1" },
    { key: "net/ipv6/conf/eth0-nic/disable_ipv6", value: "1" },
  ],
  tables: [],
};

const pod: Actual = {
  links: [
    {
      name: "eth0",
      kind: "veth",
      mac: "02:00:00:00:00:01",
      mtu: 1450,
      up: true,
      addresses: ["10.244.0.5/24", "fd10:244::5/64", "fe80::1/64"],
      localRoutes: [],
    },
  ],
  sysctls: {
    "net/ipv4/conf/all/arp_ignore": "0",
    "net/ipv6/conf/all/disable_ipv6": "0",
    "net/ipv6/conf/eth0/disable_ipv6": "0",
  },
  tables: {},
};

test("a pod's link is moved out of the way before its stand-in gets its name", () => {
  assert.deepEqual(stepsTo(bridged, pod).map(stepText), [
    "MAC 02:00:00:00:00:0b, down for link eth0",
    "removal of address 10.244.0.5/24 from link eth0",
    "removal of address fd10:244::5/64 from link eth0",
    "sysctl net/ipv6/conf/eth0/disable_ipv6 = 1",
    "the name eth0-nic for link eth0",
    "bridge k6t-eth0",
    "tap tap0 with 1 queue",
    "dummy eth0",
    "sysctl net/ipv4/conf/all/arp_ignore = 1",
    "sysctl net/ipv6/conf/eth0-nic/disable_ipv6 = 1",
    "bridge k6t-eth0, up for link eth0-nic",
    "up for link k6t-eth0",
    "MAC 02:00:00:00:00:0a, MTU 1450, bridge k6t-eth0, up for link tap0",
    "learning off for port eth0-nic",
    "address 169.254.75.10/32 on link k6t-eth0",
    "address 10.244.0.5/24 on link eth0",
  ]);
});

test("wherever the move of a pod's link stopped, it is gone on with to the same end", () => {
  const steps = stepsTo(bridged, pod);
  for (let stop = 0; stop <= steps.length; stop += 1) {
    const half = run(steps.slice(0, stop), pod);
    const whole = run(stepsTo(bridged, half), half);
    assert.deepEqual(stepsTo(bridged, whole), [], `stopped after ${stop}`);
    assert.deepEqual(
      whole.links.find(({ name }) => name === "eth0-nic"),
      {
        name: "eth0-nic",
        kind: "veth",
        mac: "02:00:00:00:00:0b",
        mtu: 1450,
        up: true,
        master: "k6t-eth0",
        learning: false,
        addresses: [],
        localRoutes: [],
      },
    );
  }
});

test("wherever the move of a pod's link stopped, the inverses give the pod its link back, IPv6 and all", () => {
  const steps = stepsTo(bridged, pod);
  for (let stop = 0; stop <= steps.length; stop += 1) {
    const done = steps.slice(0, stop);
    assert.deepEqual(plain(undone(done, pod, run(done, pod))), plain(pod), `stopped after ${stop}`);
  }
});

for (const kind of ["macvlan", "ipvlan"]) {
  test(`links that are joined by rules come down before they get their names back, each of them: ${kind}`, () => {
    const [eth0, net1] = ["eth0", "net1"].map((name, index) => ({
      name,
      kind,
      mac: `02:00:00:00:00:0${index}`,
      mtu: 1500,
      up: true,
      addresses: [
        { cidr: `10.9.${index}.2/24`, scope: "global" } as const,
        { cidr: `fd10:${index + 1}::2/64`, scope: "global" } as const,
        { cidr: "fe80::1/64", scope: "link" } as const,
      ],
    }));
    assert.ok(eth0 !== undefined && net1 !== undefined);
    const facts = {
      ...typicalFacts,
      links: [eth0, { ...net1, name: hashedInterface("lan") }],
      routes: ["eth0", hashedInterface("lan")].map(
        (device, index) => ({ family: 4, destination: `10.9.${index}.0/24`, device }) as const,
      ),
    };
    const spec = {
      domain: { devices: { interfaces: ["pod", "lan"].map((name) => ({ name, bridge: {} })) } },
      networks: [
        { name: "pod", pod: {} },
        { name: "lan", multus: { networkName: "lan" } },
      ],
    };
    const { kernel } = wire(nicContexts({ spec, hostName: "guest" }), facts);
    assert.deepEqual(
      kernel.tables.map(({ family }) => family),
      ["netdev", "netdev"],
    );
    const before: Actual = {
      links: facts.links.map((link) => ({
        ...link,
        addresses: link.addresses.map(({ cidr }) => cidr),
        localRoutes: [],
      })),
      sysctls: {
        ...pod.sysctls,
        ...Object.fromEntries(
          facts.links.flatMap(({ name }) => [
            [switchOf(name), "0"],
            [`net/ipv6/conf/${name}/addr_gen_mode`, "0"],
          ]),
        ),
      },
      tables: {},
    };
    const steps = stepsTo(kernel, before);
    for (let stop = 0; stop <= steps.length; stop += 1) {
      const done = steps.slice(0, stop);
      const half = run(done, before);
      assert.deepEqual(plain(undone(done, before, half)), plain(before), `stopped after ${stop}`);
      const whole = run(stepsTo(kernel, half), half);
      assert.deepEqual(stepsTo(kernel, whole), [], `gone on after ${stop}`);
      const moved = whole.links.find(({ name }) => name === "eth0-nic");
      assert.deepEqual(moved?.addresses.toSorted(), kind === "ipvlan" ? ["10.9.0.2/24", "fd10:1::2/64"] : []);
    }
  });
}

test("where the kernel has no IPv6 there is nothing to switch off", () => {
  const { "net/ipv4/conf/all/arp_ignore": ignore = "" } = pod.sysctls;
  const steps = stepsTo(bridged, { ...pod, sysctls: { "net/ipv4/conf/all/arp_ignore": ignore } });
  assert.ok(steps.every((step) => step.do !== "sysctl.write" || !step.key.includes("ipv6")));
});

test("a stand-in's sysctl is written although the link that had its name has that value", () => {
  const key = "net/ipv6/conf/eth0/disable_ipv6";
  const steps = stepsTo({ ...bridged, sysctls: [...bridged.sysctls, { key, value: "0" }] }, pod);
  assert.deepEqual(
    steps.flatMap((step) => (step.do === "sysctl.write" && step.key === key ? [step.value] : [])),
    ["1", "0"],
  );
});

test("names that links of other kinds have are told, the one to which a link is moved as well", () => {
  const foreign = (name: string, kind: string): Actual => {
    const [link] = pod.links;
    return { ...pod, links: link === undefined ? [] : [link, { ...link, name, kind, addresses: [] }] };
  };
  const taken = (actual: Actual): string[] =>
    takenNames(bridged, actual).map(({ wanted: { kind, name }, kind: of }) => `${kind} ${name} by ${of}`);
  assert.deepEqual(taken(pod), []);
  assert.deepEqual(taken(foreign("k6t-eth0", "veth")), ["bridge k6t-eth0 by veth"]);
  assert.deepEqual(taken(foreign("tap0", "bridge")), ["tap tap0 by bridge"]);
  assert.deepEqual(taken(foreign("eth0-nic", "macvlan")), ["pod eth0-nic by macvlan"]);
});

test("a table that changed is replaced with the counters it has", () => {
  const listing = `table ip nat {\n\tchain c {\n\t\tcounter packets 5 bytes 50 accept\n\t\tdrop\n\t}\n}`;
  const [step] = stepsTo(
    { ...wanted, links: [], addresses: [], localRoutes: [], sysctls: [] },
    { ...nothing, tables: { "ip nat": listing } },
  );
  assert.ok(step?.do === "table.replace");
  assert.deepEqual(step.table.chains[0]?.rules, ["counter packets 5 bytes 50 accept"]);
});

test("what must be read is what the wiring names, and every step has a text", () => {
  assert.deepEqual(needsReading(wanted), {
    routedLinks: ["tap0"],
    sysctls: ["net/ipv4/ip_forward"],
    tables: [{ family: "ip", name: "nat" }],
  });
  assert.deepEqual(stepsTo(wanted, nothing).map(stepText), [
    "tap tap0 with 1 queue",
    "tap tap1 with 2 queues",
    "sysctl net/ipv4/ip_forward = 1",
    "table ip nat",
    "MAC 02:00:00:00:00:00, MTU 1450, up for link tap0",
    "MAC 02:00:00:00:00:01, MTU 1500, up for link tap1",
    "address 10.0.2.1/24 on link tap0",
    "local route ::1/128 on link tap0",
  ]);
});
