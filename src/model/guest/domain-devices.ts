import type { GuestNic, PasstPorts, UserNetwork } from "../wiring/wiring.ts";
import { diskTargets } from "./disk-targets.ts";
import type { DomainDisk, DomainRequest } from "./domain-request.ts";
import {
  busNumbers,
  channelId,
  diskId,
  hostDeviceId,
  type NicHardware,
  nicId,
  rngId,
  scsiId,
  tabletBusId,
  usbId,
} from "./hardware.ts";
import { inputsOf } from "./hardware-request.ts";
import type { PciPlace } from "./pci.ts";
import { element, elements, type XmlContent, type XmlElement } from "./xml.ts";

const hex = (value: number, digits: number): string => `0x${value.toString(16).padStart(digits, "0")}`;

/** A place as the guest sees it: libvirt's controllers are numbered as the firmware numbers buses. */
export function pciAddress({ hardware }: Pick<DomainRequest, "hardware">, place: PciPlace | undefined): XmlContent {
  if (place === undefined) return undefined;
  return element("address", {
    type: "pci",
    domain: hex(0, 4),
    bus: hex(busNumbers(hardware).get(place.bus) ?? 0, 2),
    slot: hex(place.slot, 2),
    function: hex(place.function, 1),
    multifunction: place.multifunction ? "on" : undefined,
  });
}

const alias = (name: string): XmlElement => element("alias", { name });
const boot = (order: number | undefined): XmlContent => (order === undefined ? undefined : element("boot", { order }));

/** Buses and controllers, in the order of their numbers. */
export function controllers(request: DomainRequest): readonly XmlElement[] {
  const { hardware, disks } = request;
  const numbers = busNumbers(hardware);
  const pci = (id: string, model: string, place: PciPlace, ...inside: readonly XmlContent[]): XmlElement =>
    element(
      "controller",
      { type: "pci", index: numbers.get(id) ?? 0, model },
      ...inside,
      alias(id),
      pciAddress(request, place),
    );
  const buses = [
    ...hardware.expanders.map(({ id, number, place }) =>
      pci(id, "pcie-expander-bus", place, element("target", { busNr: number })),
    ),
    ...hardware.ports.map(({ id, chassis, place }) =>
      pci(id, "pcie-root-port", place, element("target", { chassis, port: hex(chassis, 1) })),
    ),
    ...hardware.bridges.map(({ id, place }) => pci(id, "pcie-to-pci-bridge", place)),
  ].toSorted((one, other) => Number(one.attributes["index"]) - Number(other.attributes["index"]));
  const placed = (id: string, attributes: Readonly<Record<string, string | number>>): XmlContent => {
    const place = hardware.devices.find((device) => device.id === id)?.place;
    return place === undefined
      ? undefined
      : element("controller", { ...attributes, index: 0 }, alias(id), pciAddress(request, place));
  };
  return elements(
    element("controller", { type: "pci", index: 0, model: "pcie-root" }, alias("pcie.0")),
    buses,
    disks.some(({ bus }) => bus === "sata")
      ? element("controller", { type: "sata", index: 0 }, alias("ide"))
      : undefined,
    placed(scsiId, { type: "scsi", model: "virtio-non-transitional" }),
    placed(usbId, { type: "usb", model: "qemu-xhci" }),
    tabletBus(request),
    placed(channelId, { type: "virtio-serial", model: "virtio-non-transitional" }),
  );
}

/** The controller of USB tablets: the second one where disks have one of their own. */
function tabletBus(request: DomainRequest): XmlContent {
  const { hardware, domain } = request;
  if (!inputsOf(domain).some(({ bus }) => bus === "usb")) return undefined;
  const placeOf = (id: string): PciPlace | undefined => hardware.devices.find((device) => device.id === id)?.place;
  const index = placeOf(usbId) === undefined ? 0 : 1;
  const place = pciAddress(request, placeOf(tabletBusId));
  return element("controller", { type: "usb", model: "qemu-xhci", index }, alias(tabletBusId), place);
}

/** The disks, with the names that libvirt has for such: they need not be the guest's. */
export function diskElements(request: DomainRequest): readonly XmlElement[] {
  const targets = diskTargets(request.disks);
  return request.disks.map((disk) => diskElement(request, disk, targets.get(disk.name) ?? ""));
}

function diskElement(request: DomainRequest, disk: DomainDisk, target: string): XmlElement {
  const { name, bus, cdrom, readOnly, bootOrder, serial, file, format, tuning = {} } = disk;
  const { blockSize, shareable } = tuning;
  const id = diskId(name);
  return element(
    "disk",
    { type: "file", device: cdrom === true ? "cdrom" : "disk" },
    element("driver", { name: "qemu", type: format, ...driverOf(tuning), discard: "unmap" }),
    file === undefined ? undefined : element("source", { file }),
    blockSize === undefined
      ? undefined
      : element("blockio", { logical_block_size: blockSize.logical, physical_block_size: blockSize.physical }),
    element("target", { dev: target, bus }),
    readOnly || cdrom === true ? element("readonly") : undefined,
    shareable === true ? element("shareable") : undefined,
    serial === undefined ? undefined : element("serial", {}, serial),
    boot(bootOrder),
    alias(`ua-${name}`),
    pciAddress(request, request.hardware.devices.find((device) => device.id === id)?.place),
  );
}

