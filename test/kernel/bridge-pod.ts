import { execFileSync } from "node:child_process";
import { dumpNetns, type NetnsDump } from "../../src/host/linux/dump.ts";
import { createNetns, deleteNetns, within } from "../../src/host/linux/netns.ts";
import { readLinks } from "../../src/host/linux/pod-facts.ts";
import { writeSysctl } from "../../src/host/linux/sysctl.ts";
import type { Interface } from "../../src/model/api/interfaces.ts";
import type { Network } from "../../src/model/api/networks.ts";
import { hashedInterface, tapName } from "../../src/model/networks/pod-interface.ts";
import { SPOOF_GUARD_ANNOTATION } from "../../src/model/rules/spoof-guard.ts";
import type { PodFacts } from "../../src/model/wiring/facts.ts";
import { type NicsRequest, nicContexts, wire } from "../../src/model/wiring/nics.ts";
import type { Wiring } from "../../src/model/wiring/wiring.ts";
import type { TestNeed } from "../needs.ts";

/** How the namespaces begin; whoever uses pods deletes those at the end. */
export const PREFIX = `pblnx-bridge-${process.pid}-`;
let count = 0;

/** A pod as some CNI configuration leaves it, and the interfaces of a guest in it. */
export interface PodShape {
  readonly what: string;
  /** `ip` commands that make the pod; links whose peers are called `far-…` lead to a namespace of their own. */
  readonly made: readonly string[];
  /** `ip` commands for the namespace outside. */
  readonly outside?: readonly string[];
  readonly sysctls?: Readonly<Record<string, string>>;
  readonly nics: readonly (readonly [iface: Partial<Interface>, network: Partial<Network>])[];
  /** Of the VMI. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** The names of the pod's links afterwards, in any order. */
  readonly links: readonly string[];
  /** What a test of it needs beside {@link bridgeNeeds}. */
  readonly needs?: readonly TestNeed[];
}

/** What every test of a bridge needs. */
export const bridgeNeeds = ["root", "netns", "veth", "bridge", "tun", "nft"] as const satisfies readonly TestNeed[];

const red = hashedInterface("nic1");
const short = red.slice("pod".length);
const veth = (name: string, far: string): string[] => [
  `link add ${name} address 02:bb:00:00:00:0${name.length} mtu 1450 type veth peer name ${far} mtu 1450 netns OUTSIDE`,
  `link set ${name} up`,
];
const onPod = [{ bridge: {} }, { pod: {} }] as const;
const BRIDGED = ["eth0-nic", "k6t-eth0", "tap0", "eth0"];

const tapped = hashedInterface("nic0");
const second = hashedInterface("nic1");
const macvtap = (name: string, mac: string): string =>
  `link add ${name} link low0 address ${mac} mtu 1400 type macvtap mode bridge`;
const onRed = { multus: { networkName: "red" } } as const;

/** Pods whose links are what a guest is plugged into, under the bindings that take them. */
export const tapShapes: readonly PodShape[] = [
  {
    what: "macvtap on a macvtap, with a MAC of the manifest",
    made: [...veth("low0", "far0"), macvtap(tapped, "02:bb:00:00:00:31")],
    nics: [[{ macvtap: {}, macAddress: "02:bb:00:00:00:77" }, onRed]],
    links: ["low0", tapped],
    needs: ["macvtap"],
  },
  {
    what: "macvtap on two macvtaps of one link, with their own MACs",
    made: [...veth("low0", "far0"), macvtap(tapped, "02:bb:00:00:00:31"), macvtap(second, "02:bb:00:00:00:32")],
    nics: [
      [{ macvtap: {} }, onRed],
      [{ macvtap: {}, model: "e1000" }, { multus: { networkName: "green" } }],
    ],
    links: ["low0", tapped, second],
    needs: ["macvtap"],
  },
  {
    what: "the plugin tap on a macvtap, with a MAC of the manifest",
    made: [...veth("low0", "far0"), macvtap(tapped, "02:bb:00:00:00:31")],
    nics: [[{ binding: { name: "tap" }, macAddress: "02:bb:00:00:00:77" }, onRed]],
    links: ["low0", tapped],
    needs: ["macvtap"],
  },
  {
    what: "the plugin tap with a spoof guard on a tap that its CNI made",
    // Its MAC is set in short words: what says "link set" or "address" comes before the tap.
    made: [
      ...veth(tapped, "far0"),
      `tuntap add dev ${tapName(tapped)} mode tap`,
      `l set dev ${tapName(tapped)} addr 02:bb:00:00:00:41`,
    ],
    nics: [[{ binding: { name: "tap" } }, onRed]],
    annotations: { [SPOOF_GUARD_ANNOTATION]: "true" },
    links: [tapped, tapName(tapped)],
  },
];

