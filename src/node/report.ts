import { changeStatus } from "../client/change-status.ts";
import type { KubeClient } from "../client/client.ts";
import type { EventRecorder } from "../client/events.ts";
import type { ExitReport } from "../host/guest/running-guest.ts";
import type { Pod, PodStatus } from "../model/api/pod.ts";
import { podResource, vmiResource } from "../model/api/references.ts";
import { isApiError } from "../model/api/status.ts";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import type { VmiStatus } from "../model/api/vmi-status.ts";
import { type Fault, sentence } from "../model/fault.ts";
import { PRIMARY_INTERFACE } from "../model/networks/pod-interface.ts";
import { COMPUTE_CONTAINER, FACTS_ANNOTATION, NODE_FINALIZER, nicsOf, pluginsOf } from "../model/pods/launcher-pod.ts";
import { deviceAnnotations } from "../model/pods/network-info.ts";
import { agentChange, agentGone } from "../model/status/agent.ts";
import { type ConditionClaim, withCondition } from "../model/status/conditions.ts";
import { interfaceStatuses } from "../model/status/interfaces.ts";
import { liveMigratable, migrationMethod } from "../model/status/live-migratable.ts";
import {
  assign,
  claim,
  enterPhase,
  inOrder,
  podScheduled,
  unclaim,
  type VmiStatusChange,
} from "../model/status/vmi.ts";
import { volumeStatuses } from "../model/status/volumes.ts";
import { podAddresses } from "../model/wiring/facts.ts";
import type { PodRecord } from "./records.ts";

type Vmi = Stored<VirtualMachineInstance>;
type LauncherPod = Stored<Pod>;

/** Writes what the node finds out into the API: annotations, statuses, conditions, events. */
export interface Reporter {
  /** The guest runs. */
  running(vmi: Vmi, pod: LauncherPod, record: PodRecord, how: GuestState): Promise<void>;
  /** Something that the guest needs takes long; it is waited for. */
  waiting(vmi: Vmi, fault: Fault): Promise<void>;
  /** The guest could not be started, or cannot go on as it is; it is tried again. */
  failing(vmi: Vmi, fault: Fault): Promise<void>;
  /** The guest has not all that its VM had before; it runs all the same. */
  differs(vmi: Vmi, fault: Fault): void;
  /** Somebody changed the pod's network, and it is as it should be again. */
  mended(vmi: Vmi, steps: number): void;
  /** QEMU has ended. */
  ended(vmi: Vmi | undefined, pod: LauncherPod, end: GuestEnd): Promise<void>;
  /** The pod is gone: where its VMI runs and is not being deleted, that was its end. */
  podDeleted(owner: PodRecord["vmi"]): Promise<void>;
  /** Everything of the pod is given back: the object may go. */
  released(pod: LauncherPod): Promise<void>;
}

/** What is to be said of a guest that runs. */
export interface GuestState {
  /** Its processors stand still, because somebody asked for it. */
  readonly paused: boolean;
  /** Why its readiness probe does not let it count as ready, where it does not. */
  readonly unready: string | undefined;
  /** Why not every NIC is wired, where one is not. */
  readonly uncarried: Fault | undefined;
  /** Why its pod's network is not as CNI made it; the guest runs all the same. */
  readonly differs: Fault | undefined;
  /** For which disk's sake QEMU has stopped it, where it has. */
  readonly stalled: Fault | undefined;
}

/** How a guest ended: by itself, or with a code and a sentence. */
export type GuestEnd =
  | { readonly how: "shutdown" }
  | { readonly how: "failure"; readonly code: string; readonly message: string };

const POD_DELETED = {
  how: "failure",
  code: "PB6108",
  message: "The VMI's pod was deleted, and its guest with it. Delete the VMI and apply it again.",
} as const satisfies GuestEnd;

