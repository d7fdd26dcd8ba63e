import type { KubeClient } from "../client/client.ts";
import type { Pod } from "../model/api/pod.ts";
import { podResource, vmiResource, vmResource } from "../model/api/references.ts";
import type { KubeObject } from "../model/api/resource.ts";
import { ApiError, failure, isApiError } from "../model/api/status.ts";
import type { Stored } from "../model/api/stored.ts";
import type { StateChangeRequest, VirtualMachine } from "../model/api/vm.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import type { JsonObject } from "../model/json.ts";
import { CREATED_BY_LABEL } from "../model/pods/launcher-pod.ts";
import { isFinal } from "../model/status/vmi.ts";
import { type RunStrategy, runStrategyOf } from "./vm-course.ts";

/** What a call says: whose VM, and the options of its body (StartOptions, StopOptions, RestartOptions of KubeVirt). */
export interface VmRequest {
  readonly namespace: string;
  readonly name: string;
  readonly body: JsonObject;
}

type Vm = Stored<VirtualMachine>;
type Vmi = Stored<VirtualMachineInstance>;

/** Starts a VM; `paused`: with its processors stopped. Throws ApiError 404, 409, 400. */
export function startVm(client: KubeClient, request: VmRequest): Promise<void> {
  return untilWritten(request, () => start(client, request));
}

/** Stops a VM, within `gracePeriod` seconds where given. Throws ApiError 404, 409, 400. */
export function stopVm(client: KubeClient, request: VmRequest): Promise<void> {
  return untilWritten(request, () => stop(client, request));
}

/** Stops a VM's guest and starts it again; `gracePeriodSeconds: 0`: at once. Throws ApiError 404, 409, 400. */
export function restartVm(client: KubeClient, request: VmRequest): Promise<void> {
  return untilWritten(request, () => restart(client, request));
}

/** The controller writes to VMs as well: a call is no worse off for that. */
const TRIES = 8;

/** Looks at the VM anew and decides again after a lost race. `attempt` gives false where another one wrote in between. */
async function untilWritten(request: VmRequest, attempt: () => Promise<boolean>): Promise<void> {
  for (let left = TRIES; left > 0; left -= 1) if (await attempt()) return;
  throw conflict(request, "the VM changes faster than this call could follow; try again");
}

async function start(client: KubeClient, request: VmRequest): Promise<boolean> {
  const { paused, dryRun } = readOptions(request.body);
  const { vm, vmi, strategy } = await find(client, request);
  const phase = vmi?.status?.phase ?? "";
  if (vmi !== undefined && !isFinal(phase) && phase !== "" && phase !== "Unknown") {
    throw conflict(request, "VM is already running");
  }
  const asked: StateChangeRequest = { action: "Start", ...(paused ? { data: { paused: "true" } } : {}) };
  switch (strategy) {
    case "Halted":
      if (paused) return ask(client, vm, [asked], dryRun);
      return setRunning(client, vm, true, dryRun);
    case "Manual":
      return ask(client, vm, [...(vmi === undefined ? [] : [stopOf(vmi)]), asked], dryRun);
    case "RerunOnFailure":
      if (phase === "Failed") throw conflict(request, `${strategy} does not support starting VM from failed state`);
      return ask(client, vm, [...(phase === "Succeeded" && vmi !== undefined ? [stopOf(vmi)] : []), asked], dryRun);
    default:
      throw conflict(request, `${strategy} does not support manual start requests`);
  }
}

async function stop(client: KubeClient, request: VmRequest): Promise<boolean> {
  const { dryRun } = readOptions(request.body);
  const grace = seconds(request.body, "gracePeriod");
  const { vm, vmi, strategy } = await find(client, request);
  const runs = vmi !== undefined && !isFinal(vmi.status?.phase);
  if (strategy !== "Always" && strategy !== "Once" && !runs) throw conflict(request, "VM is not running");
  if (strategy === "Halted" && runs && (grace === undefined || grace >= graceOf(vmi))) {
    throw conflict(request, "Halted only supports manual stop requests with a shorter graceperiod");
  }
  if (runs && grace !== undefined) await setGrace(client, vmi, grace, dryRun);
  if (strategy === "Always" || strategy === "Once") return setRunning(client, vm, false, dryRun);
  return runs ? ask(client, vm, [stopOf(vmi)], dryRun) : true;
}

async function restart(client: KubeClient, request: VmRequest): Promise<boolean> {
  const { dryRun } = readOptions(request.body);
  const grace = seconds(request.body, "gracePeriodSeconds");
  if (grace !== undefined && grace > 0) throw badRequest("For force restart, only gracePeriod=0 is supported for now");
  const { vm, vmi, strategy } = await find(client, request);
  if (strategy === "Halted" || strategy === "Once") {
    throw conflict(request, `RunStrategy ${strategy} does not support manual restart requests`);
  }
  if (vmi === undefined) throw conflict(request, "VM is not running");
  requireIdle(vm);
  if (grace !== undefined && !isFinal(vmi.status?.phase)) await setGrace(client, vmi, grace, dryRun);
  return ask(client, vm, [stopOf(vmi), { action: "Start" }], dryRun);
}

