import { bridgeSchema } from "../bindings/bridge.ts";
import { macvtapSchema } from "../bindings/macvtap.ts";
import { masqueradeSchema } from "../bindings/masquerade.ts";
import { passtBindingSchema, passtSchema } from "../bindings/passt.ts";
import { pluginSchema } from "../bindings/plugin.ts";
import { slirpSchema } from "../bindings/slirp.ts";
import { sriovSchema } from "../bindings/sriov.ts";
import { list, object, type Static, text, whole } from "./schema.ts";

const port = object(
  "A port of the guest.",
  { port: whole("Number, 1 to 65535.") },
  {
    name: text(
      "IANA service name, unique in the interface: 1 to 15 of `a-z`, `0-9` and `-`, with a letter, without a dash at an end or two in a row.",
    ),
    protocol: text("`TCP` or `UDP`, in capitals. Default TCP."),
  },
);

const portRange = object(
  "A run of ports of the guest.",
  {},
  {
    protocol: text("`TCP` or `UDP`, in capitals; required."),
    start: whole("First port, 1 to 65535."),
    end: whole("Last port, 1 to 65535, not before `start`."),
  },
);

const privateOption = object(
  "A DHCP option of the range for private use.",
  { option: whole("Number of the option, 224 to 254; each once.", "int64"), value: text("Value, sent as text.") },
  {},
);

const dhcpOptions = object(
  "What the guest is told by DHCPv4 beside its address.",
  {},
  {
    bootFileName: text("Boot file (option 67)."),
    tftpServerName: text("TFTP server to boot from (option 66)."),
    ntpServers: list("NTP servers (option 42).", text("IPv4 address of a server.")),
    privateOptions: list("Options 224 to 254.", privateOption),
  },
);

/** An element of `spec.domain.devices.interfaces`. */
export const networkInterface = object(
  "A NIC of the guest: exactly one binding, and the network of the same name.",
  {
    name: text("Name of the network that the NIC uses; letters, digits, `-` and `_`, each once."),
  },
  {
    model: text(
      "What the guest sees: `virtio`, `e1000`, `e1000e`, `igb`, `ne2k_pci`, `pcnet` or `rtl8139`. Default virtio; ignored by sriov.",
    ),
    bridge: bridgeSchema,
    masquerade: masqueradeSchema,
    slirp: slirpSchema,
    sriov: sriovSchema,
    macvtap: macvtapSchema,
    passt: passtSchema,
    passtBinding: passtBindingSchema,
    binding: pluginSchema,
    ports: list(
      "Ports that are let in. Default none, which means all for masquerade and passt and none for slirp; bridge lets all in whatever is listed.",
      port,
    ),
    portRanges: list(
      "Runs of ports that are let in; masquerade only, not beside `ports`, at most 10, none overlapping. Only with the feature gate `PortRangesSpec`.",
      portRange,
    ),
    macAddress: text(
      "MAC of the NIC, `de:ad:00:00:be:af`, `de-ad-00-00-be-af` or `dead.0000.beaf`. Default: that of the pod's link for most bindings. 02:00:00:00:00:00 is refused with masquerade.",
    ),
    bootOrder: whole(
      "Place in the order of booting, from 1; unique among disks and interfaces. Default: not booted from.",
      "uint64",
    ),
    pciAddress: text("PCI address in the guest, `0000:81:00.1`. Default: the next free slot."),
    dhcpOptions,
    tag: text("Word that the guest finds beside the NIC's address in its cloud-init metadata."),
    acpiIndex: whole(
      "Index of the slot, 1 to 16383, which names the NIC `eno<index>` in the guest. Default none.",
      "int64",
    ),
    state: text("`up`, `down`, or `absent` to unplug a bridge interface. Default up."),
  },
);

export type Interface = Static<typeof networkInterface>;
export type Port = Static<typeof port>;
export type PortRange = Static<typeof portRange>;
