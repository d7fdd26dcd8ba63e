import type { DiskBus } from "./hardware.ts";

const PREFIXES: Readonly<Record<DiskBus, string>> = { virtio: "vd", sata: "sd", scsi: "sd", usb: "sd" };

/** The devices of disks in a domain by their names: numbered for each kind of bus. They need not be the guest's own names. */
export function diskTargets(
  disks: readonly { readonly name: string; readonly bus: DiskBus }[],
): ReadonlyMap<string, string> {
  const counts = new Map<string, number>();
  return new Map(
    disks.map(({ name, bus }) => {
      const prefix = PREFIXES[bus];
      const count = counts.get(prefix) ?? 0;
      counts.set(prefix, count + 1);
      return [name, `${prefix}${letters(count)}`];
    }),
  );
}

/** `a` to `z`, then `aa`. */
function letters(count: number): string {
  const last = String.fromCharCode("a".charCodeAt(0) + (count % 26));
  return count < 26 ? last : `${letters(Math.floor(count / 26) - 1)}${last}`;
}
