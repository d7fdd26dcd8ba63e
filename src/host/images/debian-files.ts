import { ROOT_LABEL } from "./debian-disk.ts";

/**
 * The Debian guest's packages. Their dependencies come with them, what is only recommended does not.
 */
export const debianPackages = [
  ...["linux-image-amd64", "initramfs-tools", "zstd", "systemd-sysv", "udev", "kmod", "dbus", "usr-is-merged"],
  ...["systemd-resolved", "netbase", "iproute2", "iputils-ping", "ca-certificates", "curl"],
  ...["cloud-init", "qemu-guest-agent", "sudo"],
  ...["iperf3", "ethtool", "tcpdump"],
] as const;

/**
 * Drivers of the disks that a guest can boot from, and of those that bring cloud-init's data, which are looked for before
 * others load.
 */
const EARLY_MODULES = [
  "virtio_pci",
  "virtio_blk",
  "virtio_scsi",
  "ahci",
  "sd_mod",
  "sr_mod",
  "xhci_pci",
  "usb_storage",
  "ext4",
];

/** Both consoles, the interfaces' names as manifests write them, and no work that an emulated processor takes long for. */
const KERNEL_ARGS = [
  ...[`root=LABEL=${ROOT_LABEL}`, "ro", "console=tty0", "console=ttyS0", "net.ifnames=0", "quiet"],
  ...["tsc=reliable", "no_timer_check", "mitigations=off", "cryptomgr.notests", "random.trust_cpu=on"],
].join(" ");

/** Files of the guest that are not Debian's, by their path. */
export const debianFiles: Readonly<Record<string, string>> = {
  "etc/fstab": `LABEL=${ROOT_LABEL} / ext4 defaults,noatime 0 1\n`,
  "etc/hostname": "debian\n",
  "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
  "etc/apt/sources.list": [
    "deb http://deb.debian.org/debian bookworm main",
    "deb http://deb.debian.org/debian bookworm-updates main",
    "deb http://deb.debian.org/debian-security bookworm-security main",
    "",
  ].join("\n"),
  "etc/initramfs-tools/conf.d/patchbay": "MODULES=list\nCOMPRESS=zstd\nFSTYPE=ext4\n",
  "etc/initramfs-tools/modules": `${EARLY_MODULES.join("\n")}\n`,
  // /vmlinuz and /initrd.img are Debian's links to the newest kernel.
  "boot/grub/grub.cfg": `set timeout=0\nlinux /vmlinuz ${KERNEL_ARGS}\ninitrd /initrd.img\nboot\n`,
  // A NIC that nobody configured must not hold the boot up for two minutes.
  "etc/systemd/system/systemd-networkd-wait-online.service.d/patchbay.conf":
    "[Service]\nExecStart=\nExecStart=/lib/systemd/systemd-networkd-wait-online --any --timeout=15\n",
  // A disk that turns up late brings data as well.
  "etc/cloud/ds-identify.cfg": "policy: search,found=all,maybe=all,notfound=enabled\n",
  "etc/cloud/cloud.cfg.d/90_patchbay.cfg": [
    "# Only what a disk of KubeVirt can bring, and what costs little on an emulated processor.",
    "datasource_list: [NoCloud, ConfigDrive, None]",
    "disable_root: false",
    "ssh_deletekeys: false",
    "cloud_init_modules: [seed_random, bootcmd, write-files, set_hostname, update_hostname, update_etc_hosts, ca-certs, users-groups]",
    "cloud_config_modules: [set-passwords, timezone, runcmd]",
    "cloud_final_modules: [package-update-upgrade-install, scripts-vendor, scripts-per-once, scripts-per-boot, scripts-per-instance, scripts-user, final-message, power-state-change]",
    "",
  ].join("\n"),
};

/** Commands that finish the installed system, run in it. */
export const debianCommands: readonly (readonly string[])[] = [
  ["systemctl", "enable", "systemd-networkd.service", "systemd-networkd-wait-online.service"],
  [
    ...["systemctl", "mask", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "fstrim.timer"],
    ...["e2scrub_all.timer", "e2scrub_reap.service", "systemd-pstore.service", "cloud-init-hotplugd.socket"],
  ],
  ["ln", "-sf", "../run/systemd/resolve/stub-resolv.conf", "/etc/resolv.conf"],
  [
    ...[
      "sh",
      "-c",
      'for modules in /lib/modules/*; do for part in "$@"; do rm -rf "$modules/kernel/$part"; done; done',
      "sh",
    ],
    // Hardware that no guest has.
    ...[
      "drivers/media",
      "drivers/gpu/drm/amd",
      "drivers/gpu/drm/nouveau",
      "drivers/gpu/drm/i915",
      "drivers/gpu/drm/radeon",
    ],
    ...["drivers/net/wireless", "drivers/staging", "drivers/iio", "drivers/isdn", "drivers/bluetooth", "net/bluetooth"],
    ...["net/mac80211", "net/wireless", "sound"],
  ],
  ["sh", "-c", 'cd /lib/modules; for version in *; do depmod "$version" && update-initramfs -u -k "$version"; done'],
  [
    ...["rm", "-rf", "/debootstrap", "/var/lib/apt/lists", "/var/cache/apt", "/usr/share/doc", "/usr/share/man"],
    ...["/usr/share/info", "/usr/share/locale", "/var/log", "/var/cache/debconf", "/var/lib/dbus/machine-id"],
  ],
  ["sh", "-c", "mkdir -p /var/log /var/cache/apt/archives/partial /var/lib/apt/lists/partial; : >/etc/machine-id"],
];
