import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isNoSpace, noRoom } from "../host/full-disk.ts";
import { removeFolder } from "../host/guest/folder-removal.ts";
import { endPassts } from "../host/guest/passt-keeper.ts";
import type { GuestRunner } from "../host/guest/runner.ts";
import type { ExitReport, RunningGuest } from "../host/guest/running-guest.ts";
import { untilCalledOff } from "../host/images/volumes.ts";
import { closeFds } from "../host/linux/tap.ts";
import { unlessAborted } from "../host/unless-aborted.ts";
import type { Pod } from "../model/api/pod.ts";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import type { NicContext } from "../model/bindings/binding.ts";
import { overlapsOf } from "../model/bindings/masquerade-sides.ts";
import { fewerPortsOf } from "../model/bindings/passt.ts";
import { Fault, isFault } from "../model/fault.ts";
import { readPodNetworks } from "../model/networks/network-selection.ts";
import { requireFree } from "../model/pods/claims.ts";
import { keptInterfaces } from "../model/pods/kept-interfaces.ts";
import { nicsOf, pluginsOf } from "../model/pods/launcher-pod.ts";
import { wire } from "../model/wiring/nics.ts";
import { unbuiltOf } from "../model/wiring/unbuilt.ts";
import { claimUses } from "./claim-volumes.ts";
import { dedicatedCpus, pinVcpus } from "./dedicated-cpus.ts";
import { devicesOf, prepareDevices } from "./guest-devices.ts";
import { type GuestParts, guestSpec, hardwareOf } from "./guest-spec.ts";
import { findVolumes, prepareVolumes, type VolumeParts } from "./guest-volumes.ts";
import { activate, type HeldPod, type LiveParts, type LivePod, timedApply } from "./live-pod.ts";
import { openNicFds } from "./nic-fds.ts";
import { qemuLog } from "./pod-logs.ts";
import type { PodSource, SandboxRequest } from "./pod-source.ts";
import type { PodRecord, PodRecords } from "./records.ts";

/** What the life of a pod on this node is made with. */
export interface NodeParts extends GuestParts, VolumeParts, LiveParts {
  /** `D/guests`: one folder a pod for its guest's sockets and overlays. */
  readonly guestsDir: string;
  /** `D/logs`: what each QEMU says. */
  readonly logsDir: string;
  readonly records: PodRecords;
  readonly pods: PodSource;
  readonly runner: GuestRunner;
}

/**
 * Makes a pod and starts its guest. When anything fails, or the signal calls it off, everything is undone and the Fault, or
 * the signal's reason, goes on to the caller.
 *
 * The record is written before each thing that leaves a trace, so that a daemon that dies here leaves work, not litter.
 */
export async function bringUp(
  given: NodeParts,
  vmi: Stored<VirtualMachineInstance>,
  pod: Stored<Pod>,
  signal: AbortSignal,
  waits: (fault: Fault) => void,
): Promise<LivePod> {
  const podUid = pod.metadata.uid;
  const parts: NodeParts = { ...given, images: untilCalledOff(given.images, signal) };
  // What needs no pod is looked at first: a missing image costs nobody an address.
  const volumes = await findVolumes(parts, vmi);
  const devices = devicesOf(vmi.spec.domain);
  const nics = nicsOf(vmi, pluginsOf(pod));
  for (const unbuilt of unbuiltOf(nics)) throw unbuilt;
  const claims = claimUses(volumes, vmi.metadata.namespace);
  const begun: PodRecord = {
    version: 1,
    podUid,
    pod: { namespace: pod.metadata.namespace, name: pod.metadata.name },
    vmi: { namespace: vmi.metadata.namespace, name: vmi.metadata.name, uid: vmi.metadata.uid },
    netns: parts.pods.netnsOf(podUid),
    stage: "network",
    ...(claims.length === 0 ? {} : { claims }),
  };
  // No await between the look at the others' claims and the record with its own.
  requireFree(claims, parts.records.all());
  parts.records.put(begun);
  try {
    const { netns, facts, differs } = await parts.pods.acquire(sandboxRequest(pod, nics), signal, waits);
    const wiring = wire(nics, facts);
    for (const { splits, fault } of overlapsOf(nics, facts)) if (splits) throw fault;
    const hardware = hardwareOf(parts, vmi, wiring);
    // Its devices are in the record meanwhile.
    const held: PodRecord = { ...begun, ...parts.records.get(podUid) };
    // No await between the look at the others' processors and the record with its own.
    const own = dedicatedCpus(vmi.spec.domain, held, parts.records);
    const wired: PodRecord = { ...held, ...own, stage: "wired", facts, hardware, wiring };
    parts.records.put(wired);
    const place = { netns, runDir: runDirOf(parts, podUid), logFile: qemuLog(parts, podUid) };
    const disks = await prepareVolumes(parts, vmi, volumes, place.runDir, hardware);
    await prepareDevices(devices, place.runDir);
    const spec = guestSpec(parts, vmi, wired, disks, devices);
    signal.throwIfAborted();
    const fds = openNicFds(netns, wiring, timedApply(parts, netns, wiring.kernel).taps);
    try {
      const guest = await parts.runner.start(spec, fds, {
        ...place,
        signal,
        started: (record) => parts.records.put({ ...wired, stage: "guest", guest: record }),
      });
      try {
        await pinVcpus(guest, wired.cpus ?? []);
        const { pod: live, lost } = await activate(parts, { ...wired, stage: "guest", guest: guest.record }, guest);
        try {
          await unlessAborted(live.passts.begun, signal);
          const uncarried = lost ?? live.passts.fault();
          if (uncarried !== undefined) throw uncarried;
        } catch (thrown) {
          live.passts.release();
          await live.services.close();
          throw thrown;
        }
        const short = differs ?? fewerPortsOf(nics, facts);
        return short === undefined ? live : { ...live, differs: short };
      } catch (thrown) {
        guest.release();
        throw thrown;
      }
    } finally {
      await closeFds([...fds.values()].flat());
    }
  } catch (thrown) {
    await takeDown(parts, parts.records.get(podUid) ?? begun);
    throw isNoSpace(thrown) ? noRoom(parts.guestsDir, thrown) : thrown;
  }
}