/** One of each way in which a pod's link may look. */
export const shapes: readonly PodShape[] = [
  {
    what: "a dual-stack pod with routes of every sort",
    made: [
      ...veth("eth0", "far0"),
      "address add 10.244.0.5/24 brd + dev eth0",
      "address add 10.244.0.6/24 dev eth0 label eth0:two",
      "address add fd10:244::5/64 dev eth0 nodad",
      "address add fd10:244::6/64 dev eth0",
      "route add default via 10.244.0.1 mtu lock 1400 metric 5",
      "route add 10.9.0.0/16 via 10.244.0.7 src 10.244.0.5",
      "route add 10.10.0.0/16 nexthop via 10.244.0.7 weight 2 nexthop via 10.244.0.8",
      "route add 203.0.113.1 via 192.0.2.1 dev eth0 onlink proto 77",
      "route add 10.11.0.0/16 dev eth0 table 100",
      "route add blackhole 10.66.0.0/16",
      "route add default via fd10:244::1",
      "route add fd20::/64 via fe80::1 dev eth0",
      "neighbour add 10.244.0.9 lladdr 02:aa:00:00:00:09 dev eth0",
      "neighbour add fd10:244::9 lladdr 02:aa:00:00:00:09 dev eth0",
    ],
    outside: ["address add 10.244.0.1/24 dev far0", "address add fd10:244::1/64 dev far0 nodad"],
    nics: [onPod],
    links: BRIDGED,
  },
  {
    what: "a pod without an address",
    made: veth("eth0", "far0"),
    outside: ["address add 192.0.2.1/24 dev far0"],
    nics: [onPod],
    links: BRIDGED,
  },
  {
    what: "an address of its own only, with a gateway on the link",
    made: [
      ...veth("eth0", "far0"),
      "address add 10.9.9.9/32 dev eth0",
      "route add 169.254.1.1 dev eth0 scope link",
      "route add default via 169.254.1.1",
    ],
    sysctls: { "net/ipv4/conf/all/rp_filter": "1" },
    outside: ["address add 169.254.1.1/32 dev far0", "route add 10.9.9.9 dev far0"],
    nics: [onPod],
    links: BRIDGED,
  },
  {
    what: "routes by the gateway alone, in the place of the one that the address brought",
    made: [
      ...veth("eth0", "far0"),
      "address add 10.244.0.5/24 dev eth0",
      "route del 10.244.0.0/24 dev eth0",
      "route add 10.244.0.1 dev eth0 scope link src 10.244.0.5",
      "route add 10.244.0.0/24 via 10.244.0.1 src 10.244.0.5",
    ],
    outside: ["address add 10.244.0.1/24 dev far0"],
    nics: [onPod],
    links: BRIDGED,
  },
  {
    what: "IPv6 on the link alone, where it is off for new ones",
    made: [...veth("eth0", "far0"), "address add fd10:244::5/64 dev eth0 nodad"],
    sysctls: { "net/ipv6/conf/default/disable_ipv6": "1", "net/ipv6/conf/eth0/disable_ipv6": "0" },
    nics: [onPod],
    links: BRIDGED,
  },
  {
    what: "IPv6 off on the link, and on for new ones",
    made: [...veth("eth0", "far0"), "address add 10.244.0.5/24 dev eth0"],
    sysctls: { "net/ipv6/conf/eth0/disable_ipv6": "1" },
    outside: ["address add 10.244.0.1/24 dev far0"],
    nics: [onPod],
    links: BRIDGED,
  },
  {
    what: "a second network beside a masqueraded one",
    made: [
      ...veth("eth0", "far1"),
      "address add 10.244.0.5/24 dev eth0",
      "route add default via 10.244.0.1",
      ...veth(red, "far0"),
      `address add 10.1.1.2/24 dev ${red}`,
    ],
    outside: ["address add 10.1.1.1/24 dev far0"],
    nics: [
      [{ masquerade: {} }, { pod: {} }],
      [{ bridge: {} }, { multus: { networkName: "lan" } }],
    ],
    links: ["eth0", "tap0", `${short}-nic`, `k6t-${short}`, red, `tap${short}`],
  },
  {
    what: "a macvlan",
    made: [
      ...veth("low0", "far0"),
      "link add eth0 link low0 address 02:bb:00:00:00:0c type macvlan mode bridge",
      "link set eth0 up",
      "address add 10.98.0.2/24 dev eth0",
    ],
    sysctls: { "net/ipv6/conf/low0/disable_ipv6": "1" },
    outside: ["address add 10.98.0.1/24 dev far0"],
    nics: [onPod],
    links: ["low0", "eth0-nic", "tap0", "eth0"],
    needs: ["macvtap"],
  },
  {
    what: "two macvlans, dual stack",
    made: [
      ...veth("low0", "far0"),
      "link add eth0 link low0 address 02:bb:00:00:00:0c type macvlan mode bridge",
      "link set eth0 up",
      "address add 10.98.0.2/24 dev eth0",
      "address add fd10:98::2/64 dev eth0 nodad",
      "route add default via 10.98.0.1",
      "route add default via fd10:98::1",
      `link add ${red} link low0 address 02:bb:00:00:00:0d type macvlan mode bridge`,
      `link set ${red} up`,
      `address add 10.99.0.2/24 dev ${red}`,
      `address add fd10:99::2/64 dev ${red} nodad`,
    ],
    sysctls: { "net/ipv6/conf/low0/disable_ipv6": "1" },
    nics: [onPod, [{ bridge: {} }, { multus: { networkName: "lan" } }]],
    links: ["low0", "eth0-nic", "tap0", "eth0", `${short}-nic`, `tap${short}`, red],
    needs: ["macvtap"],
  },
];

