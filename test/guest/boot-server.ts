import { execFile } from "node:child_process";
import { chmod, copyFile, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { GUEST_KERNEL_ARGS, guestPaths } from "../../src/host/images/build-guest.ts";
import { openDebianPackages } from "../../src/host/images/debian-packages.ts";
import { exclusively } from "../../src/host/images/exclusive.ts";
import { eventually, type TestHost } from "../daemon.ts";
import { CACHE, guestImages } from "./image-cache.ts";

const execute = promisify(execFile);

/** A server of DHCP and TFTP that guests boot the test guest from; its kernel and initrd come by HTTP, which is faster. */
export interface BootServer {
  /** What it said so far: each lease, and each file that was asked for. */
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
  const files = host.start(["busybox", "httpd", "-f", "-vv", "-p", "80", "-h", root]);
  let log = "";
  for (const { stderr } of [server, files]) {
    stderr?.setEncoding("utf8").on("data", (text: string) => {
      log += text;
    });
  }
  await eventually("the boot server", () => Promise.resolve(log.includes("TFTP root is")));
  return { log: () => log };
}

/** dnsmasq's program, and a folder that it serves with the test guest in it. */
async function bootFiles(folder: string): Promise<{ readonly dnsmasq: string; readonly root: string }> {
  const store = await guestImages();
  const unpacked = join(folder, "unpacked");
  await exclusively(join(CACHE, "lock"), async () => {
    const packages = await openDebianPackages(join(CACHE, "packages"), () => {});
    await packages.unpack(["dnsmasq-base"], unpacked);
    const kernel = await packages.dependency("linux-image-amd64", "linux-image-");
    const archives = join(CACHE, "packages", "archives");
    const file = (await readdir(archives)).find((name) => name.startsWith(`${kernel}_`));
    if (file === undefined) return packages.unpack([kernel], unpacked);
    // It is there from the test guest's building, and most of what is in it is not wanted.
    const first = `dpkg-deb --fsys-tarfile "$1" 2>/dev/null | tar --extract --occurrence=1 --directory "$2" "./boot/$3"`;
    const vmlinuz = kernel.replace("linux-image-", "vmlinuz-");
    await execute("sh", ["-c", first, "sh", join(archives, file), unpacked, vmlinuz]);
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
    `#!ipxe
kernel http://\${next-server}/vmlinuz ${GUEST_KERNEL_ARGS} initrd=initrd
initrd http://\${next-server}/initrd
boot
`,
  );
  for (const file of await readdir(root)) await chmod(join(root, file), 0o644);
  return { dnsmasq: join(unpacked, "usr", "sbin", "dnsmasq"), root };
}