/** QEMU has native I/O for files without the page cache alone; what the manifest calls `default` is no wish. */
function driverOf({
  cache,
  io,
  errorPolicy,
}: NonNullable<DomainDisk["tuning"]>): Readonly<Record<string, string | undefined>> {
  const done = io === "native" && cache !== "none" ? "threads" : io;
  return { cache, error_policy: errorPolicy, io: done === "default" ? undefined : done };
}

/** The NICs in the manifest's order: as interfaces, or as devices of the host that are handed over. */
export function nicElements(request: DomainRequest): readonly XmlElement[] {
  return request.nics.flatMap((nic) => {
    const hardware = request.hardware.nics.find(({ name }) => name === nic.name);
    if (hardware === undefined) return [];
    return nic.attachment.kind === "vfio"
      ? [hostDevice(request, nic.name, nic.attachment.pci, hardware)]
      : interfaceElement(request, nic, hardware);
  });
}

function interfaceElement(request: DomainRequest, nic: GuestNic, hardware: NicHardware): readonly XmlElement[] {
  const { attachment } = nic;
  const { mtu, mac, bootOrder, acpiIndex, queues } = hardware;
  const multiqueue = hardware.model === "virtio" && queues > 1;
  const all = (type: string, ...own: readonly XmlContent[]): readonly XmlElement[] => [
    element(
      "interface",
      { type },
      element("mac", { address: mac }),
      own,
      element("model", { type: modelName(hardware) }),
      multiqueue ? element("driver", { name: "qemu", queues }) : undefined,
      nic.linkUp ? undefined : element("link", { state: "down" }),
      element("mtu", { size: mtu }),
      boot(bootOrder),
      acpiIndex === undefined ? undefined : element("acpi", { index: acpiIndex }),
      alias(nicId(nic.name)),
      bootOrder === undefined ? element("rom", { enabled: "no" }) : undefined,
      pciAddress(request, hardware.place),
    ),
  ];
  switch (attachment.kind) {
    case "tap":
    case "macvtap":
      return all("ethernet", element("target", { dev: attachment.device, managed: "no" }));
    case "stream":
      return all(
        "user",
        element("backend", { type: "passt" }),
        element("source", { dev: attachment.device }),
        portForwards(attachment.ports),
      );
    case "user":
      return all("user", slirpAddresses(attachment));
    default:
      return [];
  }
}

/** `virtio` is spelt as KubeVirt spells it to libvirt (reference 7.3). */
function modelName({ device, model }: NicHardware): string {
  if (device === "virtio-net-pci") return "virtio-non-transitional";
  return device === "virtio-net-pci-transitional" ? "virtio-transitional" : model;
}

function portForwards(ports: PasstPorts): readonly XmlElement[] {
  return (["tcp", "udp"] as const).flatMap((proto) => {
    const listens = ports[proto];
    if (listens !== "all" && listens.length === 0) return [];
    const ranges =
      listens === "all" ? [] : listens.map(({ port, last }) => element("range", { start: port, end: last }));
    return [element("portForward", { proto }, ranges)];
  });
}

/** What libvirt can say of QEMU's user network; the forwarded ports are in {@link slirpForwards}. */
function slirpAddresses({ cidr, families }: UserNetwork): XmlContent {
  const [address = "", prefix = ""] = cidr.split("/");
  return families.includes(4) ? element("ip", { family: "ipv4", address, prefix }) : undefined;
}

/** Ports of QEMU's user network, as QMP's human monitor takes them: libvirt has no element for them. */
export function slirpForwards({ nics }: DomainRequest): readonly XmlElement[] {
  return nics.flatMap(({ name, attachment }) =>
    attachment.kind !== "user"
      ? []
      : attachment.forwards.map(({ protocol, port }) =>
          element("patchbay:forward", { interface: name, protocol, port }),
        ),
  );
}

function hostDevice(request: DomainRequest, name: string, pci: string, hardware: NicHardware): XmlElement {
  const [, domain = "", bus = "", slot = "", fn = ""] = /^([\da-f]+):([\da-f]+):([\da-f]+)\.(\d)$/i.exec(pci) ?? [];
  return element(
    "hostdev",
    { mode: "subsystem", type: "pci", managed: "no" },
    element(
      "source",
      {},
      element("address", { domain: `0x${domain}`, bus: `0x${bus}`, slot: `0x${slot}`, function: `0x${fn}` }),
    ),
    boot(hardware.bootOrder),
    alias(hostDeviceId(name)),
    pciAddress(request, hardware.place),
  );
}

/** The source of entropy, where the guest has one. */
export function rngElement(request: DomainRequest): XmlContent {
  const place = request.hardware.devices.find(({ id }) => id === rngId)?.place;
  if (place === undefined) return undefined;
  const backend = element("backend", { model: "random" }, "/dev/urandom");
  return element("rng", { model: "virtio-non-transitional" }, backend, alias(rngId), pciAddress(request, place));
}
