/** Where the resources that Patchbay's own parts read and write are found. */
const core = (plural: string) => ({ group: "", version: "v1", plural, namespaced: true }) as const;
const kubevirt = (plural: string) => ({ group: "kubevirt.io", version: "v1", plural, namespaced: true }) as const;

export const podResource = core("pods");
export const configMapResource = core("configmaps");
export const secretResource = core("secrets");
export const claimResource = core("persistentvolumeclaims");
export const eventResource = core("events");
export const nodeResource = { group: "", version: "v1", plural: "nodes", namespaced: false } as const;
export const definitionResource = {
  group: "k8s.cni.cncf.io",
  version: "v1",
  plural: "network-attachment-definitions",
  namespaced: true,
} as const;
export const vmResource = kubevirt("virtualmachines");
export const vmiResource = kubevirt("virtualmachineinstances");
export const kubeVirtResource = kubevirt("kubevirts");

const sriov = (plural: string) =>
  ({ group: "sriovnetwork.openshift.io", version: "v1", plural, namespaced: true }) as const;

export const sriovPolicyResource = sriov("sriovnetworknodepolicies");
export const sriovNetworkResource = sriov("sriovnetworks");