/** A pod that was made, before its wiring. */
export interface Pod {
  readonly path: string;
  /** Path of the namespace that `far0` and `far1` are in. */
  readonly outside: string;
  readonly wiring: Wiring;
}

/** Makes a pod of that shape for the time of a call. */
export async function withPod(shape: PodShape, fn: (pod: Pod) => void | Promise<void>): Promise<void> {
  count += 1;
  const [name, far] = [`${PREFIX}${count}`, `${PREFIX}${count}-far`] as const;
  const [path, outside] = [createNetns(name), createNetns(far)] as const;
  try {
    const isUp = (command: string): boolean => command.startsWith("link set") || command.includes("address");
    ip(
      name,
      shape.made.filter((command) => command.startsWith("link add")).map((one) => one.replace("OUTSIDE", far)),
    );
    const links = ["far0", "far1"].filter((link) => shape.made.some((command) => command.includes(link)));
    ip(far, [...links.map((link) => `link set ${link} up`), ...(shape.outside ?? [])]);
    within(path, () => {
      for (const [key, value] of Object.entries(shape.sysctls ?? {})) writeSysctl(key, value);
      // Duplicate address detection would change the routes a second later, in the midst of a comparison.
      for (const { name: link } of readLinks(path).links) writeSysctl(`net/ipv6/conf/${link}/accept_dad`, "0");
    });
    ip(
      name,
      shape.made.filter((command) => !command.startsWith("link add") && isUp(command)),
    );
    ip(
      name,
      shape.made.filter((command) => !command.startsWith("link add") && !isUp(command)),
    );
    await fn({ path, outside, wiring: wiringOf(path, shape) });
  } finally {
    deleteNetns(name);
    deleteNetns(far);
  }
}

/** One process for all commands of a kind: there are thousands of pods. */
function ip(name: string, commands: readonly string[]): void {
  const isRoute = (command: string): boolean => command.startsWith("route");
  const isSix = (command: string): boolean => command.includes(":");
  for (const [family, lines] of [
    [[], commands.filter((command) => !isRoute(command))],
    // `ip -batch` takes IPv6 for IPv4 where a route is not said to be it.
    [["-4"], commands.filter((command) => isRoute(command) && !isSix(command))],
    [["-6"], commands.filter((command) => isRoute(command) && isSix(command))],
  ] as const) {
    if (lines.length === 0) continue;
    const input = lines.join("\n");
    execFileSync("ip", ["-n", name, ...family, "-batch", "-"], { input, stdio: ["pipe", "pipe", "inherit"] });
  }
}

