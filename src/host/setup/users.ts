import { readFileSync } from "node:fs";

/** A user of this machine. */
export interface User {
  readonly uid: number;
  readonly gid: number;
}

/** The user of that name in /etc/passwd (passwd(5)); undefined where there is none. */
export function findUser(name: string): User | undefined {
  for (const line of readFileSync("/etc/passwd", "utf8").split("\n")) {
    const [user, , uid = "", gid = ""] = line.split(":");
    if (user === name && /^\d+$/.test(uid) && /^\d+$/.test(gid)) return { uid: Number(uid), gid: Number(gid) };
  }
  return undefined;
}
