import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { startServices } from "../../src/host/serve/services.ts";
import { isFault } from "../../src/model/fault.ts";
import { podResolver } from "../../src/model/networks/resolver.ts";
import { nicContexts, wire } from "../../src/model/wiring/nics.ts";
import { factsFor } from "../../src/model/wiring/typical-facts.ts";
import { needs } from "../needs.ts";
import { DUAL_STACK, Events, eventually, GUEST_MAC, ip, makeLink, type ServeLink } from "./serve-link.ts";

const run = promisify(execFile);

/** Runs busybox's DHCP client once; returns what it hands its script and what it prints. */
async function udhcpc(
  link: ServeLink,
  ...options: readonly string[]
): Promise<{ lease: Map<string, string>; said: string }> {
  ip("-n", link.guest, "link", "set", "eth0", "up");
  const script = join(link.folder, "script");
  const out = join(link.folder, "lease");
  writeFileSync(
    script,
    `#!/bin/sh\n[ "$1" = bound ] && env > ${out}\n[ "$1" = bound ] && ip address add "$ip/$mask" dev "$interface"\nexit 0\n`,
    {
      mode: 0o755,
    },
  );
  const { stdout, stderr } = await run(
    "ip",
    [
      "netns",
      "exec",
      link.guest,
      "busybox",
      "udhcpc",
      "-i",
      "eth0",
      "-f",
      "-n",
      "-q",
      "-t",
      "30",
      "-T",
      "1",
      "-s",
      script,
      ...options,
    ],
    { timeout: 60_000 },
  );
  const lines = readFileSync(out, "utf8").split("\n");
  const lease = new Map(lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
  return { lease, said: stdout + stderr };
}

test("a DHCPv4 client gets address, routes, DNS, MTU and search list", async (t) => {
  if (!needs(t, "root", "netns", "veth")) return;
  await using link = makeLink();
  const events = new Events();
  const running = await startServices({
    netns: link.serverPath,
    podUid: "uid",
    services: [DUAL_STACK],
    onEvent: events.on,
  });
  try {
    const { lease } = await udhcpc(link);
    const expected = {
      ip: "10.0.2.2",
      subnet: "255.255.255.0",
      mask: "24",
      router: "10.0.2.1",
      dns: "10.96.0.10 10.96.0.11",
      hostname: "vm-a",
      domain: "default.svc.cluster.local",
      mtu: "1400",
      ntpsrv: "10.0.0.7",
      lease: "86313600",
      serverid: "10.0.2.1",
      search: "default.svc.cluster.local svc.cluster.local cluster.local",
      siaddr: "10.0.0.8",
      boot_file: "pxelinux.0",
    };
    for (const [name, value] of Object.entries(expected)) assert.equal(lease.get(name), value, name);
    assert.deepEqual(
      running.leases().map(({ service, address, client }) => [service, address, client]),
      [["dhcp4", "10.0.2.2", GUEST_MAC]],
    );
    // More where the answer was late and the client asked again.
    assert.ok(events.of("dhcp4", "leased").length > 0);
    await run("ip", ["netns", "exec", link.guest, "busybox", "ping", "-c", "1", "-W", "30", "10.0.2.1"]);
  } finally {
    await running.close();
  }
});

test("a client that asks for another address is refused and then given the right one", async (t) => {
  if (!needs(t, "root", "netns", "veth")) return;
  await using link = makeLink();
  const events = new Events();
  const running = await startServices({
    netns: link.serverPath,
    podUid: "uid",
    services: [DUAL_STACK],
    onEvent: events.on,
  });
  try {
    const { lease } = await udhcpc(link, "-r", "192.168.7.7");
    assert.equal(lease.get("ip"), "10.0.2.2");
  } finally {
    await running.close();
  }
});

test("a guest's kernel takes route and MTU from router advertisements, at once when it asks", async (t) => {
  if (!needs(t, "root", "netns", "veth")) return;
  await using link = makeLink();
  const events = new Events();
  const running = await startServices({
    netns: link.serverPath,
    podUid: "uid",
    services: [DUAL_STACK],
    onEvent: events.on,
  });
  try {
    await eventually("the first unsolicited advertisement", () => events.of("ra", "advertised")[0]);
    ip("-n", link.guest, "link", "set", "eth0", "up");
    await eventually("an answered solicitation", () =>
      events.of("ra", "advertised").find(({ message }) => message.includes("solicitation")),
    );
    const routes = await eventually("the default route", () => {
      const found: { dst: string; gateway?: string; dev: string; protocol: string }[] = JSON.parse(
        ip("-n", link.guest, "-6", "-j", "route"),
      );
      return ["default", "fd10:0:2::/120"].every((one) => found.some(({ dst }) => dst === one)) ? found : undefined;
    });
    const byDestination = new Map(routes.map((route) => [route.dst, route]));
    assert.equal(byDestination.get("default")?.gateway, "fe80::1");
    assert.equal(byDestination.get("default")?.protocol, "ra");
    assert.equal(byDestination.get("fd10:0:2::/120")?.dev, "eth0");
    const mtu = readFileSyncWithin(link, "/proc/sys/net/ipv6/conf/eth0/mtu");
    assert.equal(mtu, "1400");
    // The prefix is not autonomous: no address is made of it.
    assert.doesNotMatch(ip("-n", link.guest, "-6", "address"), /fd10/);
  } finally {
    await running.close();
  }
});

test("the servers can be closed and started again for the same pod", async (t) => {
  if (!needs(t, "root", "netns", "veth")) return;
  await using link = makeLink();
  for (let round = 0; round < 3; round += 1) {
    const events = new Events();
    const running = await startServices({
      netns: link.serverPath,
      podUid: "uid",
      services: [DUAL_STACK],
      onEvent: events.on,
    });
    try {
      ip("-n", link.guest, "address", "flush", "dev", "eth0", "scope", "global");
      const { lease } = await udhcpc(link);
      assert.equal(lease.get("ip"), "10.0.2.2");
    } finally {
      await running.close();
    }
  }
});

test("a server that was killed is followed by the next one, and the guest's renewal by it is acknowledged", async (t) => {
  if (!needs(t, "root", "netns", "veth")) return;
  await using link = makeLink();
  const module = new URL("../../src/host/serve/services.ts", import.meta.url).href;
  const program = `
    const { startServices } = await import(${JSON.stringify(module)});
    await startServices({ netns: ${JSON.stringify(link.serverPath)}, podUid: "uid", services: [${JSON.stringify(DUAL_STACK)}], onEvent() {} });
    process.stdout.write("ready");`;
  const first = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => first.kill("SIGKILL"));
  await once(first.stdout, "data", { signal: AbortSignal.timeout(60_000) });
  const bound = join(link.folder, "bound");
  const script = join(link.folder, "keeper");
  const set = 'ip address replace "$ip/$mask" dev "$interface"';
  writeFileSync(script, `#!/bin/sh\ncase $1 in bound | renew) ${set} && echo $1 >> ${bound} ;; esac\n`, {
    mode: 0o755,
  });
  ip("-n", link.guest, "link", "set", "eth0", "up");
  const client = spawn("ip", ["netns", "exec", link.guest, "busybox", "udhcpc", "-i", "eth0", "-f", "-s", script], {
    stdio: "ignore",
  });
  const said = (): string | undefined => (existsSync(bound) ? readFileSync(bound, "utf8") : undefined);
  try {
    await eventually("the lease", said);
    const over = once(first, "exit");
    first.kill("SIGKILL");
    await over;
    const events = new Events();
    const running = await startServices({
      netns: link.serverPath,
      podUid: "uid",
      services: [DUAL_STACK],
      onEvent: events.on,
    });
    try {
      client.kill("SIGUSR1");
      const leased = await eventually("the renewal", () => events.of("dhcp4", "leased")[0]);
      assert.match(leased.message, /RENEWING/);
      await eventually("the client's word on it", () => (said() === "bound\nrenew\n" ? true : undefined));
    } finally {
      await running.close();
    }
  } finally {
    const gone = once(client, "exit");
    client.kill("SIGKILL");
    await gone;
  }
});

