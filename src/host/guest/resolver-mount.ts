import { closeSync, writeFileSync } from "node:fs";
import type { GuestNic } from "../../model/wiring/wiring.ts";
import type { User } from "../setup/users.ts";
import { createFile } from "./guest-folder.ts";

/** How a program is started. */
export interface Start {
  readonly program: string;
  readonly args: readonly string[];
  /** Absent: it becomes another user by itself. */
  readonly user?: User;
}

/**
 * Writes the pod's resolv.conf for a QEMU that asks for names on behalf of its guest (slirp), and returns its path;
 * undefined where no NIC is such.
 */
export function resolverFile(nics: readonly GuestNic[], runDir: string): string | undefined {
  const user = nics.map(({ attachment }) => attachment).find((attachment) => attachment.kind === "user");
  if (user === undefined) return undefined;
  const file = `${runDir}/resolv.conf`;
  const lines = user.nameservers.map((server) => `nameserver ${server}\n`);
  const fd = createFile(file, 0o644);
  try {
    writeFileSync(fd, lines.join(""));
  } finally {
    closeSync(fd);
  }
  return file;
}

/**
 * slirp knows no other name servers than those of /etc/resolv.conf, which are the host's: in a mount namespace of its own
 * the program has the pod's there. What is unmounted outside is unmounted there too, so that nothing is held by it.
 *
 * The process is the same throughout: each program of the way becomes the next (execve(2)).
 */
export function withResolver(start: Required<Start>, resolver: string | undefined): Start {
  if (resolver === undefined) return start;
  const { program, args, user } = start;
  const become = ["setpriv", `--reuid=${user.uid}`, `--regid=${user.gid}`, "--clear-groups", "--", program, ...args];
  return {
    program: "/usr/bin/unshare",
    args: ["--mount", "--propagation=slave", "--", "/bin/sh", "-c", MOUNT, "sh", resolver, ...become],
  };
}

const MOUNT = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"';