/** What an exit of QEMU means for the VMI. */
export function guestEnd(report: ExitReport): GuestEnd {
  if (report.reason === "shutdown" || report.reason === "powerdown") return { how: "shutdown" };
  if (report.reason === "watchdog") {
    const message = "The guest's watchdog switched it off: nothing in the guest has reset it in time.";
    return { how: "failure", code: "PB5079", message };
  }
  const words = report.lastWords === "" ? "" : `: ${report.lastWords}`;
  return { how: "failure", code: "PB6103", message: `QEMU ended (${report.reason})${words}` };
}

/** What the node says of how guests run here. */
export interface NodeFacts {
  readonly nodeName: string;
  readonly accel: "kvm" | "tcg";
  /** Why guests are emulated, where they are. */
  readonly accelReason: string;
}

export function makeReporter(client: KubeClient, events: EventRecorder, node: NodeFacts): Reporter {
  const vmiStatus = async (vmi: Vmi, change: VmiStatusChange): Promise<void> => {
    await changeStatus<VmiStatus, Vmi>(client, vmiResource, vmi, change);
  };
  return {
    async running(vmi, pod, record, how) {
      const { facts } = record;
      const addresses = facts === undefined ? [] : podAddresses(facts, PRIMARY_INTERFACE);
      await annotate(client, vmi, pod, record);
      await changeStatus<PodStatus, LauncherPod>(client, podResource, pod, (status, now) =>
        podRunning(status, pod, addresses, how.unready, now),
      );
      await vmiStatus(vmi, unlessSame(inOrder(guestRuns(vmi, pod, record, node, how), accelerated(node))));
      if (vmi.status?.phase !== "Running") events.event(vmi, "Normal", "Started", "VirtualMachineInstance started.");
      for (const fault of [how.uncarried, how.differs, how.stalled]) {
        const message = fault === undefined ? "" : sentence(fault);
        if (fault !== undefined && !isTold(vmi, fault.code, message)) {
          events.event(vmi, "Warning", fault.code, message);
        }
      }
    },
    async waiting(vmi, fault) {
      // Who knows that it hangs is not told at each try that it is waited for.
      if (vmi.status?.conditions?.some(({ reason }) => reason === "PB3008") === true) return;
      const message = sentence(fault);
      await vmiStatus(vmi, claim({ type: "Ready", status: "False", reason: fault.code, message }));
      events.event(vmi, "Normal", fault.code, message);
    },
    async failing(vmi, fault) {
      const message = sentence(fault);
      const told = isTold(vmi, fault.code, message);
      const unsynchronized = { status: "False", reason: fault.code, message } as const;
      const unready = vmi.status?.phase === "Running" ? unsynchronized : NOT_RUNNING;
      await vmiStatus(vmi, claim({ type: "Synchronized", ...unsynchronized }, { type: "Ready", ...unready }));
      if (!told) events.event(vmi, "Warning", fault.code, message);
    },
    differs(vmi, fault) {
      events.event(vmi, "Warning", fault.code, sentence(fault));
    },
    mended(vmi, steps) {
      events.event(
        vmi,
        "Warning",
        "NetworkMended",
        `The pod's network was changed from outside; ${steps} steps brought it back.`,
      );
    },
    async ended(vmi, pod, end) {
      const failure = end.how === "failure" ? end : undefined;
      if (vmi !== undefined) {
        await vmiStatus(vmi, guestEnded(end));
        if (failure === undefined) events.event(vmi, "Normal", "ShuttingDown", "The guest has shut down.");
        else events.event(vmi, "Warning", failure.code, failure.message);
      }
      await changeStatus<PodStatus, LauncherPod>(client, podResource, pod, (status, now) => ({
        ...status,
        phase: failure === undefined ? "Succeeded" : "Failed",
        conditions: withCondition(
          status.conditions ?? [],
          { type: "Ready", status: "False", reason: "PodCompleted" },
          now,
        ),
        ...(failure === undefined ? {} : { reason: failure.code, message: failure.message }),
      }));
    },
    async podDeleted({ namespace, name, uid }) {
      let vmi: Vmi;
      try {
        // Not from a cache: it may hear of the pod's deletion before that of the VMI.
        vmi = await client.get<Vmi>(vmiResource, { namespace, name });
      } catch (thrown) {
        if (isApiError(thrown, "NotFound")) return;
        throw thrown;
      }
      const { metadata, status } = vmi;
      if (metadata.uid !== uid || metadata.deletionTimestamp !== undefined || status?.phase !== "Running") return;
      await vmiStatus(vmi, guestEnded(POD_DELETED));
      events.event(vmi, "Warning", POD_DELETED.code, POD_DELETED.message);
    },
    async released(pod) {
      const finalizers = (pod.metadata.finalizers ?? []).filter((finalizer) => finalizer !== NODE_FINALIZER);
      if (finalizers.length === pod.metadata.finalizers?.length) return;
      try {
        await client.patch(podResource, pod.metadata, "merge", { metadata: { uid: pod.metadata.uid, finalizers } });
      } catch (thrown) {
        if (!isApiError(thrown, "NotFound")) throw thrown;
      }
    },
  };
}

