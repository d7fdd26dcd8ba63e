import { execFileSync } from "node:child_process";
import { closeSync } from "node:fs";
import { applyKernel } from "../src/host/linux/apply.ts";
import { createNetns, deleteNetns, startThreads, within } from "../src/host/linux/netns.ts";
import { masquerade } from "../src/model/bindings/masquerade.ts";
import { typicalFacts } from "../src/model/wiring/typical-facts.ts";
import type { KernelState } from "../src/model/wiring/wiring.ts";
import { type Bench, type Row, rounded, spread } from "./row.ts";

const ROUNDS = 60;
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
        podInterface: "eth0",
        model: "virtio",
        ports: [{ protocol: "tcp", port: 80 }],
        queues: 1,
        linkUp: true,
        dhcpOptions: { ntpServers: [], privateOptions: [] },
        hostName: "bench",
      },
      typicalFacts,
    ).kernel;
    const commands = asCommands(wanted);
    log(`${commands.length} commands stand for the same`);
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      ours.push(
        inFreshNamespace(`pbbench-${process.pid}-a${round}`, (netns) => {
          const started = performance.now();
          const { taps } = applyKernel(netns, wanted);
          const took = performance.now() - started;
          for (const fd of [...taps.values()].flat()) closeSync(fd);
          return took;
        }),
      );
      if (round % (ROUNDS / PEER_ROUNDS) !== 0) continue;
      theirs.push(
        inFreshNamespace(`pbbench-${process.pid}-b${round}`, (netns) => {
          const started = performance.now();
          for (const [program, ...args] of commands) {
            if (program !== undefined) within(netns, () => execFileSync(program, args));
          }
          const took = performance.now() - started;
          return took;
        }),
      );
    }
    const peer = spread(theirs);
    const own = spread(ours);
    const ratio = rounded(peer.p50 / own.p50);
    const row: Row = {
      name: "wiring/masquerade",
      ...own,
      unit: "ms",
      peer: { name: "ip and nft, a process a step", p50: peer.p50, p95: peer.p95 },
      ratio,
      goal: `p50 at most ${GOAL_MS} ms and ${GOAL_RATIO} times faster`,
      met: own.p50 <= GOAL_MS && ratio >= GOAL_RATIO,
    };
    return [row];
  },
};

function inFreshNamespace(name: string, measure: (netns: string) => number): number {
  const netns = createNetns(name);
  try {
    return measure(netns);
  } finally {
    deleteNetns(name);
  }
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
