import { execFileSync } from "node:child_process";
import { applyKernel } from "../src/host/linux/apply.ts";
import { createNetns, deleteNetns, startThreads, within } from "../src/host/linux/netns.ts";
import { closeFds } from "../src/host/linux/tap.ts";
import { masquerade } from "../src/model/bindings/masquerade.ts";
import { typicalFacts } from "../src/model/wiring/typical-facts.ts";
import type { KernelState } from "../src/model/wiring/wiring.ts";
import { type Bench, type Row, rounded, spread } from "./row.ts";

/** The first calls load libraries and let V8 compile; a daemon has that behind it. */
const WARM_UP = 40;
const BLOCKS = 4;
const ROUNDS = 80;
const PEER_ROUNDS = 20;
const GOAL_MS = 2;
const GOAL_RATIO = 20;

/** What one dual-stack masquerade NIC with a port needs of the kernel, by Patchbay and by one process a command. */
export const wiring: Bench = {
  name: "wiring",
  about:
    "one dual-stack masquerade NIC, by Patchbay (read, apply, read back) and by ip, sysctl and nft, a process each",
  run: async (log) => {
    await startThreads();
    const wanted = masquerade.wire(
      {
        name: "default",
        index: 0,
        binding: "masquerade",
        network: { kind: "pod", vmNetworkCIDR: "10.0.2.0/24", vmIPv6NetworkCIDR: "fd10:0:2::/120" },
        networkIndex: 0,
        podInterface: "eth0",
        model: "virtio",
        ports: [{ protocol: "tcp", port: 80 }],
        queues: 1,
        linkUp: true,
        dhcpOptions: { ntpServers: [], privateOptions: [] },
        annotations: {},
        hostName: "bench",
      },
      typicalFacts,
    ).kernel;
    const commands = asCommands(wanted);
    log(`${commands.length} commands stand for the same`);
    const prefix = `pbbench-${process.pid}`;
    const names = (kind: string, count: number): string[] =>
      Array.from({ length: count }, (_, round) => `${prefix}-${kind}${round}`);
    const [own, others] = [names("a", WARM_UP + ROUNDS), names("b", PEER_ROUNDS)];
    const held: number[] = [];
    const made = new Map([...own, ...others].map((name) => [name, createNetns(name)]));
    // In blocks by turns, so that both meet the same load of the machine; a block of ours is not slowed by the processes
    // of theirs. Namespaces go at the end, for their end keeps the kernel busy.
    const ours: number[] = [];
    const theirs: number[] = [];
    try {
      for (const name of own.splice(0, WARM_UP)) held.push(...wireOnce(made.get(name) ?? "", wanted).fds);
      for (let block = 0; block < BLOCKS; block += 1) {
        for (const name of own.splice(0, ROUNDS / BLOCKS)) {
          const { took, fds } = wireOnce(made.get(name) ?? "", wanted);
          ours.push(took);
          held.push(...fds);
        }
        for (const name of others.splice(0, PEER_ROUNDS / BLOCKS))
          theirs.push(byProcesses(made.get(name) ?? "", commands));
      }
    } finally {
      await closeFds(held);
      for (const name of made.keys()) deleteNetns(name);
    }
    const peer = spread(theirs);
    const ownSpread = spread(ours);
    const ratio = rounded(peer.p50 / ownSpread.p50);
    const row: Row = {
      name: "wiring/masquerade",
      ...ownSpread,
      unit: "ms",
      peer: { name: "ip and nft, a process a step", p50: peer.p50, p95: peer.p95 },
      ratio,
      goal: `p50 at most ${GOAL_MS} ms and ${GOAL_RATIO} times faster`,
      met: ownSpread.p50 <= GOAL_MS && ratio >= GOAL_RATIO,
    };
    return [row];
  },
};

/** Milliseconds of one wiring: read, apply, read back. */
function wireOnce(netns: string, wanted: KernelState): { readonly took: number; readonly fds: readonly number[] } {
  const started = performance.now();
  const { taps } = applyKernel(netns, wanted);
  return { took: performance.now() - started, fds: [...taps.values()].flat() };
}

/** Milliseconds; each process is started inside the namespace, so that entering it costs nothing extra. */
function byProcesses(netns: string, commands: readonly (readonly string[])[]): number {
  const started = performance.now();
  for (const [program, ...args] of commands) {
    if (program !== undefined) within(netns, () => execFileSync(program, args));
  }
  return performance.now() - started;
}

/** The same state as one would script it: one `ip`, `sysctl` or `nft` process for each thing. */
function asCommands(wanted: KernelState): string[][] {
  return [
    ...wanted.links.flatMap((link) => [
      ["ip", "tuntap", "add", "dev", link.name, "mode", "tap", "vnet_hdr"],
      ["ip", "link", "set", "dev", link.name, "address", link.mac],
      ["ip", "link", "set", "dev", link.name, "mtu", String(link.mtu)],
      ["ip", "link", "set", "dev", link.name, "up"],
    ]),
    ...wanted.localRoutes.map(({ link, destination }) => [
      ...["ip", "-6", "route", "add", "local", destination, "dev", link, "table", "local", "metric", "2048"],
    ]),
    ...wanted.addresses.map(({ link, cidr }) => [
      "ip",
      "address",
      "add",
      cidr,
      "dev",
      link,
      ...(cidr.includes(":") ? ["nodad"] : []),
    ]),
    ...wanted.sysctls.map(({ key, value }) => ["sysctl", "-qw", `${key.replaceAll("/", ".")}=${value}`]),
    ...wanted.tables.flatMap((table) => {
      const id = [table.family, table.name];
      return [
        ["nft", "add", "table", ...id],
        ...table.sets.map((set) => [
          "nft",
          "add",
          "set",
          ...id,
          set.name,
          `{ type ${set.type}; elements = { ${set.elements.join(", ")} }; }`,
        ]),
        ...table.chains.map((chain) => [
          "nft",
          "add",
          "chain",
          ...id,
          chain.name,
          ...(chain.hook === undefined
            ? []
            : [`{ type ${chain.hook.type} hook ${chain.hook.at} priority ${chain.hook.priority}; }`]),
        ]),
        ...table.chains.flatMap((chain) => chain.rules.map((rule) => ["nft", "add", "rule", ...id, chain.name, rule])),
      ];
    }),
  ];
}
