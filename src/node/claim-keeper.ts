import type { Logger } from "pino";
import { changeStatus } from "../client/change-status.ts";
import type { KubeClient } from "../client/client.ts";
import type { EventRecorder } from "../client/events.ts";
import { inform } from "../client/informer.ts";
import { makeReconcileQueue } from "../client/reconcile-queue.ts";
import {
  claimImagePath,
  claimImages,
  isClaimImage,
  makeClaimImage,
  removeClaimImage,
} from "../host/images/claim-image.ts";
import type { PersistentVolumeClaim } from "../model/api/claim.ts";
import { claimResource } from "../model/api/references.ts";
import { isApiError } from "../model/api/status.ts";
import { keyOf } from "../model/api/stored.ts";
import type { ClaimInfo } from "../model/api/vmi-status.ts";
import { Fault, isFault, sentence } from "../model/fault.ts";
import {
  CLAIM_FINALIZER,
  CLAIM_IMAGE_ANNOTATION,
  type Claim,
  capacityOf,
  claimInfo,
  imageBytes,
  unprovidable,
  volumeNameOf,
} from "../model/pods/claims.ts";
import type { PodRecords } from "./records.ts";

export interface ClaimOptions {
  readonly client: KubeClient;
  readonly events: EventRecorder;
  readonly records: PodRecords;
  /** `D/claims`: the images, each in a folder named by its claim's UID. */
  readonly folder: string;
  readonly log: Logger;
  /** Called when a guest that waits for a claim may have it. */
  readonly changed: () => void;
}

/** A claim whose image is there. */
export interface FoundClaim {
  readonly uid: string;
  readonly image: string;
  readonly info: ClaimInfo;
}

/** Provides the claims of this machine with disk images, and takes these away with them. */
export interface ClaimKeeper {
  /**
   * The claim of a volume, made ready where it is not.
   *
   * @throws Fault PB5073 where there is none, PB5081 where it has no image or is about to go, PB5007
   */
  find(namespace: string, name: string, volume: string): Promise<FoundClaim>;
  close(): Promise<void>;
}

/** So often a claim that is to go is looked at while a guest has it. */
const HELD_MS = 1_000;

type Status = NonNullable<PersistentVolumeClaim["status"]>;

/**
 * Gives each claim its disk image, and tells of those that it cannot provide.
 *
 * INVARIANTS: an image goes only after its claim was deleted, and while no pod's record has the claim; a claim that is
 * bound never gets another image.
 */