/** Why a guest is not ready that could not be started. */
const NOT_RUNNING = { status: "False", reason: "GuestNotRunning", message: "The guest does not run." } as const;

/** True where a condition says just that already. */
function isTold({ status }: Vmi, code: string, said: string): boolean {
  return status?.conditions?.some(({ reason, message }) => reason === code && message === said) === true;
}

/** The annotations that the contracts of a pod name. */
async function annotate(client: KubeClient, vmi: Vmi, pod: LauncherPod, record: PodRecord): Promise<void> {
  const annotations = {
    "patchbay.io/netns": record.netns,
    ...(record.facts === undefined ? {} : { [FACTS_ANNOTATION]: JSON.stringify(record.facts) }),
    ...(record.guest === undefined ? {} : { "patchbay.io/qemu-pid": String(record.guest.pid) }),
    "k8s.v1.cni.cncf.io/network-status": JSON.stringify(record.facts?.networkStatus ?? []),
    ...(record.facts === undefined ? {} : deviceAnnotations(nicsOf(vmi, pluginsOf(pod)), record.facts)),
  };
  const there = pod.metadata.annotations ?? {};
  if (Object.entries(annotations).every(([key, value]) => there[key] === value)) return;
  await client.patch(podResource, pod.metadata, "merge", { metadata: { annotations } });
}

/** True where a pod's network is not as CNI made it. */
const DIFFERS = "PodNetworkDiffers";
/** As KubeVirt words it; there a readiness gate of the pod brings the one about. */
const PAUSED = {
  type: "Paused",
  status: "True",
  reason: "PausedByUser",
  message: "VMI was paused by user",
} as const satisfies ConditionClaim;
/** As KubeVirt words it, too. */
const STALLED = {
  type: "Paused",
  status: "True",
  reason: "PausedIOError",
  message: "VMI was paused, low-level IO error detected",
} as const satisfies ConditionClaim;
const NOT_READY_PAUSED: ConditionClaim = {
  type: "Ready",
  status: "False",
  reason: "ReadinessGatesNotReady",
  message: "The guest is paused. Let it go on: virtctl unpause vmi NAME.",
};

/** Whether a guest that runs is as it should be. */
function wholeness({ paused, unready, uncarried, stalled }: GuestState): readonly ConditionClaim[] {
  const refusal = (fault: Fault | undefined) =>
    fault && ({ status: "False", reason: fault.code, message: sentence(fault) } as const);
  const whole = refusal(uncarried) ?? ({ status: "True" } as const);
  const ready = refusal(stalled) ?? refusal(uncarried) ?? readiness(unready);
  return [paused ? NOT_READY_PAUSED : { type: "Ready", ...ready }, { type: "Synchronized", ...whole }];
}

/** By the readiness probe, with Kubernetes' reason. */
function readiness(unready: string | undefined): Pick<ConditionClaim, "status" | "reason" | "message"> {
  return unready === undefined
    ? { status: "True" }
    : { status: "False", reason: "ContainersNotReady", message: unready };
}

