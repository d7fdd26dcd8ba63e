import { isJsonObject, type JsonObject } from "../../model/json.ts";
import { renderCniResult } from "../../model/networks/cni-result.ts";
import type { PluginCall } from "./exec.ts";

const VERSION = "1.0.0";

/**
 * The CNI plugin `kubevirt-passt-binding`, which KubeVirt's passt binding plugin names in its definition: there it sets the
 * pod's sysctls for passt. Here they are part of the binding's wiring, so that nothing is left to do.
 */
export function passtBindingPlugin({ command, config }: Omit<PluginCall, "binary">): Promise<JsonObject | undefined> {
  if (command !== "ADD") return Promise.resolve(undefined);
  const { prevResult } = config;
  return Promise.resolve(isJsonObject(prevResult) ? prevResult : NOTHING);
}

const NOTHING = renderCniResult(
  { cniVersion: VERSION, interfaces: [], ips: [], routes: [], dns: { nameservers: [], search: [], options: [] } },
  VERSION,
);
