import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { ServeEvent } from "../../src/host/serve/services.ts";
import type { NicServices } from "../../src/model/wiring/wiring.ts";

/** The server's and the guest's end of one link, each in a namespace of its own. */
export interface ServeLink extends AsyncDisposable {
  readonly server: string;
  readonly guest: string;
  /** Paths of the namespaces. */
  readonly serverPath: string;
  readonly guestPath: string;
  /** A folder that goes away with the link. */
  readonly folder: string;
}

export const SERVER_MAC = "02:00:00:00:00:01";
export const GUEST_MAC = "02:00:00:00:00:02";

/** No interface of the test's own namespace has it: nothing may look the index of a pod's device up there. */
const FAR_INDEX = "4242";

let number = 0;

/** A veth pair, `tap0` at the server's end with the addresses of a masquerade pod, `eth0` at the guest's, both up. */
export function makeLink(): ServeLink {
  number += 1;
  const [server, guest] = ["s", "g"].map((end) => `pbserve-${end}-${process.pid}-${number}`) as [string, string];
  for (const name of [server, guest]) ip("netns", "add", name);
  ip(
    "-n",
    server,
    "link",
    "add",
    "tap0",
    "index",
    FAR_INDEX,
    "address",
    SERVER_MAC,
    "mtu",
    "1400",
    "type",
    "veth",
    "peer",
    "name",
    "eth0",
    "netns",
    guest,
  );
  ip("-n", guest, "link", "set", "eth0", "address", GUEST_MAC);
  sysctl(server, "net.ipv6.conf.all.forwarding=1");
  ip("-n", server, "link", "set", "tap0", "up");
  ip("-n", server, "address", "add", "10.0.2.1/24", "dev", "tap0");
  for (const address of ["fd10:0:2::1/120", "fe80::1/64"])
    ip("-n", server, "address", "add", address, "dev", "tap0", "nodad");
  sysctl(guest, "net.ipv6.conf.eth0.accept_dad=0", "net.ipv6.conf.eth0.accept_ra=2", "net.ipv6.conf.eth0.autoconf=0");
  const folder = mkdtempSync(join(tmpdir(), "pbserve-"));
  return {
    server,
    guest,
    folder,
    serverPath: `/run/netns/${server}`,
    guestPath: `/run/netns/${guest}`,
    async [Symbol.asyncDispose]() {
      for (const name of [guest, server]) if (existsSync(`/run/netns/${name}`)) ip("netns", "delete", name);
      rmSync(folder, { recursive: true, force: true });
      await pause(0);
    },
  };
}

/** Runs `ip` and returns what it prints. */
export function ip(...words: readonly string[]): string {
  return execFileSync("ip", words, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** Sets sysctls (`key=value`) in a namespace. */
export function sysctl(netns: string, ...settings: readonly string[]): void {
  execFileSync("ip", ["netns", "exec", netns, "sysctl", "-q", "-w", ...settings], { stdio: "pipe" });
}

/** Waits until `look` finds something; fails after `seconds` with what was looked for. */
export async function eventually<T>(what: string, look: () => T | undefined, seconds = 60): Promise<T> {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const found = look();
    if (found !== undefined) return found;
    if (performance.now() > end) throw new Error(`${what} did not come within ${seconds} s`);
    await pause(20);
  }
}

/** Collects events and lets a test wait for one. */
export class Events {
  readonly all: ServeEvent[] = [];
  readonly on = (event: ServeEvent): void => {
    this.all.push(event);
  };

  of(service: ServeEvent["service"], kind: ServeEvent["kind"]): readonly ServeEvent[] {
    return this.all.filter((event) => event.service === service && event.kind === kind);
  }
}

/** What masquerade serves on a dual-stack pod. */
export const DUAL_STACK: NicServices = {
  nic: "default",
  device: "tap0",
  mac: SERVER_MAC,
  dhcp4: {
    serverAddress: "10.0.2.1",
    clientAddress: "10.0.2.2",
    prefixLength: 24,
    leaseSeconds: 86_313_600,
    mtu: 1400,
    routers: ["10.0.2.1"],
    dnsServers: ["10.96.0.10", "10.96.0.11"],
    hostName: "vm-a",
    domainName: "default.svc.cluster.local",
    searchDomains: ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"],
    ntpServers: ["10.0.0.7"],
    tftpServerName: "10.0.0.8",
    bootFileName: "pxelinux.0",
    privateOptions: [{ option: 240, value: "private" }],
    classlessRoutes: [],
  },
  dhcp6: {
    serverMac: SERVER_MAC,
    clientAddress: "fd10:0:2::2",
    leaseSeconds: 86_313_600,
    dnsServers: ["fd00:10:96::a"],
    searchDomains: ["default.svc.cluster.local", "cluster.local"],
  },
  ra: {
    mac: SERVER_MAC,
    linkLocal: "fe80::1",
    prefix: "fd10:0:2::/120",
    mtu: 1400,
    managed: true,
    otherConfig: true,
    routerLifetime: 9000,
    dnsServers: ["fd00:10:96::a"],
    searchDomains: ["default.svc.cluster.local", "cluster.local"],
  },
};
