import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type CpuSupply, parseCpuList } from "../../model/guest/dedicated-cpus.ts";
import { checked, libc } from "./libc.ts";

const schedSetaffinity = libc<[thread: number, size: number, mask: Uint8Array], number>(
  "int sched_setaffinity(int pid, size_t cpusetsize, const void *mask)",
);

/** The processors that this process may use, and the memories of the machine with theirs. */
export function cpuSupply(): CpuSupply {
  const allowed = /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1] ?? "";
  const folder = "/sys/devices/system/node";
  const nodes = names(folder).flatMap((name): [number, readonly number[]][] => {
    const number = /^node(\d+)$/.exec(name)?.[1];
    return number === undefined ? [] : [[Number(number), parseCpuList(text(join(folder, name, "cpulist")))]];
  });
  return { cpus: parseCpuList(allowed), nodes: new Map(nodes) };
}

/** Lets a thread run on one processor only. @throws Fault PB4010 */
export function pinThread(thread: number, cpu: number): void {
  const mask = new Uint8Array(8 * (1 + Math.floor(cpu / 64)));
  mask[cpu >> 3] = 1 << (cpu & 7);
  checked("sched_setaffinity", `thread ${thread} on processor ${cpu}`, schedSetaffinity(thread, mask.length, mask));
}

function names(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function text(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}