/** The binding plugins that the pods' NICs may name. */
export const registered: NonNullable<NicsRequest["plugins"]> = new Map([
  ["tap", { domainAttachmentType: "tap" }],
  ["managed", { domainAttachmentType: "managedTap" }],
]);

/** Devices of a card for the NICs that hand one over: no kernel need have them for the wiring. */
export function devicesOf({ nics }: PodShape): Pick<PodFacts, "devices"> {
  const devices = nics.flatMap(([{ sriov }], index) =>
    sriov === undefined ? [] : [{ network: `nic${index}`, pci: `0000:02:10.${index}` }],
  );
  return devices.length === 0 ? {} : { devices };
}

function wiringOf(path: string, shape: PodShape): Wiring {
  const { nics, annotations = {} } = shape;
  const facts = {
    podUid: "11111111-2222-3333-4444-555555555555",
    ...readLinks(path),
    resolver: { nameservers: ["10.96.0.10"], search: ["default.svc.cluster.local"], options: [] },
    networkStatus: [],
    ...devicesOf(shape),
  };
  const spec = {
    domain: { devices: { interfaces: nics.map(([iface], index) => ({ name: `nic${index}`, ...iface })) } },
    networks: nics.map(([, network], index) => ({ name: `nic${index}`, ...network })),
  };
  return wire(nicContexts({ spec, hostName: "guest", annotations, plugins: registered }), facts);
}

/** All that the kernel holds of a pod, as lines. */
export function linesOf(path: string): string[] {
  return linesOfDump(dumpNetns(path));
}

function linesOfDump(dump: NetnsDump): string[] {
  return [
    ...[...dump.links, ...dump.addresses, ...dump.neighbours].map((one) => JSON.stringify(one)),
    ...dump.routes,
    ...Object.values(dump.tables),
    ...Object.entries(dump.sysctls).map(([key, value]) => `${key} = ${value}`),
  ];
}

/**
 * What of a pod has come and gone since `before`, but for lines that match `ignored`. The kernel makes some routes a moment
 * later: it is given one.
 */
export async function changesSince(
  before: readonly string[],
  path: string,
  ignored?: RegExp,
): Promise<readonly string[]> {
  // A pod has a thousand lines, and is looked at thousands of times.
  const old = new Set(before);
  const changes = (): string[] => {
    const now = new Set(linesOf(path));
    const changed = [
      ...[...old].filter((line) => !now.has(line)).map((line) => `- ${line}`),
      ...[...now].filter((line) => !old.has(line)).map((line) => `+ ${line}`),
    ];
    return ignored === undefined ? changed : changed.filter((line) => !ignored.test(line));
  };
  const deadline = Date.now() + 60_000;
  for (;;) {
    const found = changes();
    if (found.length === 0 || Date.now() > deadline) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A link's addr_gen_mode (ip-sysctl.rst of the kernel) with which it gives itself no address. */
const NO_LINK_LOCAL = "1";

/** The lines of a pod once every link that has IPv6 has got its link-local address, which takes the kernel up to a second. */
export async function settledLines(path: string): Promise<readonly string[]> {
  const waiting = ({ links, addresses, routes, sysctls }: NetnsDump): string[] =>
    links.flatMap(({ name, up, kind }) => {
      if (!up || kind === "" || sysctls[`net/ipv6/conf/${name}/disable_ipv6`] !== "0") return [];
      const own = addresses.filter(({ link, cidr }) => link === name && cidr.includes(":"));
      const isRouted = ({ cidr }: { readonly cidr: string }): boolean =>
        routes.some((route) => route.startsWith(`local local ${cidr.replace(/\/.*/, "/128")} dev ${name} `));
      const isAlone = sysctls[`net/ipv6/conf/${name}/addr_gen_mode`] === NO_LINK_LOCAL;
      return (isAlone || own.some(({ cidr }) => cidr.startsWith("fe80:"))) && own.every(isRouted) ? [] : [name];
    });
  const deadline = Date.now() + 60_000;
  for (;;) {
    const dump = dumpNetns(path);
    const names = waiting(dump);
    if (names.length === 0) return linesOfDump(dump);
    if (Date.now() > deadline) throw new Error(`no link-local address: ${names.join(", ")}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