export function keepClaims({ client, events, records, folder, log, changed }: ClaimOptions): ClaimKeeper {
  const closing = new AbortController();
  const claims = new Map<string, Claim>();
  const told = new Map<string, string>();

  const queue = makeReconcileQueue(reconcile, {
    parallel: 1,
    failed: (uid, error, waitMs) => log.warn({ uid, error: describe(error), waitMs }, "a claim is not as it should be"),
  });
  const seen = (claim: Claim): void => {
    claims.set(claim.metadata.uid, claim);
    queue.add(claim.metadata.uid);
  };
  inform<Claim>(
    client,
    claimResource,
    {},
    {
      add: seen,
      update: seen,
      delete: ({ metadata: { uid } }) => {
        claims.delete(uid);
        told.delete(uid);
        queue.add(uid);
      },
      synced: () => void lookForStrays(),
      failed: (error, waitMs) => log.warn({ error: describe(error), waitMs }, "the claims cannot be watched"),
    },
    closing.signal,
  );

  /** An image whose claim went while nobody looked may be all that is left of somebody's data: it is only told of. */
  async function lookForStrays(): Promise<void> {
    for (const uid of await claimImages(folder)) {
      if (!claims.has(uid)) log.warn({ image: claimImagePath(folder, uid) }, "a disk image has no claim");
    }
  }

  function isHeld(uid: string): boolean {
    return records.all().some(({ claims: used = [] }) => used.some((use) => use.uid === uid));
  }

  async function reconcile(uid: string): Promise<void> {
    const claim = claims.get(uid);
    if (claim === undefined || claim.metadata.deletionTimestamp !== undefined) return giveBack(uid, claim);
    const fault = unprovidable(claim);
    if (fault !== undefined) return tell(claim, fault);
    if (claim.status?.phase === "Bound") return;
    try {
      await provide(claim);
    } catch (thrown) {
      if (isFault(thrown)) await tell(claim, thrown);
      throw thrown;
    }
    changed();
  }

  async function giveBack(uid: string, claim: Claim | undefined): Promise<void> {
    if (isHeld(uid)) return queue.after(uid, HELD_MS);
    await removeClaimImage(folder, uid);
    if (claim === undefined) return;
    const finalizers = (claim.metadata.finalizers ?? []).filter((finalizer) => finalizer !== CLAIM_FINALIZER);
    if (finalizers.length === claim.metadata.finalizers?.length) return;
    const { resourceVersion } = claim.metadata;
    try {
      // With the version: a finalizer that another takes off meanwhile is not to come back.
      await client.patch(claimResource, claim.metadata, "merge", { metadata: { uid, resourceVersion, finalizers } });
    } catch (thrown) {
      if (!isApiError(thrown, "NotFound")) throw thrown;
    }
  }

  /** Makes the image, then says so: what is bound has one. */
  async function provide(claim: Claim): Promise<void> {
    const { uid } = claim.metadata;
    await makeClaimImage(folder, uid, imageBytes(claim));
    const named = await client.patch<Claim>(claimResource, claim.metadata, "merge", {
      metadata: { uid, annotations: { [CLAIM_IMAGE_ANNOTATION]: claimImagePath(folder, uid) } },
      spec: { volumeName: volumeNameOf(claim) },
    });
    const accessModes = claim.spec?.accessModes ?? [];
    await changeStatus<Status, Claim>(client, claimResource, named, (status) =>
      status.phase === "Bound"
        ? status
        : { ...status, phase: "Bound", accessModes, capacity: { storage: capacityOf(claim) } },
    );
    told.delete(uid);
  }

  /** Says why a claim stays without an image, once. */
  async function tell(claim: Claim, fault: Fault): Promise<void> {
    const message = sentence(fault);
    if (told.get(claim.metadata.uid) !== message) events.event(claim, "Warning", fault.code, message);
    told.set(claim.metadata.uid, message);
    await changeStatus<Status, Claim>(client, claimResource, claim, (status) =>
      status.phase === undefined ? { ...status, phase: "Pending" } : status,
    );
  }

  async function read(namespace: string, name: string): Promise<Claim | undefined> {
    try {
      return await client.get<Claim>(claimResource, { namespace, name });
    } catch (thrown) {
      if (isApiError(thrown, "NotFound")) return undefined;
      throw thrown;
    }
  }

  return {
    async find(namespace, name, volume) {
      const claim = await read(namespace, name);
      if (claim === undefined) throw missing(namespace, name, volume);
      const { uid, deletionTimestamp } = claim.metadata;
      if (deletionTimestamp !== undefined) throw unusable(claim, volume, "is being deleted", "Make another one.");
      const fault = unprovidable(claim);
      if (fault !== undefined) throw fault;
      if (claim.status?.phase !== "Bound") {
        await provide(claim).catch((thrown: unknown) => {
          // It may have been deleted just now, and have an image all the same.
          queue.add(uid);
          throw thrown;
        });
      } else if (!(await isClaimImage(folder, uid))) {
        const why = `has lost its disk image ${claimImagePath(folder, uid)}`;
        throw unusable(claim, volume, why, "Bring the file back, or delete the claim and make it anew.");
      }
      return { uid, image: claimImagePath(folder, uid), info: claimInfo(claim) };
    },
    async close() {
      closing.abort();
      await queue.close();
    },
  };
}

function missing(namespace: string, name: string, volume: string): Fault {
  const kind = "PersistentVolumeClaim";
  return new Fault("PB5073", `There is no ${kind} ${namespace}/${name}, of which the volume "${volume}" is made.`, {
    place: "spec.volumes",
    cure: `Apply one with spec.accessModes [ReadWriteOnce] and spec.resources.requests.storage, such as 10Gi; the VMI then starts by itself.`,
    data: { kind, namespace, name },
  });
}

function unusable(claim: Claim, volume: string, why: string, cure: string): Fault {
  return new Fault("PB5081", `The claim ${keyOf(claim)} of the volume "${volume}" ${why}.`, {
    place: "spec.volumes",
    cure,
  });
}

function describe(error: unknown): unknown {
  return isFault(error) ? { code: error.code, message: error.message } : error;
}
