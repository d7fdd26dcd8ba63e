import { readFileSync } from "node:fs";

/** The texts that `podResolver` makes a pod's resolver of, read anew for each pod; empty where there is no such file. */
export function readHostResolver(): { readonly hostResolvConf: string; readonly behindStub: string } {
  return {
    hostResolvConf: textOf("/etc/resolv.conf"),
    behindStub: textOf("/run/systemd/resolve/resolv.conf"),
  };
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
