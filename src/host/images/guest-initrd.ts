import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Fault } from "../../model/fault.ts";
import { type ArchiveEntry, cpioArchive } from "./cpio.ts";
import { builtInModules, selectModules } from "./kernel-modules.ts";
import { runProgram } from "./run-program.ts";

/** The scripts that run inside the guest. */
const SCRIPTS = fileURLToPath(new URL("../../../guest/", import.meta.url));

/** Where each script goes in the guest; programs unless their mode says otherwise. */
const PLACES: Readonly<Record<string, { readonly path: string; readonly mode?: number }>> = {
  init: { path: "init" },
  inittab: { path: "etc/inittab", mode: 0o644 },
  profile: { path: "etc/profile", mode: 0o644 },
  "dhcpcd.conf": { path: "etc/dhcpcd.conf", mode: 0o644 },
  poweroff: { path: "etc/acpi/PWRF/00000080" },
  start: { path: "lib/guest/start" },
  late: { path: "lib/guest/late" },
  stop: { path: "lib/guest/stop" },
  nic: { path: "lib/guest/nic" },
  dhcp4: { path: "lib/guest/dhcp4" },
  dhcp6: { path: "lib/guest/dhcp6" },
  resolv: { path: "lib/guest/resolv" },
  "user-data": { path: "lib/guest/user-data" },
  "watch.pl": { path: "lib/guest/watch.pl", mode: 0o644 },
  page: { path: "www/cgi-bin/index.cgi" },
  bytes: { path: "www/cgi-bin/bytes" },
};

/**
 * Drivers of every NIC that QEMU offers, of the disks and file systems that cloud-init data comes on, of EFI's variables,
 * of the power button, and of an interface that only the guest knows.
 */
const MODULES = [
  ...["virtio_pci", "virtio_net", "virtio_blk", "virtio_scsi", "virtio_rng", "virtio_balloon", "virtio_console"],
  ...["e1000", "e1000e", "igb", "igbvf", "ne2k_pci", "pcnet32", "8139cp", "8139too", "vmxnet3"],
  ...["ahci", "ata_piix", "sd_mod", "sr_mod", "isofs", "vfat", "nls_cp437", "nls_ascii", "nls_iso8859_1", "nls_utf8"],
  ...["qemu_fw_cfg", "efivarfs", "button", "evdev", "i6300esb", "dummy"],
];

/** Programs and libraries out of Debian's packages, by their place in the guest. */
const PROGRAMS: Readonly<Record<string, string>> = {
  "bin/busybox": "bin/busybox",
  "usr/bin/perl": "usr/bin/perl",
  "usr/lib/x86_64-linux-gnu/perl-base/strict.pm": "usr/lib/x86_64-linux-gnu/perl-base/strict.pm",
  "usr/sbin/dhcpcd": "usr/sbin/dhcpcd",
  "lib64/ld-linux-x86-64.so.2": "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
  "lib/x86_64-linux-gnu/libc.so.6": "lib/x86_64-linux-gnu/libc.so.6",
  "lib/x86_64-linux-gnu/libm.so.6": "lib/x86_64-linux-gnu/libm.so.6",
  "lib/x86_64-linux-gnu/libcrypt.so.1": "lib/x86_64-linux-gnu/libcrypt.so.1",
};

const EMPTY_FOLDERS = ["dev", "proc", "sys", "run", "tmp", "mnt", "root", "sbin", "var/lib/dhcpcd", "lib/modules"];

/** Debian's packages whose files the guest is made of, beside the kernel. */
export const guestPackages = ["busybox-static", "perl-base", "libc6", "libcrypt1", "dhcpcd-base"] as const;

/**
 * The guest's initramfs out of an unpacked kernel package and the unpacked {@link guestPackages}.
 *
 * Not compressed: an emulated machine takes longer to unpack it than to have it copied. The same input gives the same bytes.
 */
export async function guestInitrd(root: string, kernelRelease: string): Promise<Buffer> {
  const folder = join(root, "lib/modules", kernelRelease);
  const builtIn = builtInModules(await readFile(join(folder, "modules.builtin"), "utf8"));
  const set = await selectModules(join(folder, "kernel"), MODULES, builtIn);
  const there = `lib/modules/${kernelRelease}`;
  const files: ArchiveEntry[] = [
    ...(await scripts()),
    ...(await programs(root)),
    ...set.modules.map((module): ArchiveEntry => text(`${there}/${module.file}`, module.data)),
    text(`${there}/modules.dep`, set.dependencies),
    text(`${there}/modules.alias`, set.aliases),
    text(`${there}/modules.symbols`, ""),
    text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
    text("etc/group", "root:x:0:\n"),
    text("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    text("etc/resolv.conf", ""),
    { kind: "device", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
    { kind: "link", path: "sbin/modprobe", target: "/bin/busybox" },
  ];
  return cpioArchive([...parents(files), ...files]);
}

function text(path: string, data: string | Uint8Array): ArchiveEntry {
  return { kind: "file", path, mode: 0o644, data: typeof data === "string" ? Buffer.from(data) : data };
}

async function scripts(): Promise<ArchiveEntry[]> {
  const present = await readdir(SCRIPTS);
  return Promise.all(
    present.map(async (name): Promise<ArchiveEntry> => {
      const place = PLACES[name];
      if (place === undefined) throw new Fault("PB5008", `guest/${name} has no place in the guest.`, { place: name });
      return { kind: "file", path: place.path, mode: place.mode ?? 0o755, data: await readFile(join(SCRIPTS, name)) };
    }),
  );
}

async function programs(root: string): Promise<ArchiveEntry[]> {
  const files = await Promise.all(
    Object.entries(PROGRAMS).map(async ([path, source]): Promise<ArchiveEntry> => {
      const mode = path.endsWith(".pm") ? 0o644 : 0o755;
      return { kind: "file", path, mode, data: await readFile(join(root, source)).catch(missing(source)) };
    }),
  );
  const names = (await runProgram(join(root, "bin/busybox"), ["--list"])).toString().split("\n");
  const links = names
    .filter((name) => name !== "" && name !== "busybox")
    .map((name): ArchiveEntry => ({ kind: "link", path: `bin/${name}`, target: "busybox" }));
  return [...files, ...links];
}

function missing(source: string): (cause: unknown) => never {
  return (cause) => {
    throw new Fault("PB5008", `Debian's packages do not hold /${source}.`, { place: source, cause });
  };
}

/** Every folder that the files lie in, and those that are mount points. */
function parents(files: readonly ArchiveEntry[]): ArchiveEntry[] {
  const folders = new Set<string>();
  for (const path of [...files.map((file) => file.path.replace(/\/?[^/]*$/, "")), ...EMPTY_FOLDERS]) {
    const parts = path.split("/").filter((part) => part !== "");
    for (let depth = 1; depth <= parts.length; depth++) folders.add(parts.slice(0, depth).join("/"));
  }
  return [...folders].map((path) => ({ kind: "directory", path, mode: 0o755 }));
}
