import { conditions } from "./conditions.ts";
import { metadata } from "./metadata.ts";
import { flag, keyed, list, map, object, openObject, type Schema, type Static, text, whole, word } from "./schema.ts";

/** Group of the SR-IOV operator's resources. */
export const SRIOV_GROUP = "sriovnetwork.openshift.io";

const between = (number: Schema<number>, minimum: number, maximum?: number): Schema<number> => ({
  ...number,
  minimum,
  ...(maximum === undefined ? {} : { maximum }),
});

const nicSelector = object(
  "Which network cards: those that are all of this. At least one field is needed.",
  {},
  {
    vendor: text("PCI vendor, four hexadecimal digits, such as `8086`. Default any."),
    deviceID: text("PCI device, four hexadecimal digits, of the physical function. Default any."),
    rootDevices: list("PCI addresses of physical functions.", text("Such as `0000:02:00.0`.")),
    pfNames: list(
      "Names of the physical functions' links.",
      text("Such as `ens1f0`, or `ens1f0#0-3` for its virtual functions 0 to 3."),
    ),
    netFilter: text("A network of the cloud's provider; this version refuses it. Default none."),
  },
);

/** Virtual functions that nodes make and hand out. */
export const sriovNetworkNodePolicy = object(
  "Which network cards make how many virtual functions, for which resource.",
  {
    apiVersion: text("`sriovnetwork.openshift.io/v1`."),
    kind: text("`SriovNetworkNodePolicy`."),
    spec: object(
      "What is to be made where.",
      {
        resourceName: text("Name of the resource that nodes offer, behind `openshift.io/`."),
        nicSelector,
        numVfs: between(whole("How many virtual functions each selected card makes.", "int64"), 0),
      },
      {
        nodeSelector: map("Labels of the nodes that are meant. Default: every node.", text("Value of the label.")),
        priority: between(
          whole("0 to 99; where two policies want the same virtual function, the lower number has it. Default 99."),
          0,
          99,
        ),
        deviceType: word("What drives the virtual functions: guests need `vfio-pci`. Default `netdevice`.", [
          "",
          "netdevice",
          "vfio-pci",
        ]),
        mtu: between(whole("MTU of the card and of its virtual functions. Default: as it is."), 1),
        externallyManaged: flag("The virtual functions are made by somebody else, and are only handed out."),
        excludeTopology: flag("Keeps the NUMA node out of what is told of the devices. Default false."),
        needVhostNet: flag("For pods of containers; guests have no use for it. Default false."),
        isRdma: flag("RDMA; this version refuses true. Default false."),
        linkType: word("`eth`; this version refuses `ib`. Default `eth`.", ["", "eth", "ETH", "ib", "IB"]),
        eSwitchMode: word("`legacy`; this version refuses `switchdev`. Default `legacy`.", ["", "legacy", "switchdev"]),
        vdpaType: word("This version refuses any. Default none.", ["", "virtio", "vhost"]),
      },
    ),
  },
  {
    metadata,
    status: openObject("What the nodes made of it.", {
      conditions,
      nodes: keyed(
        list(
          "Each selected node's answer.",
          object(
            "One node.",
            { node: text("Its name."), devices: whole("Virtual functions that it offers.") },
            { reason: text("Code of what is in the way."), message: text("What is in the way, and the cure.") },
          ),
        ),
        "node",
      ),
    }),
  },
);

const onOff = (description: string) => word(description, ["", "on", "off"]);

/** A network of virtual functions, of which a NetworkAttachmentDefinition is made. */
export const sriovNetwork = object(
  "A network that virtual functions of a resource lead to.",
  {
    apiVersion: text("`sriovnetwork.openshift.io/v1`."),
    kind: text("`SriovNetwork`."),
    spec: object(
      "The network, and how a virtual function is set for it.",
      { resourceName: text("The resource of an SriovNetworkNodePolicy.") },
      {
        networkNamespace: text("Namespace of the NetworkAttachmentDefinition. Default: the network's own."),
        ipam: text("The `ipam` object of the CNI configuration, as JSON text. Default: no addresses."),
        capabilities: text('CNI capabilities, as JSON text such as `{"mac": true}`. Default none.'),
        metaPlugins: text("Further CNI plugins, as JSON objects with commas between them. Default none."),
        vlan: between(whole("VLAN of the virtual function, 0 to 4094; 0 is none. Default 0."), 0, 4094),
        vlanQoS: between(whole("Priority of that VLAN's frames, 0 to 7. Default 0."), 0, 7),
        vlanProto: word("Tag of that VLAN. Default `802.1q`.", ["", "802.1q", "802.1Q", "802.1ad", "802.1AD"]),
        spoofChk: onOff("Whether the card drops frames of other MACs: `on` or `off`. Default: the card's own."),
        trust: onOff("Whether the guest may be promiscuous and set its MAC: `on` or `off`. Default: the card's own."),
        linkState: word("Link of the virtual function. Default: the card's own.", ["", "auto", "enable", "disable"]),
        minTxRate: between(whole("Least rate that it may send at, in Mbit/s. Default: none."), 0),
        maxTxRate: between(whole("Greatest rate that it may send at, in Mbit/s; 0 is any. Default: any."), 0),
        logLevel: word("For the CNI plugin's log. Default none.", ["", "panic", "error", "warning", "info", "debug"]),
        logFile: text("File of the CNI plugin's log. Default none."),
      },
    ),
  },
  { metadata, status: openObject("What was made of it.", { conditions }) },
);

export type SriovNetworkNodePolicy = Static<typeof sriovNetworkNodePolicy>;
export type SriovNetwork = Static<typeof sriovNetwork>;
