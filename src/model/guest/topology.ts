import type { Domain } from "../api/domain.ts";
import { parseQuantity } from "./quantity.ts";

/** Sockets, cores and threads of a guest; their product is its number of vCPUs. */
export interface Topology {
  readonly sockets: number;
  readonly cores: number;
  readonly threads: number;
}

/** What a guest gets that names no memory at all. */
const DEFAULT_MEMORY_BYTES = 512n << 20n;

/** The guest's CPUs (reference 7.4): as given; without a topology the CPU limit or request, rounded up, as sockets; else one. */
export function topologyOf(domain: Domain): Topology {
  const { sockets = 0, cores = 0, threads = 0 } = domain.cpu ?? {};
  if (sockets + cores + threads > 0) return { sockets: sockets || 1, cores: cores || 1, threads: threads || 1 };
  const wanted = domain.resources?.limits?.["cpu"] ?? domain.resources?.requests?.["cpu"];
  const cpus = wanted === undefined ? undefined : parseQuantity(String(wanted));
  return { sockets: cpus === undefined || cpus < 1n ? 1 : Number(cpus), cores: 1, threads: 1 };
}

export function vcpusOf({ sockets, cores, threads }: Topology): number {
  return sockets * cores * threads;
}

/** The guest's memory in bytes: `memory.guest`, else the request, else the limit, else 512 MiB. */
export function memoryOf(domain: Domain): bigint {
  const wanted = domain.memory?.guest ?? domain.resources?.requests?.["memory"] ?? domain.resources?.limits?.["memory"];
  const bytes = wanted === undefined ? undefined : parseQuantity(String(wanted));
  return bytes ?? DEFAULT_MEMORY_BYTES;
}
