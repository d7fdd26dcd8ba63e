import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Where invoke-rc.d(8) asks whether a package may start its daemon, by default. */
export const policyFolder = "/usr/sbin";

const mark = "# Written by patchbay setup for the time of one installation.";
const script = `#!/bin/sh\n${mark}\nexit 101\n`;

/**
 * Forbids packages from starting daemons while they are installed; the answer puts back what was there.
 *
 * The machine's own policy-rc.d lies beside it meanwhile, so that the next run finds and restores it even when this
 * process was killed. Exit status 101 is "action forbidden by policy", see invoke-rc.d(8).
 */
export function forbidDaemons(folder: string = policyFolder): () => void {
  const policy = join(folder, "policy-rc.d");
  const saved = join(folder, "policy-rc.d.before-patchbay");
  const restore = (): void => {
    if (existsSync(saved)) renameSync(saved, policy);
    else if (existsSync(policy) && readFileSync(policy, "utf8").includes(mark)) rmSync(policy);
  };
  restore();
  if (existsSync(policy)) renameSync(policy, saved);
  writeFileSync(policy, script, { mode: 0o755 });
  return restore;
}
