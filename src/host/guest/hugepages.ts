import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "../../model/fault.ts";

const POOLS = "/sys/kernel/mm/hugepages";
const PLACE = "spec.domain.memory.hugepages";

/**
 * Looks that this machine has that many bytes in free huge pages of a size; `folder` is the kernel's
 * (Documentation/admin-guide/mm/hugetlbpage.rst).
 *
 * @throws Fault PB5076
 */
export function requireHugepages(pageBytes: bigint, bytes: bigint, folder: string = POOLS): void {
  const kib = pageBytes / 1024n;
  const pool = join(folder, `hugepages-${kib}kB`);
  const free = numberIn(join(pool, "free_hugepages"));
  if (free === undefined) {
    const sizes = sizesIn(folder).map(amountOf);
    throw new Fault("PB5076", `This machine has no huge pages of ${pageBytes} bytes.`, {
      place: `${PLACE}.pageSize`,
      cure:
        sizes.length === 0
          ? "Its kernel has none at all: leave hugepages out."
          : `Use ${sizes.join(" or ")}, or leave hugepages out.`,
    });
  }
  const pages = (bytes + pageBytes - 1n) / pageBytes;
  const reserved = numberIn(join(pool, "resv_hugepages")) ?? 0n;
  if (bytes % pageBytes !== 0n) {
    throw new Fault("PB5076", `${bytes} bytes of memory are no whole number of pages of ${pageBytes} bytes.`, {
      place: PLACE,
      cure: `Ask for ${pages * pageBytes} bytes of memory.`,
    });
  }
  if (free - reserved >= pages) return;
  throw new Fault("PB5076", `The guest needs ${pages} huge pages of ${pageBytes} bytes; ${free - reserved} are free.`, {
    place: PLACE,
    cure: `Have the kernel keep more of them: raise the number in ${pool}/nr_hugepages; the VMI then starts by itself. Or leave hugepages out.`,
  });
}

/**
 * What this machine has in huge pages, free or not, as a kubelet tells it of a node: `{"hugepages-2Mi": "320Mi"}`. Sizes
 * of which the kernel keeps none are left out.
 */
export function hugepageCapacity(folder: string = POOLS): Readonly<Record<string, string>> {
  return Object.fromEntries(
    sizesIn(folder).flatMap((kib) => {
      const pages = numberIn(join(folder, `hugepages-${kib}kB`, "nr_hugepages")) ?? 0n;
      return pages === 0n ? [] : [[`hugepages-${amountOf(kib)}`, amountOf(kib * pages)]];
    }),
  );
}

function numberIn(file: string): bigint | undefined {
  try {
    return BigInt(readFileSync(file, "latin1").trim());
  } catch {
    return undefined;
  }
}

/** Sizes of pages that the kernel knows, in KiB. */
function sizesIn(folder: string): readonly bigint[] {
  let names: readonly string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    const kib = /^hugepages-(\d+)kB$/.exec(name)?.[1];
    return kib === undefined ? [] : [BigInt(kib)];
  });
}

/** As manifests write it: `2Mi`, `1Gi`. */
function amountOf(kib: bigint): string {
  if (kib % 1024n !== 0n) return `${kib}Ki`;
  const mib = kib / 1024n;
  return mib % 1024n === 0n ? `${mib / 1024n}Gi` : `${mib}Mi`;
}
