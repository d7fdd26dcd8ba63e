import { networkInterface } from "./interfaces.ts";
import { anyObject, flag, list, object, type Static, text } from "./schema.ts";
import { disk } from "./volumes.ts";

/** `spec.domain.devices`. */
export const devices = object(
  "What is plugged into the guest.",
  {},
  {
    interfaces: list(
      "NICs, at most 256; each needs the network of its name in `spec.networks`. Default: one on the pod network.",
      networkInterface,
    ),
    disks: list("Disks; each needs the volume of its name in `spec.volumes`.", disk),
    autoattachPodInterface: flag(
      "False: no NIC is added where neither networks nor interfaces are given. Default true.",
    ),
    networkInterfaceMultiqueue: flag("True gives each virtio NIC one queue pair a vCPU, at most 256. Default false."),
    useVirtioTransitional: flag("True: virtio devices also speak the protocol before 1.0. Default false."),
    rng: object("A source of randomness for the guest (virtio).", {}, {}),
    autoattachGraphicsDevice: flag("False: no screen. Default true."),
    autoattachSerialConsole: flag("False: no serial console. Default true."),
    logSerialConsole: flag("True keeps what the serial console prints."),
    autoattachMemBalloon: flag("False: no memory balloon. Default true."),
    autoattachInputDevice: flag("True adds a tablet. Default false."),
    autoattachVSOCK: flag("True adds a vsock device. Default false."),
    blockMultiQueue: flag("True gives each virtio disk one queue a vCPU. Default false."),
    disableHotplug: flag("True: nothing can be plugged into the running guest. Default false."),
    inputs: list(
      "Tablets and the like.",
      object(
        "An input device.",
        { name: text("Name of the device."), type: text("`tablet`.") },
        { bus: text("`usb` or `virtio`.") },
      ),
    ),
    watchdog: anyObject("A watchdog of the guest."),
    gpus: list("GPUs that are passed through.", anyObject("A GPU: name and device resource.")),
    hostDevices: list("Host devices that are passed through.", anyObject("A device: name and device resource.")),
    filesystems: list("Folders shared with the guest.", anyObject("A folder: name and how it is shared.")),
    clientPassthrough: anyObject("USB devices of a client, redirected."),
    downwardMetrics: anyObject("Metrics of the node by a serial channel."),
    panicDevices: list("Devices that report a crash of the guest.", anyObject("A panic device.")),
    sound: anyObject("A sound card."),
    tpm: anyObject("A trusted platform module."),
    video: anyObject("Type of the screen."),
  },
);

export type Devices = Static<typeof devices>;
