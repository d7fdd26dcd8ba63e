import { Fault } from "../../model/fault.ts";
import {
  channelId,
  type DiskBus,
  type GuestHardware,
  hostDeviceId,
  type NicHardware,
  nicId,
  rngId,
  scsiId,
  usbId,
} from "../../model/guest/hardware.ts";
import type { GuestNic, UserNetwork } from "../../model/wiring/wiring.ts";
import { deviceArguments, type GuestDevices, machineProperties, VNC_SOCKET } from "./device-arguments.ts";
import { diskArguments } from "./disk-arguments.ts";
import { at, escaped, option, socket } from "./qemu-options.ts";

/**
 * Everything that decides QEMU's command line but the numbers of the tap fds. Plain data.
 *
 * Paths may be relative: QEMU runs in the guest's folder.
 */
export interface GuestSpec {
  /** Shown in the process list and in QEMU's messages. */
  readonly name: string;
  readonly uuid: string;
  readonly hardware: GuestHardware;
  readonly accel: "kvm" | "tcg";
  readonly kernelBoot?: { readonly kernel: string; readonly initrd?: string; readonly args: string };
  readonly disks: readonly GuestDisk[];
  readonly nics: readonly GuestNic[];
  /** The guest is not to run before it is let. */
  readonly paused?: boolean;
  readonly devices?: GuestDevices;
}

export interface GuestDisk {
  readonly name: string;
  readonly path: string;
  readonly format: "qcow2" | "raw";
  readonly bus: DiskBus;
  readonly readOnly: boolean;
  readonly cdrom?: boolean;
  /** From 1; the lowest is tried first. */
  readonly bootOrder?: number;
  readonly serial?: string;
  readonly tuning?: DiskTuning;
}

/** How a disk is read and written. */
export interface DiskTuning {
  /** Absent: as QEMU does it, through the machine's page cache. */
  readonly cache?: "none" | "writethrough" | "writeback";
  readonly io?: "native" | "threads" | "default";
  /** Others write the same file. */
  readonly shareable?: boolean;
  readonly errorPolicy?: "stop" | "ignore" | "report" | "enospace";
  /** Bytes. */
  readonly blockSize?: { readonly logical: number; readonly physical: number };
}

/** The sockets that QEMU listens on, and the file it copies the serial console to. */
export interface GuestFiles {
  readonly qmp: string;
  readonly serial: string;
  readonly agent: string;
  /** The screen, by VNC; not there where the guest has none. */
  readonly vnc: string;
  readonly consoleLog: string;
}

/** The files of a NIC that a process beside QEMU carries, by the NIC's place among the guest's. */
export interface StreamFiles {
  /** QEMU listens here. */
  readonly socket: string;
  /** What the process is called, no file. */
  readonly process: string;
  /** The process writes its number here once it is ready. */
  readonly ready: string;
  readonly log: string;
  /** What it says before it has its log. */
  readonly errors: string;
}

/** The names of such a NIC's files in the guest's folder; none is longer than those of {@link guestFiles}. */
export function streamFiles(runDir: string, index: number): StreamFiles {
  const stem = `${runDir}/nic${index}`;
  return {
    socket: `${stem}.sock`,
    process: `${stem}.passt`,
    ready: `${stem}.pid`,
    log: `${stem}.log`,
    errors: `${stem}.err`,
  };
}

/** Of a NIC's backend, by its name in the manifest. */
export function netdevId(nic: string): string {
  return `host-${nic}`;
}

/** The character device that the guest's agent is reached by, in QEMU. */
export const agentChannel = "agent0";

/** Longest path of a unix socket: sun_path without its terminating zero, unix(7). */
const MAX_SOCKET_PATH = 107;
/** Translated code of a TCG guest is kept up to this size; QEMU's own choice is up to 1 GiB a guest. */
const TCG_CACHE_MIB = 256;

/**
 * The names of a guest's files in its folder.
 *
 * @throws Fault PB5060
 */
