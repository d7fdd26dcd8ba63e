import type { KubeObject, OwnerReference } from "../model/api/resource.ts";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachine, VmStatus } from "../model/api/vm.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import { type LinkChange, linkChanges } from "../model/rules/link-state.ts";
import { readSpec } from "../model/rules/reading.ts";
import { isFinal } from "../model/status/vmi.ts";
import { fieldsThatNeedRestart } from "./restart-required.ts";
import { type Course, courseOf, openRequests, runStrategyOf, startFailureAfter } from "./vm-course.ts";
import { instanceOf, templateSpec } from "./vm-instance.ts";
import { RESTART_REQUIRED, type VmFailure, vmStatusAfter } from "./vm-status.ts";

/** Held until the VM's VMI is gone, as KubeVirt does. */
export const VM_FINALIZER = "kubevirt.io/virtualMachineControllerFinalize";
/** Held by the collector of garbage until it has let go of what the object owns. */
const ORPHAN_FINALIZER = "orphan";

/** One thing that the controller does for a VM. */
export type VmAction =
  | { readonly do: "finalizer.add" }
  | { readonly do: "finalizer.remove" }
  | { readonly do: "vmi.create"; readonly vmi: KubeObject }
  /** The VM is to control a VMI that nobody does. */
  | { readonly do: "vmi.adopt"; readonly vmi: Stored<VirtualMachineInstance> }
  | { readonly do: "vmi.delete"; readonly uid: string }
  /** The links of the running VMI are to be as the template has them. */
  | { readonly do: "vmi.links"; readonly vmi: Stored<VirtualMachineInstance>; readonly changes: readonly LinkChange[] }
  /** The VM's spec is to say that it runs. */
  | { readonly do: "unhalt" }
  | { readonly do: "status"; readonly change: VmStatusChange }
  | { readonly do: "event"; readonly type: "Normal" | "Warning"; readonly reason: string; readonly message: string }
  /** To be looked at again after so many ms. */
  | { readonly do: "again"; readonly ms: number };

/** A change to a VM's status; pure, so that it can be tried again on a newer status. `now` is RFC 3339. */
export type VmStatusChange = (status: Partial<VmStatus>, now: string) => Partial<VmStatus>;

/** What the controller knows when it decides. */
export interface VmSituation {
  readonly vm: Stored<VirtualMachine>;
  /** The VMI of the VM's name, whoever made it. */
  readonly vmi: Stored<VirtualMachineInstance> | undefined;
  /** Why the last attempt to make a VMI was refused, while it is too early for the next. */
  readonly refused?: VmFailure;
  /** In ms since 1970. */
  readonly now: number;
}

/**
 * What to do for a VM now, in this order; nothing but a status that stays where all is as it should be.
 *
 * A VMI of the VM's name that nobody controls becomes the VM's, whoever made it, as on KubeVirt; then it is as the run
 * strategy wants it.
 */
export function decideVm(situation: VmSituation): readonly VmAction[] {
  const { vm, now } = situation;
  const isOwn = situation.vmi?.metadata.ownerReferences?.some(({ uid }) => uid === vm.metadata.uid) === true;
  const vmi = isOwn ? situation.vmi : undefined;
  if (vm.metadata.deletionTimestamp !== undefined) return depart(situation, vmi);
  const stranger = isOwn ? undefined : situation.vmi;
  // What follows is decided when the watch tells that it is the VM's.
  if (stranger !== undefined && isOrphan(stranger)) return [{ do: "vmi.adopt", vmi: stranger }];
  const course = courseFor(situation, vmi);
  const failure = course.do !== "start" ? undefined : stranger === undefined ? situation.refused : inTheWay(stranger);
  const stale = staleFields(vm, vmi);
  const status: VmAction = {
    do: "status",
    change: (earlier, at) => vmStatusAfter(earlier, { vm, vmi, course, stale, failure, now }, at),
  };
  return [
    ...(vm.metadata.finalizers?.includes(VM_FINALIZER) === true ? [] : [{ do: "finalizer.add" } as const]),
    // What is to follow is kept before anything is taken away: a VM must not be forgotten half-way.
    ...(course.do === "start" ? [] : [status]),
    ...(failure === undefined ? carriedOut(vm, vmi, course, now) : []),
    ...(course.do === "start" ? [status] : []),
    ...links(vm, vmi),
    ...toldAnew(vm, failure, stale),
  ];
}