interface FoundVm {
  readonly vm: Vm;
  /** The VM's own. */
  readonly vmi: Vmi | undefined;
  readonly strategy: RunStrategy;
}

async function find(client: KubeClient, { namespace, name }: VmRequest): Promise<FoundVm> {
  const vm = await client.get<Vm>(vmResource, { namespace, name });
  const strategy = runStrategyOf(vm.spec);
  try {
    const vmi = await client.get<Vmi>(vmiResource, { namespace, name });
    const isOwn = vmi.metadata.ownerReferences?.some(({ uid }) => uid === vm.metadata.uid) === true;
    return { vm, vmi: isOwn ? vmi : undefined, strategy };
  } catch (thrown) {
    if (!isApiError(thrown, "NotFound")) throw thrown;
    return { vm, vmi: undefined, strategy };
  }
}

function stopOf(vmi: Vmi): StateChangeRequest {
  return { action: "Stop", uid: vmi.metadata.uid };
}

function requireIdle({ metadata, status }: Vm): void {
  if ((status?.stateChangeRequests ?? []).length === 0) return;
  throw conflict(metadata, "unable to complete request: stop/start already underway");
}

/** Leaves requests with the controller. A stop takes the place of what is still to be done; the others wait for nobody. */
async function ask(
  client: KubeClient,
  vm: Vm,
  requests: readonly StateChangeRequest[],
  dryRun: boolean,
): Promise<boolean> {
  const { name, namespace, resourceVersion } = vm.metadata;
  if (requests.some(({ action }) => action !== "Stop")) requireIdle(vm);
  const status = { stateChangeRequests: requests, startFailure: null };
  const patch = { metadata: { resourceVersion }, status };
  return isWritten(client.patchStatus<KubeObject>(vmResource, { namespace, name }, "merge", patch, { dryRun }));
}

async function setRunning(client: KubeClient, vm: Vm, running: boolean, dryRun: boolean): Promise<boolean> {
  const { resourceVersion } = vm.metadata;
  const spec = vm.spec.runStrategy === undefined ? { running } : { runStrategy: running ? "Always" : "Halted" };
  const patch = { metadata: { resourceVersion }, spec };
  return isWritten(client.patch<KubeObject>(vmResource, vm.metadata, "merge", patch, { dryRun }));
}

async function isWritten(write: Promise<unknown>): Promise<boolean> {
  try {
    await write;
    return true;
  } catch (thrown) {
    if (!isApiError(thrown, "Conflict")) throw thrown;
    return false;
  }
}

const DEFAULT_GRACE_SECONDS = 30;

function graceOf(vmi: Vmi): number {
  return vmi.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS;
}

/** The node gives a guest the time that its pod says; the VMI's spec stays as it is. */
async function setGrace(client: KubeClient, vmi: Vmi, grace: number, dryRun: boolean): Promise<void> {
  const { namespace, uid } = vmi.metadata;
  const pods = await client.list<Stored<Pod>>(podResource, { namespace, labelSelector: `${CREATED_BY_LABEL}=${uid}` });
  const patch = { spec: { terminationGracePeriodSeconds: grace } };
  for (const pod of pods.items) {
    await client.patch<KubeObject>(podResource, pod.metadata, "merge", patch, { dryRun });
  }
}

/** Reads what all options have; what is not known is left to whom it is meant for. */
export function readOptions({ paused, dryRun = [] }: JsonObject): {
  readonly paused: boolean;
  readonly dryRun: boolean;
} {
  if (paused !== undefined && typeof paused !== "boolean") throw badRequest("paused must be true or false");
  if (!Array.isArray(dryRun) || dryRun.some((item) => item !== "All")) {
    throw badRequest('dryRun must be a list, and "All" the only element');
  }
  return { paused: paused === true, dryRun: dryRun.length > 0 };
}

function seconds(body: JsonObject, key: string): number | undefined {
  const value = body[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw badRequest(`${key} must be a whole number of seconds, 0 or more`);
}

/** A refusal in KubeVirt's words. */
export function conflict({ name }: { readonly name: string }, why: string, kind = "virtualmachine"): ApiError {
  const message = `Operation cannot be fulfilled on ${kind}.kubevirt.io "${name}": ${why}`;
  return new ApiError("PB6010", failure(409, "Conflict", message, { name, group: "kubevirt.io", kind }));
}

function badRequest(message: string): ApiError {
  return new ApiError("PB6010", failure(400, "BadRequest", message));
}
