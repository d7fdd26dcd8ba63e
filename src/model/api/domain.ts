import { devices } from "./devices.ts";
import { anyObject, flag, list, map, marker, object, quantity, type Static, text, whole, word } from "./schema.ts";

const amounts = (description: string) =>
  map(description, quantity("Amount: `memory` in bytes (`64Mi`), `cpu` in cores (`500m`)."));

const cpu = object(
  "The guest's processors: sockets × cores × threads.",
  {},
  {
    cores: whole("Number of cores of each socket. Default 1.", "uint32"),
    sockets: whole("Number of sockets. Default 1.", "uint32"),
    threads: whole("Number of threads of each core. Default 1.", "uint32"),
    maxSockets: whole("Number of sockets that can be plugged in up to. Default: those that there are.", "uint32"),
    model: text("CPU model, such as `Haswell`, or `host-model`, `host-passthrough`. Default host-model."),
    features: list(
      "CPU features to add or take away. Default none.",
      object(
        "A feature.",
        { name: text("Name of the feature.") },
        { policy: text("`force`, `require`, `optional`, `disable` or `forbid`. Default require.") },
      ),
    ),
    dedicatedCpuPlacement: flag(
      "True pins each vCPU to a CPU of the node that no other such guest has. Default false.",
    ),
    isolateEmulatorThread: flag("True gives QEMU itself one more CPU of its own. Default false."),
    numa: anyObject("NUMA layout that the guest sees."),
    realtime: anyObject("Scheduling of vCPUs in real time."),
  },
);

const memory = object(
  "The guest's memory.",
  {},
  {
    guest: quantity("What the guest sees, in bytes. Default: what is requested."),
    maxGuest: quantity("What can be plugged in up to, in bytes. Default: what the guest has."),
    hugepages: object(
      "Backs the memory with huge pages.",
      {},
      { pageSize: text("Size of a page in bytes, `2Mi` or `1Gi`. Required.") },
    ),
  },
);

const kernelBoot = object(
  "Boots a kernel directly, without the guest's boot loader.",
  {},
  {
    kernelArgs: text("Command line of the kernel; refused without `container`. Default none."),
    container: object(
      "The container image that holds kernel and initrd.",
      { image: text("Reference of the image.") },
      {
        kernelPath: text(
          "Absolute path of the kernel in the image; others are refused. Default none, where there is an `initrdPath`.",
        ),
        initrdPath: text(
          "Absolute path of the initial RAM disk in the image; others are refused. Default none, where there is a `kernelPath`.",
        ),
        imagePullPolicy: word(
          "When a cluster fetches the image. Default: Always for the tag `latest`, else IfNotPresent.",
          ["Always", "IfNotPresent", "Never"],
        ),
        imagePullSecret: text("Secret with the registry's credentials. Default none."),
      },
    ),
  },
);

const firmware = object(
  "What starts the guest.",
  {},
  {
    uuid: text("UUID that the guest's firmware reports. Default: made of the VMI's name."),
    serial: text("Serial number that the guest's firmware reports. Default none."),
    bootloader: object(
      "BIOS or EFI. Default BIOS.",
      {},
      {
        bios: object("BIOS.", {}, { useSerial: flag("True: the BIOS writes to the serial console. Default false.") }),
        efi: object(
          "EFI.",
          {},
          {
            secureBoot: flag("False switches secure boot off. Default true; needs `features.smm`."),
            persistent: flag("True keeps EFI variables. Default false."),
          },
        ),
      },
    ),
    kernelBoot,
    acpi: anyObject("ACPI tables to add."),
  },
);

const launchSecurity = object(
  "Protects the guest's memory from its host.",
  {},
  { sev: anyObject("AMD SEV."), snp: anyObject("AMD SEV-SNP."), tdx: marker("Intel TDX.") },
);

/** `spec.domain` of a VMI. */
export const domain = object(
  "The machine.",
  { devices },
  {
    resources: object(
      "What the pod asks of its node.",
      {},
      {
        requests: amounts("What the node must have."),
        limits: amounts("What may be used at most."),
        overcommitGuestOverhead: flag("True leaves QEMU's own memory out of the request. Default false."),
      },
    ),
    cpu,
    memory,
    machine: object(
      "Machine type.",
      {},
      { type: text("`q35` or a version of it, `pc-q35-7.2`. Default q35; the empty text as well.") },
    ),
    firmware,
    launchSecurity,
    clock: anyObject("Clock and timers of the guest."),
    features: anyObject("Features of the hypervisor: ACPI, APIC, Hyper-V, SMM and the like."),
    chassis: anyObject("What the guest's DMI tables say of its case."),
    ioThreadsPolicy: text("`shared`, `auto` or `supplementalPool`. Default: one thread for all disks."),
    ioThreads: anyObject("Pool of I/O threads."),
    rebootPolicy: text("What a reboot of the guest does: `Reboot` or `Terminate`. Default Reboot."),
  },
);

export type Domain = Static<typeof domain>;