function courseFor({ vm, now }: VmSituation, vmi: VmSituation["vmi"]): Course {
  const strategy = runStrategyOf(vm.spec);
  return courseOf({
    strategy,
    acted: vm.status?.runStrategy,
    requests: openRequests(vm.status?.stateChangeRequests ?? [], strategy, vmi),
    failure: startFailureAfter(vm.status?.startFailure, strategy, vmi, now),
    vmi,
    now,
  });
}

function carriedOut(
  vm: Stored<VirtualMachine>,
  vmi: VmSituation["vmi"],
  course: Course,
  now: number,
): readonly VmAction[] {
  switch (course.do) {
    case "nothing":
      return [];
    case "wait":
      return [{ do: "again", ms: course.until - now }];
    case "unhalt":
      return [{ do: "unhalt" }];
    case "start":
      return [{ do: "vmi.create", vmi: instanceOf(vm, course.paused) }];
    case "stop":
      return vmi === undefined ? [] : deleted(vm, vmi.metadata.uid);
  }
}

function deleted(vm: Stored<VirtualMachine>, uid: string): readonly VmAction[] {
  const message = `Stopped the virtual machine by deleting the virtual machine instance ${vm.metadata.name} with uid ${uid}`;
  return [
    { do: "vmi.delete", uid },
    { do: "event", type: "Normal", reason: "SuccessfulDelete", message },
  ];
}

/** The VMI goes before its VM, unless the VM is to leave it behind. */
function depart({ vm, now }: VmSituation, vmi: VmSituation["vmi"]): readonly VmAction[] {
  const facts = { vm, vmi, course: { do: "nothing" }, stale: [], failure: undefined, now } as const;
  const status: VmAction = { do: "status", change: (earlier, at) => vmStatusAfter(earlier, facts, at) };
  if (vm.metadata.finalizers?.includes(ORPHAN_FINALIZER) === true) return [status];
  if (vmi === undefined) return [{ do: "finalizer.remove" }];
  return [status, ...(vmi.metadata.deletionTimestamp === undefined ? deleted(vm, vmi.metadata.uid) : [])];
}

function staleFields(vm: Stored<VirtualMachine>, vmi: VmSituation["vmi"]): readonly string[] {
  return isLive(vmi) ? fieldsThatNeedRestart(templateSpec(vm), vmi.spec) : [];
}

function links(vm: Stored<VirtualMachine>, vmi: VmSituation["vmi"]): readonly VmAction[] {
  const changes = isLive(vmi) ? linkChanges(readSpec(templateSpec(vm)), vmi.spec) : [];
  return isLive(vmi) && changes.length > 0 ? [{ do: "vmi.links", vmi, changes }] : [];
}

function isLive(vmi: VmSituation["vmi"]): vmi is Stored<VirtualMachineInstance> {
  return vmi !== undefined && vmi.metadata.deletionTimestamp === undefined && !isFinal(vmi.status?.phase);
}

/** One on its way out is nobody's to take. */
function isOrphan({ metadata }: Stored<VirtualMachineInstance>): boolean {
  return metadata.deletionTimestamp === undefined && controllerOf(metadata.ownerReferences) === undefined;
}

function controllerOf(owners: readonly OwnerReference[] = []): OwnerReference | undefined {
  return owners.find(({ controller }) => controller === true);
}

function inTheWay({ metadata: { name, ownerReferences } }: Stored<VirtualMachineInstance>): VmFailure {
  const controller = controllerOf(ownerReferences);
  const message =
    controller === undefined
      ? `A VirtualMachineInstance "${name}" that is not this VM's is being deleted. The VM starts once it is gone.`
      : `There is a VirtualMachineInstance "${name}" that ${controller.kind} "${controller.name}" controls. Delete it, or give the VM another name.`;
  return { reason: "PB6117", message };
}

/** Events for what a condition did not say before. */
function toldAnew(
  { status }: Stored<VirtualMachine>,
  failure: VmFailure | undefined,
  stale: readonly string[],
): readonly VmAction[] {
  const said = (type: string) => status?.conditions?.find((condition) => condition.type === type);
  return [
    ...(failure === undefined || said("Failure")?.message === failure.message
      ? []
      : [{ do: "event", type: "Warning", ...failure } as const]),
    ...(stale.length === 0 || said(RESTART_REQUIRED) !== undefined
      ? []
      : [
          {
            do: "event",
            type: "Normal",
            reason: RESTART_REQUIRED,
            message: `Changed fields take effect with a restart: ${stale.join(", ")}`,
          } as const,
        ]),
  ];
}
