import { valueAt } from "../api/field-path.ts";

/** The feature gates that some rule asks for. */
export const GATES = [
  "DecentralizedLiveMigration",
  "DeclarativeHotplugVolumes",
  "ExperimentalIgnitionSupport",
  "Macvtap",
  "MultiArchitecture",
  "NetworkBindingPlugins",
  "NetworkDevicesWithDRA",
  "Passt",
  "PasstBinding",
  "PortRangesSpec",
  "Sidecar",
  "WorkloadEncryptionSEV",
  "WorkloadEncryptionTDX",
] as const;
export type Gate = (typeof GATES)[number];

/** Gates of networks that are always open, or open what Patchbay does anyway (reference 1.6). */
const OTHER_NETWORK_GATES = [
  "DynamicPodInterfaceNaming",
  "ExternalNetResourceInjection",
  "HotplugNICs",
  "LiveUpdateNADRef",
  "PasstIPStackMigration",
  "PodSecondaryInterfaceNamingUpgrade",
  "SRIOV",
  "SRIOVLiveMigration",
];

/** Gates that have a word in common with one of the above and are none of them. */
const LOOK_ALIKES = [
  "ExperimentalVirtiofsSupport",
  "GPUsWithDRA",
  "HostDevices",
  "HostDevicesWithDRA",
  "HostDisk",
  "HotplugVolumes",
  "LiveMigration",
  "VGPULiveMigration",
  "VMLiveUpdateFeatures",
  "VolumeMigration",
];

/** Gates by which a misspelt one can be recognised. */
export const KNOWN_GATES: readonly string[] = [...GATES, ...OTHER_NETWORK_GATES];

/** True for the name of a known gate, letter by letter. */
export function isGate(word: string): boolean {
  return KNOWN_GATES.includes(word) || LOOK_ALIKES.includes(word);
}

/** The feature gates that `spec.configuration` of a KubeVirt resource lists, letter by letter. */
export function featureGatesOf(configuration: unknown): readonly string[] {
  const listed = valueAt(configuration, ["developerConfiguration", "featureGates"]);
  return Array.isArray(listed) ? listed.filter((gate) => typeof gate === "string") : [];
}
