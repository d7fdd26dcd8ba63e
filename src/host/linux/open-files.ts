import { readFileSync } from "node:fs";
import { libc } from "./libc.ts";

const RLIMIT_NOFILE = 7;

const getrlimit = libc<[resource: number, limit: Uint8Array], number>("int getrlimit(int resource, void *limit)");
const setrlimit = libc<[resource: number, limit: Uint8Array], number>("int setrlimit(int resource, const void *limit)");

/**
 * How many files a process that this one starts may have open: the hard limit, which is raised here to what the kernel
 * allows any process (fs.nr_open) where that is permitted. The soft limit, this process's own, stays.
 */
export function openFilesLimit(): number {
  const limit = new Uint8Array(16);
  const view = new DataView(limit.buffer);
  if (getrlimit(RLIMIT_NOFILE, limit) < 0) return 0;
  const hard = view.getBigUint64(8, true);
  const most = mostFiles();
  if (most > hard) {
    view.setBigUint64(8, most, true);
    if (setrlimit(RLIMIT_NOFILE, limit) === 0) return Number(most);
  }
  // RLIM_INFINITY is the largest number there is.
  return Number(hard);
}

function mostFiles(): bigint {
  try {
    return BigInt(readFileSync("/proc/sys/fs/nr_open", "latin1").trim());
  } catch {
    return 0n;
  }
}
