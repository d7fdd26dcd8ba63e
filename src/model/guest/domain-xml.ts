import type { Domain } from "../api/domain.ts";
import { isJsonObject, textAt } from "../json.ts";
import { controllers, diskElements, nicElements, pciAddress, rngElement, slirpForwards } from "./domain-devices.ts";
import type { DomainRequest } from "./domain-request.ts";
import { inputId, watchdogId } from "./hardware.ts";
import { inputsOf } from "./hardware-request.ts";
import { parseQuantity } from "./quantity.ts";
import { element, renderXml, type XmlContent } from "./xml.ts";

const PATCHBAY_NAMESPACE = "https://patchbay.io/domain";

/**
 * The guest as libvirt's domain XML, in the words of the XML that KubeVirt gives libvirt (reference 7): to read, to
 * compare, or to begin with elsewhere. Nothing here reads it.
 */
export function domainXml(request: DomainRequest): string {
  const { hardware, domain, accel, uuid, namespace, name, uid, graceSeconds } = request;
  const { sockets, cores, threads } = hardware.cpu;
  const forwards = slirpForwards(request);
  return renderXml(
    element(
      "domain",
      { type: accel === "kvm" ? "kvm" : "qemu" },
      element("name", {}, `${namespace}_${name}`),
      element("uuid", {}, uuid),
      element(
        "metadata",
        {},
        element(
          "kubevirt",
          { xmlns: "http://kubevirt.io" },
          uid === undefined ? undefined : element("uid", {}, uid),
          graceSeconds === undefined
            ? undefined
            : element("graceperiod", {}, element("deletionGracePeriodSeconds", {}, String(graceSeconds))),
        ),
        forwards.length === 0
          ? undefined
          : element("patchbay:forwards", { "xmlns:patchbay": PATCHBAY_NAMESPACE }, forwards),
      ),
      element("memory", { unit: "KiB" }, String(hardware.memoryMiB * 1024)),
      memoryBacking(domain),
      element("vcpu", { placement: "static" }, String(sockets * cores * threads)),
      serialNumber(domain),
      system(request),
      element("features", {}, element("acpi"), element("apic"), element("vmport", { state: "off" })),
      processor(request),
      element("clock", { offset: "utc" }),
      element("on_poweroff", {}, "destroy"),
      element("on_reboot", {}, "restart"),
      element("on_crash", {}, "destroy"),
      devices(request),
    ),
  );
}

function memoryBacking({ memory }: Domain): XmlContent {
  const size = memory?.hugepages?.pageSize;
  const octets = size === undefined ? undefined : parseQuantity(String(size));
  if (octets === undefined) return undefined;
  const page = element("page", { size: String(octets / 1024n), unit: "KiB" });
  return element("memoryBacking", {}, element("hugepages", {}, page));
}

function serialNumber({ firmware }: Domain): XmlContent {
  if (!firmware?.serial) return undefined;
  return element(
    "sysinfo",
    { type: "smbios" },
    element("system", {}, element("entry", { name: "serial" }, firmware.serial)),
  );
}

function system({ hardware, domain, folder }: DomainRequest): XmlContent {
  const { firmware } = domain;
  const kernel = firmware?.kernelBoot;
  const efi = firmware?.bootloader?.efi;
  const at = (file: string): string => (folder === undefined ? file : `${folder}/${file}`);
  return element(
    "os",
    { firmware: efi === undefined ? undefined : "efi" },
    element("type", { arch: "x86_64", machine: hardware.machine }, "hvm"),
    efi === undefined
      ? undefined
      : element(
          "firmware",
          {},
          element("feature", { enabled: efi.secureBoot === false ? "no" : "yes", name: "secure-boot" }),
        ),
    kernel?.container === undefined ? undefined : element("kernel", {}, at("kernel")),
    kernel?.container?.initrdPath === undefined ? undefined : element("initrd", {}, at("initrd")),
    kernel?.kernelArgs ? element("cmdline", {}, kernel.kernelArgs) : undefined,
    firmware?.serial ? element("smbios", { mode: "sysinfo" }) : undefined,
  );
}

function processor({ hardware: { cpu } }: DomainRequest): XmlContent {
  const { model, sockets, cores, threads } = cpu;
  const topology = element("topology", { sockets, dies: 1, cores, threads });
  if (model === "host") return element("cpu", { mode: "host-passthrough", check: "none" }, topology);
  if (model === "max") return element("cpu", { mode: "maximum", check: "none" }, topology);
  const named = element("model", { fallback: "forbid" }, model);
  return element("cpu", { mode: "custom", match: "exact", check: "none" }, named, topology);
}

function devices(request: DomainRequest): XmlContent {
  const { hardware, domain, folder } = request;
  const placed = (id: string): XmlContent =>
    pciAddress(request, hardware.devices.find((device) => device.id === id)?.place);
  const socket = (file: string): XmlContent =>
    folder === undefined ? undefined : element("source", { mode: "bind", path: `${folder}/${file}` });
  return element(
    "devices",
    {},
    element("emulator", {}, "/usr/bin/qemu-system-x86_64"),
    diskElements(request),
    controllers(request),
    nicElements(request),
    element(
      "serial",
      { type: "unix" },
      socket("serial.sock"),
      element("target", { port: 0 }),
      element("alias", { name: "serial0" }),
    ),
    element("console", { type: "unix" }, socket("serial.sock"), element("target", { type: "serial", port: 0 })),
    element(
      "channel",
      { type: "unix" },
      socket("agent.sock"),
      element("target", { type: "virtio", name: "org.qemu.guest_agent.0" }),
    ),
    inputsOf(domain).map(({ name, bus, type }) =>
      element("input", { type, bus }, element("alias", { name: `ua-${name}` }), placed(inputId(name))),
    ),
    hardware.graphics
      ? [
          element("graphics", { type: "vnc", socket: folder === undefined ? undefined : `${folder}/vnc.sock` }),
          element("video", {}, element("model", { type: "vga", heads: 1, primary: "yes" })),
        ]
      : undefined,
    watchdogElement(domain, placed(watchdogId)),
    rngElement(request),
    element("memballoon", { model: "none" }),
  );
}

function watchdogElement({ devices: { watchdog } }: Domain, address: XmlContent): XmlContent {
  const model = watchdog?.["i6300esb"];
  if (!isJsonObject(model)) return undefined;
  return element("watchdog", { model: "i6300esb", action: textAt(model, "action") ?? "reset" }, address);
}