function podRunning(
  status: Partial<PodStatus>,
  { spec }: LauncherPod,
  addresses: readonly string[],
  unready: string | undefined,
  now: string,
): Partial<PodStatus> {
  const ready: ConditionClaim = { type: "Ready", ...readiness(unready) };
  const told = status.conditions?.some(({ type, status: said, message }) => {
    return type === "Ready" && said === ready.status && message === ready.message;
  });
  if (status.phase === "Running" && status.podIP === addresses[0] && told === true) return status;
  const state = { running: { startedAt: status.startTime ?? now } };
  const runs = { restartCount: 0, image: "", imageID: "", state };
  // What these print is there as soon as there is a guest, whatever becomes of that.
  const beside = (spec?.initContainers ?? []).flatMap(({ name }) =>
    name === undefined ? [] : [{ ...runs, name, ready: true, started: true }],
  );
  return {
    ...status,
    phase: "Running",
    startTime: status.startTime ?? now,
    ...(addresses[0] === undefined ? {} : { podIP: addresses[0], podIPs: addresses.map((ip) => ({ ip })) }),
    conditions: withCondition(status.conditions ?? [], ready, now),
    ...(beside.length === 0 ? {} : { initContainerStatuses: beside }),
    containerStatuses: [{ ...runs, name: COMPUTE_CONTAINER, ready: unready === undefined }],
  };
}

function guestRuns(vmi: Vmi, pod: LauncherPod, record: PodRecord, node: NodeFacts, how: GuestState): VmiStatusChange {
  const { paused, differs, stalled } = how;
  const { facts, wiring, hardware, agent, claims = [] } = record;
  if (facts === undefined || wiring === undefined) return (status) => status;
  const nics = nicsOf(vmi, pluginsOf(pod));
  const interfaces = interfaceStatuses(nics, wiring.nics, facts, agent?.said);
  return inOrder(
    enterPhase("Running"),
    podScheduled,
    claim(...wholeness(how)),
    claim(liveMigratable(vmi.spec.volumes ?? [], claims, nics)),
    paused ? claim(PAUSED) : stalled === undefined ? unclaim(PAUSED.type) : claim(STALLED),
    differs === undefined
      ? unclaim(DIFFERS)
      : claim({ type: DIFFERS, status: "True", reason: differs.code, message: sentence(differs) }),
    agentChange(agent, nics, wiring, facts),
    assign({
      interfaces,
      volumeStatus: volumeStatuses(vmi.spec, claims),
      migrationMethod: migrationMethod(vmi.spec, claims),
      nodeName: node.nodeName,
      activePods: { [record.podUid]: node.nodeName },
      ...(hardware === undefined ? {} : { machine: { type: hardware.machine } }),
    }),
  );
}

/** The change, or the very same status where it changes nothing: then nothing is written. */
function unlessSame(change: VmiStatusChange): VmiStatusChange {
  return (status, now) => {
    const changed = change(status, now);
    return JSON.stringify(changed) === JSON.stringify(status) ? status : changed;
  };
}

/** Says in the status where a guest is emulated, and why. */
function accelerated({ accel, accelReason }: NodeFacts): VmiStatusChange {
  return claim(
    accel === "kvm"
      ? { type: "HardwareAccelerated", status: "True", reason: "KVM" }
      : { type: "HardwareAccelerated", status: "False", reason: "Emulation", message: accelReason },
  );
}

/** What was said of a guest that ran. */
const nothingOfTheGuest = inOrder(agentGone, unclaim(DIFFERS));

function guestEnded(end: GuestEnd): VmiStatusChange {
  return end.how === "shutdown"
    ? inOrder(
        enterPhase("Succeeded"),
        nothingOfTheGuest,
        claim({ type: "Ready", status: "False", reason: "PodCompleted", message: "The guest has shut down." }),
      )
    : inOrder(
        enterPhase("Failed"),
        nothingOfTheGuest,
        claim(
          { type: "Ready", status: "False", reason: end.code, message: end.message },
          { type: "Synchronized", status: "False", reason: end.code, message: end.message },
        ),
      );
}
