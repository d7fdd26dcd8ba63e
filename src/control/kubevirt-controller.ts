import { changeStatus } from "../client/change-status.ts";
import { inform } from "../client/informer.ts";
import { makeReconcileQueue } from "../client/reconcile-queue.ts";
import type { KubeVirt } from "../model/api/kubevirt.ts";
import { kubeVirtResource } from "../model/api/references.ts";
import { keyOf, type Stored } from "../model/api/stored.ts";
import { type ConditionClaim, withCondition } from "../model/status/conditions.ts";
import type { Controller, ControllerOptions } from "./vmi-controller.ts";

type Installation = Stored<KubeVirt>;
type InstallationStatus = NonNullable<KubeVirt["status"]>;

/** In KubeVirt's words: what waits for an installation waits for these. */
const CLAIMS: readonly ConditionClaim[] = [
  { type: "Available", status: "True", reason: "AllComponentsReady", message: "All components are ready." },
  { type: "Created", status: "True", reason: "AllResourcesCreated", message: "All resources were created." },
  { type: "Degraded", status: "False", reason: "AllComponentsReady", message: "All components are ready." },
  { type: "Progressing", status: "False", reason: "AllComponentsReady", message: "All components are ready." },
];

/** Says of each KubeVirt resource that what it asks for is there: nothing has to be installed for it. */
export function startKubeVirtController({ client, log }: Pick<ControllerOptions, "client" | "log">): Controller {
  const closing = new AbortController();
  const queue = makeReconcileQueue(reconcile, {
    failed: (key, error, waitMs) => log.warn({ kubevirt: key, error, waitMs }, "a KubeVirt resource's status is old"),
  });
  const look = (object: Installation): void => queue.add(keyOf(object));
  const failed = (error: unknown, waitMs: number): void => log.warn({ error, waitMs }, "the API cannot be watched");
  const handlers = { add: look, update: look, failed };
  const cache = inform<Installation>(client, kubeVirtResource, {}, handlers, closing.signal);

  async function reconcile(key: string): Promise<void> {
    const [namespace, name] = key.split("/");
    const object = cache.get(name ?? "", namespace);
    if (object === undefined || object.metadata.deletionTimestamp !== undefined) return;
    await changeStatus<InstallationStatus, Installation>(client, kubeVirtResource, object, deployed);
  }

  return {
    async close() {
      closing.abort();
      await queue.close();
    },
  };
}

/** That very status where it says so already. */
function deployed(status: Partial<InstallationStatus>, at: string): Partial<InstallationStatus> {
  const earlier = status.conditions ?? [];
  const conditions = CLAIMS.reduce((list, claim) => withCondition(list, claim, at), earlier);
  return status.phase === "Deployed" && conditions === earlier ? status : { ...status, phase: "Deployed", conditions };
}
