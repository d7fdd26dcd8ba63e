import { derivedMac } from "../model/addresses/mac.ts";
import type { KubeObject, OwnerReference } from "../model/api/resource.ts";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachine } from "../model/api/vm.ts";
import type { VmiSpec } from "../model/api/vmi.ts";
import type { VmiStatus } from "../model/api/vmi-status.ts";
import { PRIMARY_INTERFACE } from "../model/networks/pod-interface.ts";
import { KEPT_INTERFACES_ANNOTATION, type KeptInterface } from "../model/pods/kept-interfaces.ts";
import { VM_NAME_LABEL, vmNameLabel } from "../model/pods/launcher-pod.ts";
import { PAUSED_ANNOTATION } from "../model/pods/pause.ts";
import { DEFAULT_NETWORK } from "../model/rules/defaults.ts";

/** Of a VMI: the generation of the VM's spec that it was made of, as KubeVirt writes it. */
export const GENERATION_ANNOTATION = "kubevirt.io/vm-generation";
/** What KubeVirt makes of a template without a spec. */
const EMPTY_SPEC: VmiSpec = { domain: { devices: {} } };

/** The spec in a VM's template. */
export function templateSpec(vm: Stored<VirtualMachine>): VmiSpec {
  return vm.spec.template.spec ?? EMPTY_SPEC;
}

/** The VMI that a VM's template makes: its spec is the template's, untouched; what the VM keeps goes by an annotation. */
export function instanceOf(vm: Stored<VirtualMachine>, paused: boolean): KubeObject & { readonly spec: VmiSpec } {
  const { name, namespace, generation = 1 } = vm.metadata;
  const { labels = {}, annotations = {} } = vm.spec.template.metadata ?? {};
  const spec = templateSpec(vm);
  return {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: {
      name,
      namespace,
      labels: { ...labels, [VM_NAME_LABEL]: vmNameLabel(name) },
      annotations: {
        ...annotations,
        [GENERATION_ANNOTATION]: String(generation),
        [KEPT_INTERFACES_ANNOTATION]: JSON.stringify(keptBy(vm, spec)),
        ...(paused ? { [PAUSED_ANNOTATION]: "true" } : {}),
      },
      ownerReferences: [controlledBy(vm)],
    },
    spec,
  };
}

/** The reference of a VMI to its VM. */
export function controlledBy({ apiVersion, kind, metadata: { name, uid } }: Stored<VirtualMachine>): OwnerReference {
  return { apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true };
}

/** MACs follow from the VM's UID, so that nothing has to be remembered; addresses are those of the last VMI. */
function keptBy(vm: Stored<VirtualMachine>, spec: VmiSpec): readonly KeptInterface[] {
  const { interfaces = [] } = spec.domain.devices;
  const { networks = [] } = spec;
  const implicit = interfaces.length === 0 && networks.length === 0;
  const names = implicit
    ? [DEFAULT_NETWORK]
    : // A virtual function has the MAC that its card gave it.
      interfaces.flatMap(({ name, sriov, state }) => (sriov !== undefined || state === "absent" ? [] : [name]));
  return names.map((name) => {
    const given = interfaces.find((nic) => nic.name === name)?.macAddress;
    const onPodNetwork = implicit || networks.some((network) => network.name === name && network.pod !== undefined);
    const ips = onPodNetwork ? vm.status?.interfaces?.find((nic) => nic.name === name)?.ipAddresses : undefined;
    return {
      name,
      ...(given ? {} : { mac: derivedMac(vm.metadata.uid, name) }),
      ...(ips === undefined || ips.length === 0 ? {} : { ips }),
    };
  });
}

/** The addresses of a VMI's NIC on the pod network; undefined while it has none. */
export function addressesOf(
  spec: VmiSpec,
  status: VmiStatus | undefined,
): readonly { readonly name: string; readonly ipAddresses: readonly string[] }[] | undefined {
  const [primary] = (status?.interfaces ?? []).filter(
    ({ name, podInterfaceName }) =>
      podInterfaceName === PRIMARY_INTERFACE &&
      spec.networks?.some((network) => network.name === name && network.pod !== undefined),
  );
  const { name, ipAddresses = [] } = primary ?? {};
  return name === undefined || ipAddresses.length === 0 ? undefined : [{ name, ipAddresses }];
}
