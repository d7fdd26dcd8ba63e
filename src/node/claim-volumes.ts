import { Fault } from "../model/fault.ts";
import type { DiskBus } from "../model/guest/hardware.ts";
import type { ClaimUse } from "../model/pods/claims.ts";
import type { FoundClaim } from "./claim-keeper.ts";
import type { ClaimSource } from "./volume-source.ts";

/** A claim with its image; without one for who only looks. */
export type ReadyClaim = ClaimSource & { readonly found?: FoundClaim };

/** A disk of a guest, as far as it is about claims. */
interface ClaimDisk {
  readonly name: string;
  readonly readOnly: boolean;
  readonly tuning: { readonly shareable?: boolean };
  readonly source: ReadyClaim | { readonly kind: string };
}

/**
 * True where a claim is only read: by its volume, or because it has no other access mode.
 *
 * @throws Fault PB5072 where the disk cannot be read-only
 */
export function isForReading(
  { readOnly, found }: ReadyClaim,
  disk: { readonly name: string; readonly bus: DiskBus; readonly cdrom: boolean },
  place: string,
): boolean {
  const accessModes = found?.info.accessModes ?? [];
  const fixed = readOnly || (accessModes.length > 0 && accessModes.every((mode) => mode === "ReadOnlyMany"));
  if (!fixed || disk.bus !== "sata" || disk.cdrom) return fixed;
  throw new Fault("PB5072", `${place}: the disk "${disk.name}" is read-only, which one on the bus sata cannot be.`, {
    place,
    cure: "Use the bus virtio or scsi, or a cdrom.",
  });
}

/** How a guest uses the claims among its disks. */
export function claimUses(disks: readonly ClaimDisk[], namespace: string): readonly ClaimUse[] {
  return disks.flatMap(({ name: disk, readOnly, tuning, source }): ClaimUse[] => {
    if (!("found" in source) || source.found === undefined) return [];
    const { uid, info } = source.found;
    const { accessModes = [] } = info;
    const isOwn = source.kind === "claim";
    const shareable = isOwn && tuning.shareable === true;
    const alone = accessModes.includes("ReadWriteOncePod");
    const shared = accessModes.includes("ReadWriteMany");
    const use = { uid, namespace, name: source.name, disk, writes: isOwn && !readOnly, shareable, alone, shared };
    return [isOwn ? { ...use, info } : use];
  });
}

/** Where the image of a claim is that was looked for. */
export function imageOf({ name, found }: ReadyClaim): string {
  if (found !== undefined) return found.image;
  throw new Fault("PB6106", `The claim ${name} was not looked for before its disk is made.`);
}
