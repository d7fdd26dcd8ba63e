import { parse, stringify } from "yaml";
import { GUEST_KERNEL_ARGS } from "../src/host/images/build-guest.ts";

/** What a test says of its guest; the rest is the same for all. */
export interface GuestWish {
  readonly name: string;
  readonly ports?: readonly { readonly name?: string; readonly port: number; readonly protocol?: string }[];
  /** A `#!` script that the test guest runs. */
  readonly userData?: string;
  readonly memory?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Merged into `spec.domain.firmware`, beside the kernel. */
  readonly firmware?: Readonly<Record<string, unknown>>;
  /** Merged into `spec`. */
  readonly spec?: Readonly<Record<string, unknown>>;
  /** Merged into `spec.domain`. */
  readonly domain?: Readonly<Record<string, unknown>>;
  /** Merged into `spec.domain.devices`. */
  readonly devices?: Readonly<Record<string, unknown>>;
}

/** A VirtualMachineInstance with one masquerade NIC that boots Patchbay's test guest, as YAML. */
export function guestManifest(wish: GuestWish): string {
  const cloudInit =
    wish.userData === undefined
      ? {}
      : { volumes: [{ name: "cloudinit", cloudInitNoCloud: { userData: wish.userData } }] };
  const disks = wish.userData === undefined ? {} : { disks: [{ name: "cloudinit", disk: { bus: "virtio" } }] };
  return stringify({
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: {
      name: wish.name,
      namespace: "default",
      ...(wish.annotations === undefined ? {} : { annotations: wish.annotations }),
    },
    spec: {
      terminationGracePeriodSeconds: 0,
      domain: {
        firmware: {
          kernelBoot: {
            container: { image: "patchbay/guest:latest", kernelPath: "/boot/vmlinuz", initrdPath: "/boot/initrd" },
            kernelArgs: GUEST_KERNEL_ARGS,
          },
          ...wish.firmware,
        },
        resources: { requests: { memory: wish.memory ?? "192Mi" } },
        ...wish.domain,
        devices: {
          interfaces: [{ name: "default", masquerade: {}, ...(wish.ports === undefined ? {} : { ports: wish.ports }) }],
          ...disks,
          ...wish.devices,
        },
      },
      networks: [{ name: "default", pod: {} }],
      ...cloudInit,
      ...wish.spec,
    },
  });
}

/** A VirtualMachine whose template is that guest, as YAML. */
export function vmManifest(wish: GuestWish, runStrategy: string): string {
  const { apiVersion, metadata, spec }: Readonly<Record<string, unknown>> = parse(guestManifest(wish));
  return stringify({ apiVersion, kind: "VirtualMachine", metadata, spec: { runStrategy, template: { spec } } });
}

/** The KubeVirt resource that opens these gates, as YAML. */
export function gatesManifest(...featureGates: readonly string[]): string {
  return stringify({
    apiVersion: "kubevirt.io/v1",
    kind: "KubeVirt",
    metadata: { name: "kubevirt", namespace: "kubevirt" },
    spec: { configuration: { developerConfiguration: { featureGates } } },
  });
}
