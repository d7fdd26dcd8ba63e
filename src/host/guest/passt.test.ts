import assert from "node:assert/strict";
import { test } from "node:test";
import type { PasstStream } from "../../model/wiring/wiring.ts";
import { streamFiles } from "./guest-files.ts";
import { passtArguments, passtNics } from "./passt.ts";

const attachment: PasstStream = {
  kind: "stream",
  process: "passt",
  device: "eth0",
  families: [4, 6],
  ports: { tcp: "all", udp: "all" },
  nameservers: ["10.96.0.10", "fd10:96::a"],
  search: ["svc.cluster.local", "cluster.local"],
};
const nic = { name: "default", model: "virtio", mac: "02:00:00:00:00:01", mtu: 1400, queues: 1, linkUp: true } as const;

function argumentsOf(more: Partial<PasstStream>): readonly string[] {
  const of = { ...attachment, ...more };
  return passtArguments({ nic: { ...nic, attachment: of }, attachment: of, files: streamFiles("/run/g", 1) }, 3);
}

/** The values of an option. */
const valuesOf = (args: readonly string[], option: string): readonly (string | undefined)[] =>
  args.flatMap((arg, index) => (arg === option ? [args[index + 1]] : []));

test("passt is told all that it would guess: the link, the families, the MTU, the pod's resolver, the ports", () => {
  const all = argumentsOf({});
  assert.deepEqual(valuesOf(all, "--interface"), ["eth0"]);
  assert.deepEqual(valuesOf(all, "--mtu"), ["1400"]);
  assert.deepEqual(valuesOf(all, "--dns"), ["10.96.0.10", "fd10:96::a"]);
  assert.deepEqual(valuesOf(all, "--search"), ["svc.cluster.local", "cluster.local"]);
  assert.deepEqual([...valuesOf(all, "--tcp-ports"), ...valuesOf(all, "--udp-ports")], ["all", "all"]);
  assert.deepEqual([...valuesOf(all, "--fd"), ...valuesOf(all, "--pid")], ["3", "nic1.pid"]);
  assert.ok(!all.some((arg) => arg.endsWith("-only")));

  const some = argumentsOf({
    families: [6],
    ports: { tcp: [{ port: 80 }, { port: 8000, last: 8010 }], udp: [] },
    nameservers: [],
    search: [],
  });
  assert.deepEqual(valuesOf(argumentsOf({ search: ["none", "b.example"] }), "--search"), ["none.", "b.example"]);
  assert.ok(some.includes("--ipv6-only") && !some.includes("--ipv4-only"));
  assert.deepEqual([...valuesOf(some, "--tcp-ports"), ...valuesOf(some, "--udp-ports")], ["80,8000-8010", "none"]);
  assert.deepEqual([...valuesOf(some, "--dns"), ...valuesOf(some, "--search")], ["none", "none"]);
});

test("a guest's files are named by the place of the NIC", () => {
  const tap = { ...nic, name: "other", attachment: { kind: "tap", device: "tap0", queues: 1 } } as const;
  const found = passtNics([tap, { ...nic, attachment }], "/run/g");
  assert.deepEqual(
    found.map(({ nic: { name }, files }) => [name, files.socket]),
    [["default", "/run/g/nic1.sock"]],
  );
});
