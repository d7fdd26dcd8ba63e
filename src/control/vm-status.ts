import { canonicalJson } from "../model/api/canonical-json.ts";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachine, VmStatus } from "../model/api/vm.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import { type Condition, type ConditionClaim, withCondition } from "../model/status/conditions.ts";
import { isFinal } from "../model/status/vmi.ts";
import {
  type Course,
  isFailingInALoop,
  openRequests,
  type RunStrategy,
  runStrategyOf,
  startFailureAfter,
} from "./vm-course.ts";
import { addressesOf, GENERATION_ANNOTATION } from "./vm-instance.ts";

type Vm = Stored<VirtualMachine>;
type Vmi = Stored<VirtualMachineInstance>;

/** Why no VMI can be made; a condition says it. */
export interface VmFailure {
  readonly reason: string;
  readonly message: string;
}

/** What a VM's status follows from. */
export interface VmStatusFacts {
  readonly vm: Vm;
  /** The VM's own. */
  readonly vmi: Vmi | undefined;
  readonly course: Course;
  /** Fields of the template that take effect with a restart only. */
  readonly stale: readonly string[];
  readonly failure: VmFailure | undefined;
  /** In ms since 1970. */
  readonly now: number;
}

const READY = "Ready";
const FAILURE = "Failure";
export const RESTART_REQUIRED = "RestartRequired";
/** Of the guest's codes, those that say that an image is missing or cannot be had. */
const NO_IMAGE = ["PB5001", "PB5010", "PB5011", "PB5012", "PB5013"];

/** A VM's status, made of an earlier one; that very one where nothing changes. `at` is RFC 3339. */
export function vmStatusAfter(earlier: Partial<VmStatus>, facts: VmStatusFacts, at: string): Partial<VmStatus> {
  const { vm, vmi, course } = facts;
  const strategy = runStrategyOf(vm.spec);
  const { startFailure: _, stateChangeRequests: __, ...kept } = earlier;
  const startFailure = startFailureAfter(earlier.startFailure, strategy, vmi, facts.now);
  const requests = requestsAfter(earlier.stateChangeRequests ?? [], strategy, facts);
  const conditions = conditionsAfter(earlier.conditions ?? [], facts, at);
  const interfaces = vmi === undefined ? undefined : addressesOf(vmi.spec, vmi.status);
  const { generation } = vm.metadata;
  // Users may write the annotation too.
  const said = Number(vmi?.metadata.annotations?.[GENERATION_ANNOTATION] ?? generation);
  const made = Number.isSafeInteger(said) ? said : generation;
  const next: Partial<VmStatus> = {
    ...kept,
    conditions,
    created: vmi !== undefined,
    ready: conditions.some(({ type, status }) => type === READY && status === "True"),
    printableStatus: printableStatus(facts, strategy, startFailure),
    // Until a start that is waited for was made, it is still owed.
    ...(course.do === "wait" || (course.do === "start" && facts.failure !== undefined)
      ? {}
      : { runStrategy: strategy }),
    ...(generation === undefined
      ? {}
      : { desiredGeneration: generation, observedGeneration: facts.stale.length === 0 ? generation : made }),
    ...(startFailure === undefined ? {} : { startFailure }),
    ...(requests.length === 0 ? {} : { stateChangeRequests: requests }),
    ...(interfaces === undefined ? {} : { interfaces }),
  };
  return canonicalJson(next) === canonicalJson(earlier) ? earlier : next;
}

function requestsAfter(
  earlier: NonNullable<VmStatus["stateChangeRequests"]>,
  strategy: RunStrategy,
  { vmi, course }: VmStatusFacts,
): NonNullable<VmStatus["stateChangeRequests"]> {
  const open = openRequests(earlier, strategy, vmi);
  const owed = course.do === "stop" && course.again && !open.some(({ action }) => action === "Start");
  return owed ? [...open, { action: "Start" }] : open;
}

/** The VMI's conditions, the VM's own beside them (KubeVirt: Ready, Failure, RestartRequired). */
function conditionsAfter(earlier: readonly Condition[], facts: VmStatusFacts, at: string): readonly Condition[] {
  const { vmi, failure, stale } = facts;
  const theirs = vmi?.status?.conditions ?? [];
  const ready = theirs.find(({ type }) => type === READY);
  const own: readonly ConditionClaim[] = [
    ...(ready === undefined ? [notReady(vmi)] : []),
    ...(failure === undefined ? [] : [claimOf(FAILURE, failure)]),
    ...(stale.length === 0 ? [] : [restartRequired(stale)]),
  ];
  const before = earlier.filter(({ type }) => own.some((claim) => claim.type === type));
  const said = own.reduce<readonly Condition[]>((list, claim) => withCondition(list, claim, at), before);
  return [...theirs, ...said];
}

function notReady(vmi: Vmi | undefined): ConditionClaim {
  return vmi === undefined
    ? { type: READY, status: "False", reason: "VMINotExists", message: "VMI does not exist" }
    : { type: READY, status: "False", reason: "VMIConditionMissing", message: "VMI is missing the Ready condition" };
}

function claimOf(type: string, { reason, message }: VmFailure): ConditionClaim {
  return { type, status: "True", reason, message };
}

function restartRequired(stale: readonly string[]): ConditionClaim {
  const fields = stale.map((field) => `spec.template.spec.${field}`).join(", ");
  const reason = RESTART_REQUIRED;
  const message = `The running guest does not have what these fields say: ${fields}. They take effect with a restart.`;
  return { type: RESTART_REQUIRED, status: "True", reason, message };
}

/** The first that fits, in KubeVirt's order and with its words. */
function printableStatus(
  { vm, vmi, course, failure }: VmStatusFacts,
  strategy: RunStrategy,
  startFailure: VmStatus["startFailure"],
): string {
  if (vm.metadata.deletionTimestamp !== undefined) return "Terminating";
  const phase = vmi?.status?.phase;
  if (vmi !== undefined && !isFinal(phase)) {
    const says = (type: string, status: string) =>
      vmi.status?.conditions?.find((condition) => condition.type === type && condition.status === status);
    if (vmi.metadata.deletionTimestamp !== undefined || course.do === "stop") return "Stopping";
    if (phase === "Running") return says("Paused", "True") === undefined ? "Running" : "Paused";
    if (says("PodScheduled", "False") !== undefined) return "ErrorUnschedulable";
    return NO_IMAGE.includes(says("Synchronized", "False")?.reason ?? "") ? "ErrImagePull" : "Starting";
  }
  if (course.do === "start" && failure === undefined) return "Starting";
  return isFailingInALoop(strategy, startFailure) ? "CrashLoopBackOff" : "Stopped";
}
