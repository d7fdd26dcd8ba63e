import { channelId, rngId, scsiId, usbId } from "../../model/guest/hardware.ts";
import { deviceArguments, machineProperties } from "./device-arguments.ts";
import { diskArguments } from "./disk-arguments.ts";
import { guestFiles } from "./guest-files.ts";
import type { GuestSpec } from "./guest-spec.ts";
import { nicArguments } from "./nic-arguments.ts";
import { at, escaped, option, socket } from "./qemu-options.ts";

/** The character device that the guest's agent is reached by, in QEMU. */
export const agentChannel = "agent0";

/** Translated code of a TCG guest is kept up to this size; QEMU's own choice is up to 1 GiB a guest. */
const TCG_CACHE_MIB = 256;

/**
 * QEMU's arguments, without the program's name.
 *
 * `fds` has, by NIC name, the numbers of its queues' tap fds in QEMU. The guest does not run before `cont` where a NIC's
 * link is to be down at first ({@link startsPaused}).
 *
 * @throws Fault PB5059
 */
export function qemuCommandLine(spec: GuestSpec, fds: ReadonlyMap<string, readonly number[]>): string[] {
  const { hardware } = spec;
  const files = guestFiles(".");
  const boot = bootIndexes(spec);
  const { cpu } = hardware;
  return [
    ["-name", option(`guest=${escaped(spec.name)}`, { "debug-threads": true })],
    ["-uuid", spec.uuid],
    ["-no-user-config"],
    ["-nodefaults"],
    ["-msg", "timestamp=on"],
    ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
    [
      "-machine",
      option(hardware.machine, { usb: false, vmport: false, "dump-guest-core": false, ...machineProperties(spec) }),
    ],
    ["-accel", spec.accel === "kvm" ? "kvm" : option("tcg", { thread: "multi", "tb-size": TCG_CACHE_MIB })],
    ["-cpu", cpu.model],
    [
      "-smp",
      `${cpu.sockets * cpu.cores * cpu.threads},sockets=${cpu.sockets},cores=${cpu.cores},threads=${cpu.threads}`,
    ],
    ["-m", `${hardware.memoryMiB}M`],
    ["-rtc", "base=utc"],
    ["-boot", "menu=off,strict=on"],
    ["-display", "none"],
    // A guest that shut itself down stays until somebody has seen it: the daemon may be away just then.
    ["-action", "shutdown=pause"],
    ...(startsPaused(spec) ? [["-S"]] : []),
    ["-chardev", socket("qmp", files.qmp)],
    ["-mon", "chardev=qmp,mode=control"],
    ["-chardev", socket("serial0", files.serial, { logfile: files.consoleLog, logappend: true })],
    ["-device", "isa-serial,chardev=serial0"],
    ...kernelArguments(spec),
    ...(hardware.graphics ? [["-device", option("VGA", { bus: "pcie.0", addr: "0x1" })]] : []),
    ...hardware.expanders.map(({ id, number, place }) => [
      "-device",
      option("pxb-pcie", { id, bus_nr: number, ...at(place) }),
    ]),
    ...hardware.ports.map((port) => [
      "-device",
      option("pcie-root-port", { id: port.id, ...at(port.place), chassis: port.chassis, slot: port.chassis }),
    ]),
    ...hardware.bridges.map(({ id, place }) => ["-device", option("pcie-pci-bridge", { id, ...at(place) })]),
    ...hardware.fillers.map(({ id, place }) => ["-device", option("pci-testdev", { id, ...at(place) })]),
    ...controllers(spec),
    ...spec.disks.flatMap((disk, index) => diskArguments(spec, disk, index, boot.get(`disk ${disk.name}`))),
    ...hardware.nics.flatMap((nic) => nicArguments(spec, nic, fds.get(nic.name) ?? [], boot.get(`nic ${nic.name}`))),
    ...deviceArguments(spec),
  ].flat();
}

/** True when the guest must not run yet: it is to be paused, or the links of its NICs are set first. */
export function startsPaused(spec: GuestSpec): boolean {
  return spec.paused === true || spec.nics.some((nic) => !nic.linkUp);
}

function kernelArguments(spec: GuestSpec): string[][] {
  const { kernelBoot } = spec;
  if (kernelBoot === undefined) return [];
  return [
    ["-kernel", kernelBoot.kernel],
    ...(kernelBoot.initrd === undefined ? [] : [["-initrd", kernelBoot.initrd]]),
    ...(kernelBoot.args === "" ? [] : [["-append", kernelBoot.args]]),
  ];
}

/** Channels, entropy and the disks' controllers, where the hardware has them. */
function controllers(spec: GuestSpec): string[][] {
  return spec.hardware.devices.flatMap(({ id, place }): string[][] => {
    switch (id) {
      case channelId:
        return [
          ["-device", option("virtio-serial-pci", { id, "disable-legacy": true, ...at(place) })],
          ["-chardev", socket(agentChannel, guestFiles(".").agent)],
          // Without an id QEMU does not say when the guest opens it.
          [
            "-device",
            option("virtserialport", {
              bus: `${id}.0`,
              id: "agent-port",
              chardev: agentChannel,
              name: "org.qemu.guest_agent.0",
            }),
          ],
        ];
      case rngId:
        return [
          ["-object", "rng-random,id=entropy,filename=/dev/urandom"],
          ["-device", option("virtio-rng-pci", { id, rng: "entropy", "disable-legacy": true, ...at(place) })],
        ];
      case scsiId:
        return [["-device", option("virtio-scsi-pci", { id, "disable-legacy": true, ...at(place) })]];
      case usbId:
        return [["-device", option("qemu-xhci", { id, ...at(place) })]];
      default:
        return [];
    }
  });
}

/**
 * Boot index by device. With `strict=on` nothing else is tried, so where the manifest orders nothing the first disk is
 * first, as libvirt has it.
 */
function bootIndexes(spec: GuestSpec): Map<string, number> {
  const indexes = new Map<string, number>();
  for (const disk of spec.disks) if (disk.bootOrder !== undefined) indexes.set(`disk ${disk.name}`, disk.bootOrder);
  for (const nic of spec.hardware.nics) if (nic.bootOrder !== undefined) indexes.set(`nic ${nic.name}`, nic.bootOrder);
  if (indexes.size === 0 && spec.kernelBoot === undefined) {
    const first = spec.disks.find((disk) => disk.cdrom !== true) ?? spec.disks[0];
    if (first !== undefined) indexes.set(`disk ${first.name}`, 1);
  }
  return indexes;
}
