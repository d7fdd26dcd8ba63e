import type { FieldPath } from "../api/field-path.ts";
import { GATES } from "./gates.ts";

/** The keys of the ConfigMap `kubevirt-config` that say something of networks, and the fields that took their place. */
export const CONFIG_MAP_KEYS: readonly { readonly key: string; readonly field: FieldPath }[] = [
  { key: "default-network-interface", field: ["network", "defaultNetworkInterface"] },
  { key: "permitSlirpInterface", field: ["network", "permitSlirpInterface"] },
  { key: "permitBridgeInterfaceOnPodNetwork", field: ["network", "permitBridgeInterfaceOnPodNetwork"] },
  { key: "feature-gates", field: ["developerConfiguration", "featureGates"] },
];

/** Those that KubeVirt read and that say nothing of networks (its `pkg/virt-config` before 0.48). */
export const OTHER_CONFIG_MAP_KEYS: readonly string[] = [
  "cpu-allocation-ratio",
  "cpu-request",
  "debug.useEmulation",
  "default-cpu-model",
  "dev.imagePullPolicy",
  "emulated-machines",
  "machine-type",
  "memBalloonStatsPeriod",
  "memory-overcommit",
  "migrations",
  "node-selectors",
  "ovmfPath",
  "permittedHostDevices",
  "pvc-tolerate-less-space-up-to-percent",
  "selinuxLauncherType",
  "smbios",
  "supported-guest-agent",
];

export function isConfigMapKey(key: string): boolean {
  return CONFIG_MAP_KEYS.some((one) => one.key === key);
}

/**
 * The configuration that the `kubevirt-config` ConfigMap of KubeVirt before 0.48 says.
 *
 * A gate was open when its name stood anywhere in the text. A boolean that is neither `true`, `false` nor empty voids
 * the configuration, as a bad default interface does.
 */
export function configurationOfConfigMap(data: Readonly<Record<string, string>>): unknown {
  const boolean = (text: string | undefined): unknown =>
    text === "true" ? true : text === "false" ? false : text === undefined || text === "" ? undefined : text;
  const entries = {
    defaultNetworkInterface: data["default-network-interface"],
    permitSlirpInterface: boolean(data["permitSlirpInterface"]),
    permitBridgeInterfaceOnPodNetwork: boolean(data["permitBridgeInterfaceOnPodNetwork"]),
  };
  const text = data["feature-gates"] ?? "";
  return {
    network: Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== undefined)),
    developerConfiguration: { featureGates: GATES.filter((gate) => text.includes(gate)) },
  };
}
