import { readdirSync, readFileSync } from "node:fs";
import type { AttachmentRecord } from "./attachment-record.ts";

/**
 * Ends the plugins of an ADD whose daemon was killed: they go on without it, and would make after the attachment's DEL
 * what nobody takes away.
 *
 * They are known by what they were started with. A plugin leads a process group of its own, which goes with it.
 */
export function endInterruptedPlugins({ containerId, ifName, binDirs }: AttachmentRecord): void {
  const marks = [
    "CNI_COMMAND=ADD",
    `CNI_CONTAINERID=${containerId}`,
    `CNI_IFNAME=${ifName}`,
    `CNI_PATH=${binDirs.join(":")}`,
  ];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const environment = new Set(environmentOf(pid));
    if (!marks.every((mark) => environment.has(mark))) continue;
    for (const target of [-Number(pid), Number(pid)]) end(target);
  }
}

function environmentOf(pid: string): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  } catch {
    // It has ended, or is another user's.
    return [];
  }
}

function end(target: number): void {
  try {
    process.kill(target, "SIGKILL");
  } catch {
    // No such group, or no such process any more.
  }
}