test("what cannot be served is refused whole, and no socket is left", async (t) => {
  if (!needs(t, "root", "netns", "veth")) return;
  await using link = makeLink();
  const { dhcp4, dhcp6, ra } = DUAL_STACK;
  assert.ok(dhcp4 !== undefined && dhcp6 !== undefined && ra !== undefined);
  const sockets = (): string => ip("netns", "exec", link.server, "ss", "-Hlunw");
  const start = (changes: object): Promise<unknown> =>
    startServices({
      netns: link.serverPath,
      podUid: "uid",
      services: [{ ...DUAL_STACK, ...changes }],
      onEvent: () => {},
    });
  await assert.rejects(start({ dhcp4: { ...dhcp4, clientAddress: "10.0.2" } }), (thrown) => isFault(thrown, "PB4041"));
  await assert.rejects(start({ ra: { ...ra, linkLocal: "fe80::77" } }), (thrown) => isFault(thrown, "PB4040"));
  await assert.rejects(start({ device: "tap7" }), (thrown) => isFault(thrown, "PB4040"));
  await assert.rejects(
    startServices({ netns: "/run/netns/pbserve-none", podUid: "uid", services: [DUAL_STACK], onEvent: () => {} }),
    (thrown) => isFault(thrown, "PB4012"),
  );
  assert.equal(sockets(), "");
});

test("bad search domains of the node's resolv.conf are left out and said, the others are served", async (t) => {
  if (!needs(t, "root", "netns", "veth")) return;
  await using link = makeLink();
  const spec = {
    domain: { devices: { interfaces: [{ name: "default", masquerade: {}, macAddress: GUEST_MAC }] } },
    networks: [{ name: "default", pod: {} }],
  };
  const nics = nicContexts({ spec, hostName: "guest" });
  const resolver = podResolver({
    dnsPolicy: "Default",
    hostResolvConf: "nameserver 192.0.2.53\nsearch bad..domain.example _x - good.example\n",
  });
  const facts = { ...factsFor(nics, () => undefined), resolver };
  const services = wire(nics, facts).services.flatMap(({ dhcp4 }) =>
    dhcp4 === undefined ? [] : [{ nic: "default", device: "tap0", mac: DUAL_STACK.mac, dhcp4 }],
  );
  const events = new Events();
  const running = await startServices({ netns: link.serverPath, podUid: "uid", services, onEvent: events.on });
  try {
    assert.deepEqual(
      events.of("dhcp4", "left-out").map(({ message }) => /"(.*)"/.exec(message)?.[1]),
      ["bad..domain.example", "-"],
    );
    const { lease } = await udhcpc(link, "-O", "search");
    assert.deepEqual([lease.get("search"), lease.get("domain")], ["_x good.example", "good.example"]);
  } finally {
    await running.close();
  }
});

function readFileSyncWithin(link: ServeLink, path: string): string {
  return ip("netns", "exec", link.guest, "cat", path).trim();
}
