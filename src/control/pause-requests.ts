import { setTimeout as sleep } from "node:timers/promises";
import type { KubeClient } from "../client/client.ts";
import { vmiResource } from "../model/api/references.ts";
import type { KubeObject } from "../model/api/resource.ts";
import { ApiError, failure } from "../model/api/status.ts";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import { PAUSED_ANNOTATION } from "../model/pods/pause.ts";
import { conflict, readOptions, type VmRequest } from "./vm-requests.ts";

type Vmi = Stored<VirtualMachineInstance>;

const KIND = "virtualmachineinstance";
/** The node acts within moments; a guest that does not obey is told of. */
const OBEYS_MS = 15_000;
const POLL_MS = 50;

/**
 * Stops the processors of a running guest, or lets them go on, and waits until it is so.
 *
 * The wish is an annotation of the VMI, which the node follows. Throws ApiError 404, 403, 409, and 504 where the guest does
 * not obey in time.
 */
export async function pauseVmi(client: KubeClient, request: VmRequest, paused: boolean): Promise<void> {
  const { dryRun } = readOptions(request.body);
  const { namespace, name } = request;
  const vmi = await client.get<Vmi>(vmiResource, { namespace, name });
  requirePausable(vmi, paused);
  if (dryRun) return;
  const annotations = { [PAUSED_ANNOTATION]: String(paused) };
  const { uid } = vmi.metadata;
  await client.patch<KubeObject>(vmiResource, vmi.metadata, "merge", { metadata: { uid, annotations } });
  const deadline = performance.now() + OBEYS_MS;
  for (;;) {
    const current = await client.get<Vmi>(vmiResource, { namespace, name });
    if (current.metadata.uid !== uid || current.status?.phase !== "Running") throw notRunning(name);
    if (isPaused(current) === paused) return;
    if (performance.now() > deadline) throw late(name, paused);
    await sleep(POLL_MS);
  }
}

function requirePausable(vmi: Vmi, paused: boolean): void {
  const { name } = vmi.metadata;
  if (vmi.status?.phase !== "Running") throw notRunning(name);
  if (!paused) {
    if (!isPaused(vmi)) throw conflict({ name }, "VMI is not paused", KIND);
    return;
  }
  if (vmi.spec.livenessProbe !== undefined) {
    const why = "Pausing VMIs with LivenessProbe is currently not supported";
    const message = `${KIND}.kubevirt.io "${name}" is forbidden: ${why}`;
    throw new ApiError("PB6010", failure(403, "Forbidden", message, { name, group: "kubevirt.io", kind: KIND }));
  }
  if (isPaused(vmi)) throw conflict({ name }, "VMI is already paused", KIND);
}

function isPaused(vmi: Vmi): boolean {
  return vmi.status?.conditions?.some(({ type, status }) => type === "Paused" && status === "True") === true;
}

function notRunning(name: string): ApiError {
  return conflict({ name }, "VMI is not running", KIND);
}

function late(name: string, paused: boolean): ApiError {
  const what = paused ? "has not been paused" : "does not run on";
  return new ApiError(
    "PB6010",
    failure(504, "Timeout", `The guest of ${name} ${what} after ${OBEYS_MS / 1_000} s; it is still tried.`),
    `See its conditions: kubectl describe vmi ${name}.`,
  );
}
