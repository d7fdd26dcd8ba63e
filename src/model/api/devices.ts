import { networkInterface } from "./interfaces.ts";
import { anyObject, flag, list, object, type Static, text } from "./schema.ts";
import { disk } from "./volumes.ts";

/** `spec.domain.devices`. */
export const devices = object(
  "What is plugged into the guest.",
  {},
  {
    interfaces: list(
      "NICs; more than 256 are refused, and one without the network of its name in `spec.networks`. Default: one on the pod network.",
      networkInterface,
    ),
    disks: list(
      "Disks; each needs the volume of its name in `spec.volumes`. Default: one for each volume that no disk or filesystem uses.",
      disk,
    ),
    autoattachPodInterface: flag(
      "False: no NIC is added where neither networks nor interfaces are given. Default true; neither is refused.",
    ),
    networkInterfaceMultiqueue: flag(
      "True gives each virtio NIC one queue pair a vCPU, at most 256. Default false; neither is refused.",
    ),
    useVirtioTransitional: flag(
      "True: virtio devices also speak the protocol before 1.0. Default false; neither is refused.",
    ),
    rng: object("A source of randomness for the guest (virtio).", {}, {}),
    autoattachGraphicsDevice: flag("False: no screen. Default true."),
    autoattachSerialConsole: flag("False: no serial console. Default true."),
    logSerialConsole: flag("False: the pod has no container `guest-console-log`. Default true."),
    autoattachMemBalloon: flag("False: no memory balloon. Default true."),
    autoattachInputDevice: flag("True adds a tablet. Default false."),
    autoattachVSOCK: flag("True adds a vsock device. Default false."),
    blockMultiQueue: flag("True gives each virtio disk one queue a vCPU. Default false."),
    disableHotplug: flag("True: nothing can be plugged into the running guest. Default false."),
    inputs: list(
      "Tablets and the like. Default none.",
      object(
        "An input device.",
        { name: text("Name of the device."), type: text("`tablet`.") },
        { bus: text("`usb` or `virtio`. Default usb.") },
      ),
    ),
    watchdog: anyObject("A watchdog of the guest."),
    gpus: list("GPUs that are passed through. Default none.", anyObject("A GPU: name and device resource.")),
    hostDevices: list(
      "Host devices that are passed through. Default none.",
      anyObject("A device: name and device resource."),
    ),
    filesystems: list(
      "Folders shared with the guest. Default none.",
      anyObject("A folder: name and how it is shared."),
    ),
    clientPassthrough: anyObject("USB devices of a client, redirected."),
    downwardMetrics: anyObject("Metrics of the node by a serial channel."),
    panicDevices: list("Devices that report a crash of the guest. Default none.", anyObject("A panic device.")),
    sound: anyObject("A sound card."),
    tpm: anyObject("A trusted platform module."),
    video: anyObject("Type of the screen."),
  },
);

export type Devices = Static<typeof devices>;
