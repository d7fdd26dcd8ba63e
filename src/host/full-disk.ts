import { Fault } from "../model/fault.ts";

/** The fault of a full disk. */
export function noRoom(where: string, cause?: unknown): Fault {
  return new Fault("PB5007", `There is no space left on the disk: ${where}.`, {
    cure: "Free some space (`patchbay image ls` shows what images take, `patchbay image rm` removes one), or enlarge the disk.",
    cause,
  });
}

/** True for Node's error of a full disk or an exceeded quota. */
export function isNoSpace(thrown: unknown): boolean {
  return thrown instanceof Error && "code" in thrown && (thrown.code === "ENOSPC" || thrown.code === "EDQUOT");
}