/** What was found of a guest that an earlier daemon left. */
export type Adopted =
  | { readonly found: "alive"; readonly pod: LivePod; readonly steps: number }
  /** It shut down while nobody looked, or ends just now. */
  | { readonly found: "ended"; readonly exit: ExitReport }
  | { readonly found: "nothing" };

/** How long a guest that is not whole may take to turn out to be ending. */
const ENDING_MS = 1_000;

/**
 * Takes over the guest of a record that an earlier daemon left: the wiring is verified and mended (`steps` says how much
 * that took), the servers run again. Where one of its links is gone, which cannot be mended under it, what is left is
 * taken over.
 *
 * Throws PB5057 or PB5062 where QEMU does not answer.
 */
export async function adopt(parts: NodeParts, record: PodRecord): Promise<Adopted> {
  if (record.guest === undefined) return { found: "nothing" };
  const guest = await parts.runner.find(record.guest);
  if (guest === undefined) return { found: "nothing" };
  try {
    const adopted = await activate(parts, record, guest);
    // A passt that hangs keeps nobody else waiting.
    void adopted.pod.passts.begun.then(() => parts.carrierChanged?.(record.podUid));
    return { found: "alive", ...adopted };
  } catch (thrown) {
    const exit = await endOf(guest);
    if (exit !== undefined) return { found: "ended", exit };
    guest.release();
    throw thrown;
  }
}

/**
 * How a guest ends whose network is not whole; undefined where it goes on. The network of a guest goes with it, and what
 * is then missing is its end, not a failure.
 */
export async function endOf(guest: RunningGuest): Promise<ExitReport | undefined> {
  const waiting = new AbortController();
  try {
    const enough = sleep(ENDING_MS, undefined, { signal: waiting.signal }).catch(() => undefined);
    return await Promise.race([guest.exited, enough]);
  } finally {
    waiting.abort();
  }
}

/**
 * Ends the guest at once if it runs, gives everything of the pod back, and forgets the pod. Can be done again after a
 * failure.
 */
export async function takeDown(parts: NodeParts, record: PodRecord, held?: HeldPod): Promise<void> {
  await held?.services?.close();
  await (held ?? (await holdGuest(parts, record)))?.guest.end();
  // A daemon that died between the start of QEMU and its record leaves one that only its folder names.
  if (held === undefined && record.stage !== "network") await parts.runner.destroyIn(runDirOf(parts, record.podUid));
  if (held?.passts !== undefined) await held.passts.stop();
  else await endPassts(record.wiring?.nics ?? [], runDirOf(parts, record.podUid));
  await parts.pods.release(record.podUid);
  await removeFolder(runDirOf(parts, record.podUid));
  rmSync(qemuLog(parts, record.podUid), { force: true });
  parts.records.remove(record.podUid);
}

/**
 * Takes over the guest of a record that nobody talks to, and nothing else of its pod, so that it can be ended: undefined
 * where it is gone. One that does not answer is ended by force.
 */
export async function holdGuest(parts: Pick<NodeParts, "runner">, record: PodRecord): Promise<HeldPod | undefined> {
  if (record.guest === undefined) return undefined;
  try {
    const guest = await parts.runner.find(record.guest);
    return guest === undefined ? undefined : { record, guest };
  } catch (thrown) {
    if (!isFault(thrown, "PB5057") && !isFault(thrown, "PB5062")) throw thrown;
    await parts.runner.destroy(record.guest);
    return undefined;
  }
}

function runDirOf(parts: NodeParts, podUid: string): string {
  return join(parts.guestsDir, podUid);
}

function sandboxRequest(pod: Stored<Pod>, nics: readonly NicContext[]): SandboxRequest {
  const { uid: podUid, namespace, name, annotations = {} } = pod.metadata;
  // Only the NIC on the pod network keeps addresses.
  const ips = keptInterfaces(annotations).flatMap((kept) => kept.ips ?? []);
  const reading = readPodNetworks(annotations, namespace);
  if ("problem" in reading) {
    const place = `metadata.annotations["${reading.annotation}"] of the pod ${namespace}/${name}`;
    throw new Fault("PB3031", `The pod's networks cannot be understood: ${reading.problem}.`, {
      place,
      cure: "A VMI's annotations and its binding plugins' networkAttachmentDefinition become its pod's: mend or remove the one that is wrong.",
    });
  }
  const { dnsPolicy, dnsConfig } = pod.spec ?? {};
  const networkNames = new Map(nics.map((nic) => [nic.podInterface, nic.name]));
  return { podUid, namespace, name, networks: reading.networks, networkNames, dnsPolicy, dnsConfig, ips };
}
