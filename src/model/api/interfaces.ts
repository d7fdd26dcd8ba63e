import { list, marker, object, type Static, text, whole } from "./schema.ts";

/** The fields of an interface that choose how the guest is connected, of which it has exactly one. */
const bindingFields = {
  bridge: marker(
    "Joins the guest to the pod's link with a Linux bridge: the guest takes over the pod's MAC and IPv4 address. No fields of its own.",
  ),
  masquerade: marker(
    "Puts the guest behind NAT of the pod's addresses, IPv4 and IPv6. Pod network only. No fields of its own: `ports` of the interface choose what is let in.",
  ),
  slirp: marker(
    "QEMU's user-mode network: TCP and UDP only, and in only to the listed `ports`. Pod network only, and only with `permitSlirpInterface`.",
  ),
  sriov: marker(
    "Hands the guest a virtual function of a network card (VFIO). For multus networks whose attachment definition names a device resource.",
  ),
  macvtap: marker(
    "Connects the guest to the node's network through a macvtap link. Multus networks only, and only with the feature gate `Macvtap`.",
  ),
  passt: marker(
    "Connects the guest through a passt process, which speaks for it on the pod's sockets. Must be the only interface, on the pod network, with the feature gate `Passt`.",
  ),
  /** The newer form of `passt`. */
  passtBinding: marker(
    "Connects the guest through a passt process by vhost-user. Pod network only, and only with the feature gate `PasstBinding`.",
  ),
  binding: object(
    "Leaves the connection to a network binding plugin.",
    {
      name: text(
        "Name under which the plugin is registered in `spec.configuration.network.binding` of the KubeVirt resource; any other is refused.",
      ),
    },
    {},
  ),
};

/** Every field that chooses how a NIC is connected. */
export type BindingField = keyof typeof bindingFields;

const port = object(
  "A port of the guest.",
  { port: whole("Number, 1 to 65535; refused on the pod network when missing or any other.") },
  {
    name: text(
      "IANA service name, unique in the interface: 1 to 15 of `a-z`, `0-9` and `-`, with a letter, without a dash at an end or two in a row; anything else is refused on the pod network. Default none.",
    ),
    protocol: text("`TCP` or `UDP`, in capitals; anything else is refused on the pod network. Default TCP."),
  },
);

const portRange = object(
  "A run of ports of the guest.",
  {},
  {
    protocol: text("`TCP` or `UDP`, in capitals. Required; anything else is refused."),
    start: whole("First port, 1 to 65535. Required; anything else is refused."),
    end: whole("Last port, 1 to 65535. Required; refused before `start`."),
  },
);

const privateOption = object(
  "A DHCP option of the range for private use.",
  {
    option: whole("Number of the option, 224 to 254; any other is refused, and one that stands twice.", "int64"),
    value: text("Value, sent as it stands, in UTF-8; any text is taken."),
  },
  {},
);

const dhcpOptions = object(
  "What the guest is told by DHCPv4 beside its address.",
  {},
  {
    bootFileName: text("Boot file (option 67); any text is taken. Default none."),
    tftpServerName: text("TFTP server to boot from (option 66), its name or address; any text is taken. Default none."),
    ntpServers: list(
      "NTP servers (option 42); any number of them is taken. Default none.",
      text("IPv4 address of a server; anything else is refused."),
    ),
    privateOptions: list("Options 224 to 254, each once; others are refused. Default none.", privateOption),
  },
);

/** An element of `spec.domain.devices.interfaces`. */
export const networkInterface = object(
  "A NIC of the guest: exactly one binding, and the network of the same name.",
  {
    name: text(
      "Name of the network that the NIC uses, of letters, digits, `-` and `_`; refused without a network of this name, and where another NIC has it.",
    ),
  },
  {
    model: text(
      "What the guest sees: `virtio`, `e1000`, `e1000e`, `igb`, `ne2k_pci`, `pcnet` or `rtl8139`; any other is refused. Default virtio; ignored by sriov.",
    ),
    ...bindingFields,
    ports: list(
      "Ports that are let in. Default none, which means all for masquerade and passt and none for slirp; bridge lets all in whatever is listed. Refused beside `portRanges`.",
      port,
    ),
    portRanges: list(
      "Runs of ports that are let in. Default none. Refused without the feature gate `PortRangesSpec`, without masquerade, beside `ports`, above 10, and where two overlap.",
      portRange,
    ),
    macAddress: text(
      "MAC of the NIC, six octets as `de:ad:00:00:be:af`, `de-ad-00-00-be-af` or `dead.0000.beaf`; anything else is refused, and 02:00:00:00:00:00 with masquerade. Default: that of the pod's link for most bindings.",
    ),
    bootOrder: whole(
      "Place in the order of booting, from 1; refused when 0, and when a disk or another interface has it. Default: not booted from.",
      "uint64",
    ),
    pciAddress: text(
      "PCI address in the guest, hexadecimal `0000:81:00.1`; anything else is refused. Default: the next free slot.",
    ),
    dhcpOptions,
    tag: text(
      "Word that the guest finds beside the NIC's address in its cloud-init metadata; any text is taken. Default none.",
    ),
    acpiIndex: whole(
      "Index of the slot, 1 to 16383, which names the NIC `eno<index>` in the guest; a larger one, or one twice, is refused when the guest is made. Default 0, which is none.",
      "int64",
    ),
    state: text(
      "`up`, `down`, or `absent` to unplug a bridge interface of a secondary network; anything else is refused, and `up` and `down` of sriov. Up and down may change while the guest runs. Default up.",
    ),
  },
);

export type Interface = Static<typeof networkInterface>;
export type Port = Static<typeof port>;
export type PortRange = Static<typeof portRange>;