export function guestFiles(runDir: string): GuestFiles {
  const files = {
    qmp: `${runDir}/qmp.sock`,
    serial: `${runDir}/serial.sock`,
    agent: `${runDir}/agent.sock`,
    vnc: `${runDir}/${VNC_SOCKET}`,
    consoleLog: `${runDir}/console.log`,
  };
  if (new TextEncoder().encode(files.serial).length > MAX_SOCKET_PATH) {
    throw new Fault("PB5060", `A socket in ${runDir} would have a path of more than ${MAX_SOCKET_PATH} bytes.`, {
      cure: "Use a data folder with a shorter path: --data-dir.",
      place: runDir,
    });
  }
  return files;
}

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

function nicArguments(
  spec: GuestSpec,
  hardware: NicHardware,
  fds: readonly number[],
  bootindex: number | undefined,
): string[][] {
  const nic = spec.nics.find((candidate) => candidate.name === hardware.name);
  if (nic === undefined) return [];
  const { attachment } = nic;
  if (attachment.kind === "vfio") return [["-device", hostDevice(hardware, attachment.pci, bootindex)]];
  const netdev = netdevId(nic.name);
  const virtio = hardware.model === "virtio";
  const device = option(hardware.device, {
    id: nicId(nic.name),
    netdev,
    mac: hardware.mac,
    ...at(hardware.place),
    ...(hardware.device === "virtio-net-pci" ? { "disable-legacy": true } : {}),
    ...(virtio ? { host_mtu: hardware.mtu } : {}),
    ...(virtio && hardware.queues > 1 ? { mq: true, vectors: 2 * hardware.queues + 2 } : {}),
    bootindex,
    // A NIC that is not booted from needs no boot ROM.
    romfile: bootindex === undefined ? "" : undefined,
    "acpi-index": hardware.acpiIndex,
  });
  return [
    ["-netdev", netdevArgument(spec, { ...nic, attachment }, netdev, fds)],
    ["-device", device],
  ];
}

/** A device of the host, handed over as it is: its MAC is set on the host. */
function hostDevice(hardware: NicHardware, host: string, bootindex: number | undefined): string {
  return option("vfio-pci", {
    id: hostDeviceId(hardware.name),
    host,
    ...at(hardware.place),
    bootindex,
    "acpi-index": hardware.acpiIndex,
  });
}

/** A NIC that QEMU makes, with something of the host behind it. */
interface BackedNic extends GuestNic {
  readonly attachment: Exclude<GuestNic["attachment"], { readonly kind: "vfio" }>;
}

function netdevArgument(spec: GuestSpec, nic: BackedNic, id: string, fds: readonly number[]): string {
  const { attachment } = nic;
  switch (attachment.kind) {
    case "user":
      return userNetwork(attachment, id);
    case "stream":
      // QEMU is the one that listens: it takes another passt where the first one ended, as its client side cannot here.
      return option("stream", {
        id,
        server: true,
        "addr.type": "unix",
        "addr.path": streamFiles(
          ".",
          spec.nics.findIndex(({ name }) => name === nic.name),
        ).socket,
      });
    case "tap":
    case "macvtap":
      if (fds.length === attachment.queues) return option("tap", { id, fds: fds.join(":") });
      throw new Fault("PB5059", `Interface ${nic.name} has ${attachment.queues} queues, but ${fds.length} open taps.`, {
        place: `spec.domain.devices.interfaces[${nic.name}]`,
      });
    case "plugin":
      throw new Fault("PB5059", `Interface ${nic.name} is plugged by the plugin ${attachment.plugin}, not here.`, {
        cure: "Use the masquerade or bridge binding.",
        place: `spec.domain.devices.interfaces[${nic.name}]`,
      });
  }
}

/** QEMU's user network: the addresses are said even where they are QEMU's own choice, as the guest is told of them. */
function userNetwork(
  { cidr, gateway, guest, nameserver, families, forwards, search }: UserNetwork,
  id: string,
): string {
  const four = families.includes(4);
  const head = option("user", {
    id,
    ipv4: four,
    ipv6: families.includes(6),
    ...(four ? { net: cidr, host: gateway, dns: nameserver, dhcpstart: guest } : {}),
  });
  const lists = [
    ...search.map((domain) => option("", { dnssearch: domain })),
    ...forwards.map(({ protocol, port }) => option("", { hostfwd: `${protocol}::${port}-:${port}` })),
  ];
  return [head, ...lists].join(",");
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
