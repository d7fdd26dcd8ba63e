import type { PersistentVolumeClaim } from "../api/claim.ts";
import { keyOf, type Stored } from "../api/stored.ts";
import type { ClaimInfo } from "../api/vmi-status.ts";
import { Fault } from "../fault.ts";
import { parseQuantity } from "../guest/quantity.ts";

/** Held until no guest uses the claim, as Kubernetes does it. */
export const CLAIM_FINALIZER = "kubernetes.io/pvc-protection";
/** Of a claim: the path of its disk image. */
export const CLAIM_IMAGE_ANNOTATION = "patchbay.io/disk-image";
/** The name under which a manifest may ask for this machine's storage. */
export const CLAIM_CLASS = "patchbay";

export type Claim = Stored<PersistentVolumeClaim>;

const MEBI = 1n << 20n;

/** What a claim that is provided has in `spec.volumeName`: Kubernetes' name for what it provides. */
export function volumeNameOf(claim: Claim): string {
  return `pvc-${claim.metadata.uid}`;
}

/** Bytes of a claim's image: what is asked for, up to whole MiB. */
export function imageBytes(claim: Claim): bigint {
  const bytes = parseQuantity(String(claim.spec?.resources?.requests?.["storage"] ?? 0)) ?? 0n;
  return ((bytes + MEBI - 1n) / MEBI) * MEBI;
}

/** What the status says of how much there is: the text of the manifest where that is exact. */
export function capacityOf(claim: Claim): string {
  const asked = String(claim.spec?.resources?.requests?.["storage"] ?? 0);
  const bytes = imageBytes(claim);
  return parseQuantity(asked) === bytes ? asked : `${bytes / MEBI}Mi`;
}

/** What the status of a VMI says of a claim that is provided: the image takes all of it. */
export function claimInfo(claim: Claim): ClaimInfo {
  const { accessModes = [], volumeMode = "Filesystem", resources } = claim.spec ?? {};
  return {
    claimName: claim.metadata.name,
    accessModes,
    volumeMode,
    capacity: { storage: capacityOf(claim) },
    requests: resources?.requests ?? {},
    filesystemOverhead: "0",
  };
}

/** Why this machine does not provide a claim, as PB5081; undefined where it does. */
export function unprovidable(claim: Pick<Claim, "metadata" | "spec">): Fault | undefined {
  const { metadata, spec = {} } = claim;
  const { volumeMode, storageClassName = "", dataSource, dataSourceRef, selector, volumeName = "" } = spec;
  const reasons: readonly (readonly [is: boolean, why: string, cure: string])[] = [
    [
      volumeMode === "Block",
      "volumeMode Block asks for a device of its own, and claims are disk images here",
      "leave volumeMode out, as the guest's disk is the same",
    ],
    [
      storageClassName !== "" && storageClassName !== CLAIM_CLASS,
      `nobody provides the storage class "${storageClassName}"`,
      `leave storageClassName out, or write ${CLAIM_CLASS}`,
    ],
    [
      (dataSource ?? dataSourceRef) !== undefined,
      "a dataSource cannot be copied",
      "leave it out and fill the image yourself (docs/claims.md)",
    ],
    [
      selector !== undefined || (volumeName !== "" && volumeName !== `pvc-${metadata.uid}`),
      "there are no PersistentVolumes to choose from",
      "leave volumeName and selector out",
    ],
    [
      (spec.volumeAttributesClassName ?? "") !== "",
      `there is no volumeAttributesClass "${spec.volumeAttributesClassName}"`,
      "leave it out",
    ],
  ];
  const found = reasons.filter(([is]) => is);
  if (found.length === 0) return undefined;
  const why = found.map(([, each]) => each).join("; ");
  return new Fault("PB5081", `The claim ${keyOf(claim)} is not provided on this machine: ${why}.`, {
    cure: `A claim's spec is fixed: delete it and apply another; ${found.map(([, , cure]) => cure).join("; ")}.`,
  });
}

/** How a guest uses a claim. */
export interface ClaimUse {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** Name of the disk. */
  readonly disk: string;
  readonly writes: boolean;
  /** The disk may be written by several guests at once. */
  readonly shareable: boolean;
  /** The claim is for one pod alone: ReadWriteOncePod. */
  readonly alone: boolean;
  /** Guests on several nodes may write on the claim: ReadWriteMany. */
  readonly shared: boolean;
  /** What the VMI's status says of the claim where the disk is the claim itself. */
  readonly info?: ClaimInfo;
}

/** A VMI with the claims that its guest uses. */
export interface ClaimHolder {
  readonly vmi: { readonly namespace: string; readonly name: string };
  readonly claims?: readonly ClaimUse[];
}

/**
 * Looks that a guest may use its claims beside those of the holders: QEMU locks an image against two guests of which one
 * writes, unless the disks of both are shareable.
 *
 * @throws Fault PB5082
 */
export function requireFree(uses: readonly ClaimUse[], holders: readonly ClaimHolder[]): void {
  for (const [index, use] of uses.entries()) {
    const own = uses.slice(0, index).find((other) => collides(use, other));
    if (own !== undefined) throw inUse(use, `this VMI's own disk "${own.disk}" is of it, too`, SEVERAL);
    for (const { vmi, claims = [] } of holders) {
      const other = claims.find((each) => collides(use, each) || isForOne(use, each));
      if (other === undefined) continue;
      const by = `the VMI ${vmi.namespace}/${vmi.name} ${other.writes ? "writes on" : "reads"} it as its disk "${other.disk}"`;
      throw inUse(use, by, `Delete that VMI, and this one starts by itself. ${isForOne(use, other) ? ALONE : SEVERAL}`);
    }
  }
}

const ALONE = "The access mode ReadWriteOncePod is for one guest alone.";
const SEVERAL =
  "Several disks may read one claim, by `ephemeral` or `readOnly: true`; where one writes, all must be `shareable: true`, which a file system must be made for.";

function collides(one: ClaimUse, other: ClaimUse): boolean {
  return one.uid === other.uid && (one.writes || other.writes) && !(one.shareable && other.shareable);
}

function isForOne(one: ClaimUse, other: ClaimUse): boolean {
  return one.uid === other.uid && (one.alone || other.alone);
}

function inUse({ namespace, name, disk }: ClaimUse, by: string, cure: string): Fault {
  return new Fault("PB5082", `The claim ${namespace}/${name} is in use: ${by}; the disk "${disk}" cannot have it.`, {
    cure,
    data: { namespace, name },
  });
}
