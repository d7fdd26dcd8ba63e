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
    const sizes = poolsIn(folder);
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

function numberIn(file: string): bigint | undefined {
  try {
    return BigInt(readFileSync(file, "latin1").trim());
  } catch {
    return undefined;
  }
}

/** Sizes as manifests write them. */
function poolsIn(folder: string): readonly string[] {
  let names: readonly string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    const kib = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1]);
    if (!Number.isSafeInteger(kib)) return [];
    return [kib % (1 << 20) === 0 ? `${kib / (1 << 20)}Gi` : `${kib / 1024}Mi`];
  });
}
