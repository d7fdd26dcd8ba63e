import { changeStatus } from "../client/change-status.ts";
import { type Cache, inform } from "../client/informer.ts";
import { makeReconcileQueue } from "../client/reconcile-queue.ts";
import { vmiResource, vmResource } from "../model/api/references.ts";
import type { KubeObject } from "../model/api/resource.ts";
import { type ApiError, isApiError } from "../model/api/status.ts";
import { keyOf, type Stored } from "../model/api/stored.ts";
import type { VirtualMachine, VmStatus } from "../model/api/vm.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import type { LinkChange } from "../model/rules/link-state.ts";
import { runStrategyOf } from "./vm-course.ts";
import { decideVm, VM_FINALIZER, type VmAction } from "./vm-decision.ts";
import { controlledBy } from "./vm-instance.ts";
import type { VmFailure } from "./vm-status.ts";
import type { Controller, ControllerOptions } from "./vmi-controller.ts";

type Vm = Stored<VirtualMachine>;
type Vmi = Stored<VirtualMachineInstance>;

/** A VMI that was refused is tried again so often: the settings may have changed. */
const REFUSED_MS = 30_000;

/** Makes and deletes the VMIs of VirtualMachines, as their run strategies and their users ask. */
export function startVmController({ client, events, log, meter }: ControllerOptions): Controller {
  const closing = new AbortController();
  /** By UID of the VM: why its VMI was refused, and when it is tried again. */
  const refused = new Map<string, { readonly failure: VmFailure; readonly until: number }>();
  const queue = makeReconcileQueue(reconcile, {
    failed: (key, error, waitMs) => log.warn({ vm: key, error, waitMs }, "a VM is not as it should be"),
    ...(meter === undefined ? {} : { meter }),
  });
  const failed = (error: unknown, waitMs: number): void => log.warn({ error, waitMs }, "the API cannot be watched");
  const ofInstance = (vmi: Vmi): void => queue.add(keyOf(vmi));
  const changed = (vm: Vm): void => {
    refused.delete(vm.metadata.uid);
    queue.add(keyOf(vm));
  };
  const everything = (): void => {
    for (const vm of vms.list()) queue.add(keyOf(vm));
  };

  const vmis: Cache<Vmi> = inform<Vmi>(
    client,
    vmiResource,
    {},
    { add: ofInstance, update: ofInstance, delete: ofInstance, synced: () => everything(), failed },
    closing.signal,
  );
  const vms: Cache<Vm> = inform<Vm>(
    client,
    vmResource,
    {},
    {
      add: changed,
      update: (vm, before) =>
        vm.metadata.generation === before.metadata.generation ? queue.add(keyOf(vm)) : changed(vm),
      delete: (vm) => void refused.delete(vm.metadata.uid),
      failed,
    },
    closing.signal,
  );

  async function reconcile(key: string): Promise<void> {
    const [namespace, name] = key.split("/");
    const vm = vms.get(name ?? "", namespace);
    // A VMI that is not known yet would be made a second time.
    if (vm === undefined || !vmis.synced) return;
    const now = Date.now();
    const told = refused.get(vm.metadata.uid);
    const tooEarly = told !== undefined && told.until > now;
    if (tooEarly) queue.after(key, told.until - now);
    const vmi = vmis.get(vm.metadata.name, namespace);
    for (const action of decideVm({ vm, vmi, now, ...(tooEarly ? { refused: told.failure } : {}) })) {
      if (action.do === "vmi.create") {
        // What follows says that there is a VMI.
        if (!(await create(key, vm, action.vmi))) return;
      } else await carryOut(key, vm, action);
    }
  }

  async function carryOut(
    key: string,
    vm: Vm,
    action: Exclude<VmAction, { readonly do: "vmi.create" }>,
  ): Promise<void> {
    switch (action.do) {
      case "vmi.adopt":
        return adopt(vm, action.vmi);
      case "vmi.delete":
        return unlessGone(client.delete(vmiResource, vm.metadata, { uid: action.uid }));
      case "vmi.links":
        return setLinks(action.vmi, action.changes);
      case "unhalt":
        return unlessGone(client.patch(vmResource, vm.metadata, "merge", { spec: running(vm) }));
      case "status":
        await changeStatus<VmStatus, Vm>(client, vmResource, vm, action.change);
        return;
      case "event":
        return events.event(vm, action.type, action.reason, action.message);
      case "again":
        return queue.after(key, action.ms);
      case "finalizer.add":
        return finalizers(vm, [...(vm.metadata.finalizers ?? []), VM_FINALIZER]);
      case "finalizer.remove": {
        const left = (vm.metadata.finalizers ?? []).filter((finalizer) => finalizer !== VM_FINALIZER);
        return left.length === vm.metadata.finalizers?.length ? undefined : finalizers(vm, left);
      }
    }
  }

  /** Of the very NICs that were looked at: where the list is another by now, the watch brings the VM here again. */
  function setLinks({ metadata }: Vmi, changes: readonly LinkChange[]): Promise<void> {
    const patch = changes.flatMap(({ index, name, state }) => {
      const nic = `/spec/domain/devices/interfaces/${index}`;
      return [
        { op: "test", path: `${nic}/name`, value: name },
        { op: "add", path: `${nic}/state`, value: state },
      ];
    });
    const own = { op: "test", path: "/metadata/uid", value: metadata.uid };
    return unlessGone(client.patch(vmiResource, metadata, "json", [own, ...patch]));
  }

  /** False where the VMI was refused. */
  async function create(key: string, vm: Vm, vmi: KubeObject): Promise<boolean> {
    try {
      await client.create(vmiResource, vmi);
    } catch (thrown) {
      // The cache has not heard of it yet; when it does, it is looked at whose it is.
      if (isApiError(thrown, "AlreadyExists")) return true;
      if (!isApiError(thrown, "Invalid") && !isApiError(thrown, "Forbidden")) throw thrown;
      refused.set(vm.metadata.uid, { failure: refusal(thrown), until: Date.now() + REFUSED_MS });
      queue.add(key);
      return false;
    }
    refused.delete(vm.metadata.uid);
    const message = `Started the virtual machine by creating the new virtual machine instance ${vm.metadata.name}`;
    events.event(vm, "Normal", "SuccessfulCreate", message);
    return true;
  }

  /** With the VM as it is now: a VMI that belonged to a VM that is gone would go after it. */
  async function adopt(vm: Vm, vmi: Vmi): Promise<void> {
    const { uid, resourceVersion, ownerReferences = [] } = vmi.metadata;
    const metadata = { uid, resourceVersion, ownerReferences: [...ownerReferences, controlledBy(vm)] };
    try {
      const fresh = await client.get<Vm>(vmResource, vm.metadata);
      if (fresh.metadata.uid !== vm.metadata.uid || fresh.metadata.deletionTimestamp !== undefined) return;
      await client.patch(vmiResource, vmi.metadata, "merge", { metadata });
    } catch (thrown) {
      // Whichever of the two changed or went meanwhile, its watch brings the VM here again.
      if (isApiError(thrown, "NotFound") || isApiError(thrown, "Conflict")) return;
      throw thrown;
    }
    const message = `Adopted the virtual machine instance ${vmi.metadata.name} with uid ${uid}, which nothing controlled`;
    events.event(vm, "Normal", "SuccessfulAdopt", message);
  }

  /** With the resourceVersion: another's finalizer is neither lost nor brought back. */
  function finalizers(vm: Vm, wanted: readonly string[]): Promise<void> {
    const { uid, resourceVersion } = vm.metadata;
    const metadata = { uid, resourceVersion, finalizers: wanted };
    return unlessGone(client.patch(vmResource, vm.metadata, "merge", { metadata }));
  }

  return {
    async close() {
      closing.abort();
      await queue.close();
    },
  };
}

function running(vm: Vm): object {
  const halted = vm.spec.runStrategy !== undefined && runStrategyOf(vm.spec) === "Halted";
  return halted ? { runStrategy: "Always" } : { running: true };
}

function refusal(error: ApiError): VmFailure {
  return {
    reason: "PB6118",
    message: `The VM's instance was refused: ${error.message} Correct spec.template; it is tried again every ${REFUSED_MS / 1_000} s.`,
  };
}

async function unlessGone(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (thrown) {
    if (!isApiError(thrown, "NotFound")) throw thrown;
  }
}
