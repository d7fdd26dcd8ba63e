import assert from "node:assert/strict";
import { execFile, execFileSync, spawn } from "node:child_process";
import { type TestContext, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import { GUEST_IMAGE, GUEST_KERNEL_ARGS, guestPaths } from "../../src/host/images/build-guest.ts";
import { kernelBoot } from "../../src/host/images/volumes.ts";
import { startServices } from "../../src/host/serve/services.ts";
import type { NicServices } from "../../src/model/wiring/wiring.ts";
import { PATIENCE_MS } from "../daemon.ts";
import { needs } from "../needs.ts";
import { guestImages } from "./image-cache.ts";

const NETNS = "pbimage-net";
const MAC = "02:00:00:00:00:01";

/** What Patchbay's servers tell the guest; each value is looked for on the guest's page. */
const services: NicServices = {
  nic: "default",
  device: "tap0",
  mac: MAC,
  dhcp4: {
    serverAddress: "10.0.2.1",
    clientAddress: "10.0.2.2",
    prefixLength: 24,
    leaseSeconds: 86313600,
    mtu: 1400,
    routers: ["10.0.2.1"],
    dnsServers: ["10.96.0.10"],
    hostName: "named-by-dhcp",
    domainName: "default.svc.cluster.local",
    searchDomains: ["default.svc.cluster.local", "svc.cluster.local"],
    ntpServers: [],
    privateOptions: [{ option: 240, value: "private" }],
    classlessRoutes: [
      { destination: "192.0.2.0/24", gateway: "10.0.2.9" },
      { destination: "0.0.0.0/0", gateway: "10.0.2.1" },
    ],
  },
  dhcp6: {
    serverMac: MAC,
    clientAddress: "fd10:0:2::2",
    leaseSeconds: 86313600,
    dnsServers: ["fd00::10"],
    searchDomains: ["six.example"],
  },
  ra: {
    mac: MAC,
    linkLocal: "fe80::1",
    prefix: "fd10:0:2::/120",
    mtu: 1400,
    managed: true,
    otherConfig: true,
    routerLifetime: 9000,
    dnsServers: ["fd00::11"],
    searchDomains: ["advertised.example"],
  },
};

function inNamespace(...command: readonly string[]): void {
  execFileSync("ip", ["netns", "exec", NETNS, ...command]);
}

function makeNamespace(t: TestContext): void {
  execFileSync("ip", ["netns", "add", NETNS]);
  t.after(() => execFileSync("ip", ["netns", "del", NETNS]));
  // A neighbour that forwards nothing says so when the guest looks whether it is still there, and is no router any more.
  inNamespace("sysctl", "-q", "-w", "net.ipv6.conf.all.forwarding=1");
  inNamespace("ip", "link", "set", "lo", "up");
  inNamespace("ip", "tuntap", "add", "tap0", "mode", "tap");
  inNamespace("ip", "link", "set", "tap0", "address", MAC, "mtu", "1400", "up");
  inNamespace("ip", "addr", "add", "10.0.2.1/24", "dev", "tap0");
  inNamespace("ip", "addr", "add", "fd10:0:2::1/120", "dev", "tap0", "nodad");
  inNamespace("ip", "addr", "add", "fe80::1/64", "dev", "tap0", "nodad");
}

/** The guest's page, fetched in the namespace until it has all that is expected. */
async function page(url: string, patterns: readonly RegExp[], console: () => string): Promise<string> {
  let text = "";
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; await setTimeout(100)) {
    const fetched = await promisify(execFile)("ip", [
      "netns",
      "exec",
      NETNS,
      "timeout",
      "30",
      "busybox",
      "wget",
      "-q",
      "-O",
      "-",
      url,
    ]).catch(() => undefined);
    text = fetched?.stdout ?? text;
    if (patterns.every((pattern) => pattern.test(text))) return text;
  }
  const lacking = patterns.filter((pattern) => !pattern.test(text));
  assert.fail(`the page at ${url} lacks ${lacking.join(", ")}; it says:\n${text}\nconsole:\n${console()}`);
}

test("the guest takes everything that DHCPv4, DHCPv6 and router advertisements offer", async (t) => {
  if (!needs(t, "guestImage", "qemu", "netns", "tun")) return;
  const { kernel, initrd } = await kernelBoot(await guestImages(), GUEST_IMAGE, guestPaths.kernel, guestPaths.initrd);
  assert.ok(initrd !== undefined);
  makeNamespace(t);
  const running = await startServices({
    netns: `/run/netns/${NETNS}`,
    podUid: "image-network",
    services: [services],
    onEvent: () => {},
  });
  t.after(() => running.close());
  const machine = [
    "-machine",
    "q35",
    "-accel",
    "tcg",
    "-cpu",
    "qemu64",
    "-m",
    "256M",
    "-nodefaults",
    "-display",
    "none",
  ];
  const boot = ["-kernel", kernel, "-initrd", initrd, "-append", GUEST_KERNEL_ARGS, "-serial", "stdio"];
  const nic = [
    "-netdev",
    "tap,id=n0,ifname=tap0,script=no,downscript=no",
    "-device",
    "virtio-net-pci,netdev=n0,host_mtu=1400",
  ];
  const child = spawn("ip", ["netns", "exec", NETNS, "qemu-system-x86_64", ...machine, ...boot, ...nic], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  let console = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    console += text;
  });

  const expected = [
    /hostname: named-by-dhcp\n/,
    /address: 10\.0\.2\.2\/24\n/,
    /address: fd10:0:2::2\/128\n/,
    /mtu: 1400\n/,
    /route: default via 10\.0\.2\.1 dev eth0/,
    /route: 192\.0\.2\.0\/24 via 10\.0\.2\.9 dev eth0/,
    /route: default via fe80::1 dev eth0/,
    /resolv\.conf: nameserver 10\.96\.0\.10\n/,
    /resolv\.conf: nameserver fd00::10\n/,
    /resolv\.conf: nameserver fd00::11\n/,
    /search.* default\.svc\.cluster\.local/,
    /search.* svc\.cluster\.local/,
    /search.* six\.example/,
    /search.* advertised\.example/,
  ];
  await page("http://10.0.2.2/", expected, () => console);
  await page("http://[fd10:0:2::2]/", [/hostname: named-by-dhcp\n/], () => console);
});
