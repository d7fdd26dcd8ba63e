import { anyObject, flag, list, marker, object, quantity, type Static, text, whole, word } from "./schema.ts";

const bus = text(
  "Bus of the device: `virtio`, `sata`, `scsi` or `usb`. Default virtio, and sata of a CD-ROM; KubeVirt's is sata for all.",
);
const pullPolicy = word("When a cluster fetches the image. Default: Always for the tag `latest`, else IfNotPresent.", [
  "Always",
  "IfNotPresent",
  "Never",
]);
const secretReference = object(
  "A Secret in the VMI's namespace.",
  {},
  { name: text("Name of the Secret. Default none.") },
);

const diskTarget = object(
  "A plain disk.",
  {},
  {
    bus,
    readonly: flag("True forbids writing. Default false."),
    pciAddress: text("PCI address in the guest, `0000:81:01.0`; virtio only. Default: the next free slot."),
  },
);

/** An element of `spec.domain.devices.disks`. */
export const disk = object(
  "A disk of the guest; the volume of the same name backs it.",
  { name: text("Name of the volume behind the disk.") },
  {
    disk: diskTarget,
    lun: object(
      "A SCSI logical unit, passed through.",
      {},
      {
        bus,
        readonly: flag("True forbids writing. Default false."),
        reservation: flag("True allows persistent reservations. Default false."),
      },
    ),
    cdrom: object(
      "A CD-ROM drive.",
      {},
      { bus, readonly: flag("Default true."), tray: text("`open` or `closed`. Default closed.") },
    ),
    floppy: object(
      "A floppy drive, which only old machine types have.",
      {},
      { readonly: flag("Default false."), tray: text("`open` or `closed`. Default closed.") },
    ),
    bootOrder: whole(
      "Place in the order of booting, from 1; refused when 0, and when another disk has it. Default: not booted from.",
      "uint64",
    ),
    serial: text("Serial number that the guest reads. Default none."),
    dedicatedIOThread: flag("True gives the disk an I/O thread of its own. Default false."),
    cache: text("`none`, `writethrough` or `writeback`; any other is refused. Default: writeback."),
    io: text("`native`, which goes with the cache `none` alone, or `threads`; any other is refused. Default: threads."),
    tag: text("Word that the guest finds beside the disk's address in its cloud-init metadata. Default none."),
    blockSize: anyObject("Block size that the guest sees."),
    shareable: flag("True allows several guests to use the disk at once. Default false."),
    errorPolicy: text(
      "What a failed write does: `stop`, `ignore`, `report` or `enospace`; any other is refused. Default enospace.",
    ),
    changedBlockTracking: flag("True records changed blocks for backups. Default false."),
  },
);

const cloudInit = (kind: string) =>
  object(
    `Data for cloud-init, as a ${kind} disk. At least one of user data and network data; one source of each.`,
    {},
    {
      userData: text("User data as it stands; more than 2048 bytes are refused. Default none."),
      userDataBase64: text(
        "User data in base64; refused when it is none, or more than 2048 bytes when decoded. Default none.",
      ),
      secretRef: secretReference,
      networkData: text("Network configuration as it stands; more than 2048 bytes are refused. Default none."),
      networkDataBase64: text(
        "Network configuration in base64; refused when it is none, or more than 2048 bytes when decoded. Default none.",
      ),
      networkDataSecretRef: secretReference,
    },
  );

const claim = object(
  "A PersistentVolumeClaim in the VMI's namespace.",
  { claimName: text("Name of the claim.") },
  {
    readOnly: flag("True forbids writing. Default false."),
    hotpluggable: flag("True when the volume was plugged into a running guest. Default false."),
  },
);

/** An element of `spec.volumes`. */
export const volume = object(
  "Storage behind a disk or filesystem: exactly one source.",
  { name: text("Name of the disk or filesystem that uses it; unique, a DNS label.") },
  {
    containerDisk: object(
      "A disk image out of a container image: the one file in its folder /disk, or `path`.",
      { image: text("Reference of the image, `registry/repository:tag` or with `@sha256:`.") },
      {
        path: text("Path of the disk image in the container image. Default: the only file in /disk."),
        imagePullPolicy: pullPolicy,
        imagePullSecret: text("Secret with the registry's credentials. Default none."),
      },
    ),
    cloudInitNoCloud: cloudInit("NoCloud"),
    cloudInitConfigDrive: cloudInit("ConfigDrive"),
    emptyDisk: object("An empty disk that goes with the VMI.", { capacity: quantity("Size in bytes, `2Gi`.") }, {}),
    ephemeral: object(
      "A claim that is read, with writes kept apart and thrown away.",
      {},
      { persistentVolumeClaim: claim },
    ),
    persistentVolumeClaim: claim,
    dataVolume: object(
      "A volume that an importer fills.",
      { name: text("Name of the DataVolume.") },
      { hotpluggable: flag("True when the volume was plugged into a running guest. Default false.") },
    ),
    hostDisk: object(
      "A disk image in the node's own files.",
      {
        path: text("Path on the node."),
        type: word("`Disk` must be there; `DiskOrCreate` is made when missing.", ["Disk", "DiskOrCreate"]),
      },
      {
        capacity: quantity("Size in bytes of what is made. Default none."),
        shared: flag("True when other nodes see the same file. Default false."),
      },
    ),
    configMap: object(
      "The keys of a ConfigMap as files.",
      {},
      {
        name: text("Name of the ConfigMap. Required."),
        optional: flag("True: may be missing. Default false."),
        volumeLabel: text("Label of the file system. Default none."),
      },
    ),
    secret: object(
      "The keys of a Secret as files.",
      {},
      {
        secretName: text("Name of the Secret. Default none."),
        optional: flag("True: may be missing. Default false."),
        volumeLabel: text("Label of the file system. Default none."),
      },
    ),
    serviceAccount: object(
      "A service account's token as a file.",
      {},
      { serviceAccountName: text("Name of the service account. Required.") },
    ),
    downwardAPI: object(
      "Facts about the VMI as files.",
      {},
      {
        fields: list("Which facts. Default none.", anyObject("A file and the field it shows.")),
        volumeLabel: text("Label of the file system. Default none."),
      },
    ),
    downwardMetrics: marker("Metrics of the node as a disk."),
    sysprep: object(
      "Answer files for Windows' set-up.",
      {},
      {
        secret: secretReference,
        configMap: object(
          "A ConfigMap in the VMI's namespace.",
          {},
          { name: text("Name of the ConfigMap. Required.") },
        ),
      },
    ),
    memoryDump: anyObject("Where a dump of the guest's memory goes."),
  },
);

export type Disk = Static<typeof disk>;
export type Volume = Static<typeof volume>;
