import { chmod, copyFile, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { GUEST_KERNEL_ARGS, guestPaths } from "../../src/host/images/build-guest.ts";
import { openDebianPackages } from "../../src/host/images/debian-packages.ts";
import { exclusively } from "../../src/host/images/exclusive.ts";
import { eventually, type TestHost } from "../daemon.ts";
import { CACHE, guestImages } from "./image-cache.ts";

/** A server of DHCP and TFTP that guests boot the test guest from. */
export interface BootServer {
  /** What it said so far: each lease, and each file that it sent. */
  log(): string;
}

/** A link of the host that it serves on. */
export interface ServedLink {
  readonly link: string;
  /** Its address without `.1` at the end. */
  readonly network: string;
}

/** Starts dnsmasq on links; it ends with the test. */
export async function startBootServer(host: TestHost, links: readonly ServedLink[]): Promise<BootServer> {
  const { dnsmasq, root } = await bootFiles(host.dataDir);
  const server = host.start([
    ...[dnsmasq, "--no-daemon", "--conf-file=/dev/null", "--port=0", "--bind-interfaces", "--pid-file="],
    ...links.flatMap(({ link, network }) => [`--interface=${link}`, `--dhcp-range=${network}.10,${network}.20`]),
    `--dhcp-leasefile=${join(host.dataDir, "dnsmasq.leases")}`,
    ...["--user=root", "--enable-tftp", `--tftp-root=${root}`, "--dhcp-boot=boot.ipxe", "--log-dhcp"],
  ]);
  let log = "";
  server.stderr?.setEncoding("utf8");
  server.stderr?.on("data", (text: string) => {
    log += text;
  });
  await eventually("the boot server", () => Promise.resolve(log.includes("TFTP root is")));
  return { log: () => log };
}

/** dnsmasq's program, and a folder that it serves with the test guest in it. */
async function bootFiles(folder: string): Promise<{ readonly dnsmasq: string; readonly root: string }> {
  const store = await guestImages();
  const unpacked = join(folder, "unpacked");
  // The kernel's package is there already, from the test guest's building.
  await exclusively(join(CACHE, "lock"), async () => {
    const packages = await openDebianPackages(join(CACHE, "packages"), () => {});
    const kernel = await packages.dependency("linux-image-amd64", "linux-image-");
    await packages.unpack(["dnsmasq-base", kernel], unpacked);
  });
  const root = join(folder, "tftp");
  await mkdir(root);
  const boot = join(unpacked, "boot");
  const [vmlinuz = ""] = (await readdir(boot)).filter((name) => name.startsWith("vmlinuz"));
  const initrd = await store.extract("patchbay/guest:latest", guestPaths.initrd);
  await copyFile(join(boot, vmlinuz), join(root, "vmlinuz"));
  await copyFile(initrd, join(root, "initrd"));
  await writeFile(
    join(root, "boot.ipxe"),
    `#!ipxe\nkernel vmlinuz ${GUEST_KERNEL_ARGS} initrd=initrd\ninitrd initrd\nboot\n`,
  );
  for (const file of await readdir(root)) await chmod(join(root, file), 0o644);
  return { dnsmasq: join(unpacked, "usr", "sbin", "dnsmasq"), root };
}
