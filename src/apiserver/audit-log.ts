import { closeSync, constants, existsSync, fstatSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
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

/** Appends entries to a file as lines of JSON, once their requests are answered. */
export interface AuditLog {
  write(entry: () => AuditEntry): void;
  /** Entries that could not be kept: the disk refused them. */
  readonly lost: number;
  /** Writes what is left. */
  close(): void;
}

export interface AuditOptions {
  /** Bytes after which a new file is begun; 10 MiB. */
  readonly largest?: number;
  /** Former files that are kept, as FILE.1 (the newest) to FILE.N; 3. */
  readonly kept?: number;
}

/** A path's part may be as long as the headers; no name is longer than this. */
const LONGEST_NAME = 253;

export function openAuditLog(file: string, log: Logger, options: AuditOptions = {}): AuditLog {
  const { largest = 10 * 1024 * 1024, kept = 3 } = options;
  let queue: (() => AuditEntry)[] = [];
  let scheduled = false;
  let lost = 0;
  /** Lost entries that the file does not tell of yet. */
  let untold = 0;
  let descriptor: number | undefined;
  let size = 0;
  let failing = false;

  function drain(): void {
    scheduled = false;
    const batch = queue;
    queue = [];
    if (batch.length === 0) return;
    const lines = batch.map((entry) => lineOf(entry()));
    if (untold > 0) lines.push(`${JSON.stringify({ time: new Date().toISOString(), lost: untold })}\n`);
    try {
      append(Buffer.from(lines.join(""), "utf8"));
      untold = 0;
      failing = false;
    } catch (thrown) {
      lost += batch.length;
      untold += batch.length;
      if (!failing) log.error({ err: thrown, file }, "the audit log cannot be written; entries are lost");
      failing = true;
      end();
    }
  }

  /** Into the page cache, in one call: handing it to another thread costs the daemon ten times as much. */
  function append(bytes: Buffer): void {
    const opened = begin();
    const fits = size === 0 || size + bytes.length <= largest;
    const target = fits ? opened : rotate();
    for (let done = 0; done < bytes.length; ) {
      const written = writeSync(target, bytes, done);
      done += written;
      size += written;
    }
  }

  function begin(): number {
    if (descriptor !== undefined) return descriptor;
    descriptor = openSync(
      file,
      constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW,
      0o600,
    );
    ({ size } = fstatSync(descriptor));
    return descriptor;
  }

  function rotate(): number {
    end();
    if (kept === 0) rmSync(file, { force: true });
    for (let age = kept; age > 0; age -= 1) {
      const from = age === 1 ? file : `${file}.${age - 1}`;
      if (existsSync(from)) renameSync(from, `${file}.${age}`);
    }
    return begin();
  }

  function end(): void {
    if (descriptor === undefined) return;
    const open = descriptor;
    descriptor = undefined;
    closeSync(open);
  }

  return {
    write(entry) {
      queue.push(entry);
      if (scheduled) return;
      scheduled = true;
      // Not within the request that asked for it, and together with those that end with it.
      setImmediate(drain);
    },
    get lost() {
      return lost;
    },
    close() {
      drain();
      end();
    },
  };
}

function lineOf(entry: AuditEntry): string {
  return `${JSON.stringify(Object.values(entry).some(isTooLong) ? shortened(entry) : entry)}\n`;
}

function isTooLong(value: unknown): boolean {
  return typeof value === "string" && value.length > LONGEST_NAME;
}

function shortened(entry: AuditEntry): object {
  const short = Object.entries(entry).map(([key, value]: [string, unknown]) => [
    key,
    typeof value === "string" ? value.slice(0, LONGEST_NAME) : value,
  ]);
  return Object.fromEntries(short);
}
