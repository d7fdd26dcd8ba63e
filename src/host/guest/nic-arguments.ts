import { Fault } from "../../model/fault.ts";
import { hostDeviceId, type NicHardware, nicId } from "../../model/guest/hardware.ts";
import type { GuestNic, UserNetwork } from "../../model/wiring/wiring.ts";
import { streamFiles } from "./guest-files.ts";
import type { GuestSpec } from "./guest-spec.ts";
import { at, option } from "./qemu-options.ts";

/** Of a NIC's backend, by its name in the manifest. */
export function netdevId(nic: string): string {
  return `host-${nic}`;
}

/** The arguments for one NIC, with the numbers of its tap fds in QEMU; `bootindex` where it is booted from. */
export function nicArguments(
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
