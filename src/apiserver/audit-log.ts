import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import type { Logger } from "pino";

/** One write that was asked for, done or refused. No part of what was written is in it. */
export interface AuditEntry {
  /** RFC 3339, with milliseconds. */
  readonly time: string;
  readonly requestId: string;
  readonly user: string;
  readonly verb: string;
  /** `virtualmachines.kubevirt.io`, `secrets`, `virtualmachineinstances.subresources.kubevirt.io/console`. */
  readonly resource: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly uid?: string;
  /** HTTP status of the answer. */
  readonly code: number;
  readonly dryRun: boolean;
}

/** Appends entries to a file as lines of JSON, in the background: who writes never waits for it. */
export interface AuditLog {
  write(entry: () => AuditEntry): void;
  /** Entries that could not be kept: the disk refused them, or could not follow. */
  readonly lost: number;
  /** Settles when everything is written. */
  close(): Promise<void>;
}

export interface AuditOptions {
  /** Bytes after which a new file is begun; 10 MiB. */
  readonly largest?: number;
  /** Former files that are kept, as FILE.1 (the newest) to FILE.N; 3. */
  readonly kept?: number;
  /** Entries that may wait; 10,000. */
  readonly waiting?: number;
}

const TOGETHER = 500;
/** A path's part may be as long as the headers; no name is longer than this. */
const LONGEST_NAME = 253;

export function openAuditLog(file: string, log: Logger, options: AuditOptions = {}): AuditLog {
  const { largest = 10 * 1024 * 1024, kept = 3, waiting = 10_000 } = options;
  let queue: (() => AuditEntry)[] = [];
  let lost = 0;
  /** Lost entries that the file does not tell of yet. */
  let untold = 0;
  let writing: Promise<void> | undefined;
  let handle: FileHandle | undefined;
  let size = 0;
  let failing = false;

  async function drain(): Promise<void> {
    // Not within the request that asked for it.
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (queue.length > 0) {
      const batch = queue.slice(0, TOGETHER);
      queue = queue.slice(TOGETHER);
      const lines = batch.map((entry) => lineOf(entry()));
      if (untold > 0) lines.push(`${JSON.stringify({ time: new Date().toISOString(), lost: untold })}\n`);
      try {
        await append(Buffer.from(lines.join(""), "utf8"));
        untold = 0;
        failing = false;
      } catch (thrown) {
        lost += batch.length;
        untold += batch.length;
        if (!failing) log.error({ err: thrown, file }, "the audit log cannot be written; entries are lost");
        failing = true;
        await handle?.close().catch(() => undefined);
        handle = undefined;
      }
    }
  }

  async function append(bytes: Buffer): Promise<void> {
    if (handle === undefined) {
      handle = await open(file, "a", 0o600);
      ({ size } = await handle.stat());
    }
    if (size > 0 && size + bytes.length > largest) await rotate();
    await handle.appendFile(bytes);
    size += bytes.length;
  }

  async function rotate(): Promise<void> {
    await handle?.close();
    handle = undefined;
    if (kept === 0) await rm(file, { force: true });
    for (let age = kept; age > 0; age -= 1) {
      const from = age === 1 ? file : `${file}.${age - 1}`;
      if (await exists(from)) await rename(from, `${file}.${age}`);
    }
    handle = await open(file, "a", 0o600);
    ({ size } = await handle.stat());
  }

  function start(): void {
    writing = drain().finally(() => {
      writing = undefined;
      if (queue.length > 0) start();
    });
  }

  return {
    write(entry) {
      if (queue.length >= waiting) {
        lost += 1;
        untold += 1;
        return;
      }
      queue.push(entry);
      if (writing === undefined) start();
    },
    get lost() {
      return lost;
    },
    async close() {
      while (writing !== undefined) await writing;
      await handle?.close();
      handle = undefined;
    },
  };
}

function lineOf(entry: AuditEntry): string {
  const short = Object.entries(entry).map(([key, value]: [string, unknown]) => [
    key,
    typeof value === "string" ? value.slice(0, LONGEST_NAME) : value,
  ]);
  return `${JSON.stringify(Object.fromEntries(short))}\n`;
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}
