import type { Stored } from "../api/stored.ts";
import type { VirtualMachineInstance } from "../api/vmi.ts";
import { settingsOf } from "../rules/settings.ts";
import type { PlanRequest } from "../wiring/plan.ts";
import { hostNameOf } from "./launcher-pod.ts";

/** What a plan or an explanation needs to know of a defaulted VMI; `configuration` is the KubeVirt resource's. */
export function planRequestOf(vmi: Stored<VirtualMachineInstance>, configuration: unknown): PlanRequest {
  const { namespace = "default", name, annotations = {}, ownerReferences = [] } = vmi.metadata;
  return {
    namespace,
    name,
    hostName: hostNameOf(vmi),
    spec: vmi.spec,
    annotations,
    plugins: settingsOf(configuration).plugins,
    ofVm: ownerReferences.some(({ kind }) => kind === "VirtualMachine"),
  };
}
