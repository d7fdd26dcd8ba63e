import { closeSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { checked, libc } from "../linux/libc.ts";

// Values of sys/epoll.h and sys/eventfd.h.
const EPOLL_CLOEXEC = 0o2000000;
const EFD_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
const EPOLLIN = 1;
const EPOLLONESHOT = 1 << 30;

const epoll_create1 = libc<[flags: number], number>("int epoll_create1(int flags)");
const epoll_ctl = libc<[epoll: number, operation: number, fd: number, event: Uint8Array], number>(
  "int epoll_ctl(int epoll, int operation, int fd, void *event)",
);
const eventfd = libc<[value: number, flags: number], number>("int eventfd(uint value, int flags)");
const write = libc<[fd: number, data: Uint8Array, length: number], number>(
  "long write(int fd, const void *data, size_t length)",
);

/** The layout of struct epoll_event: packed on x86-64 alone. */
export const EPOLL_EVENT = process.arch === "x64" ? { size: 12, data: 4 } : { size: 16, data: 8 };

/** What the thread of `epoll-thread.ts` is given; the event fd's token is 0. */
export interface EpollThreadData {
  readonly epoll: number;
}

/** A socket that is being watched. */
export interface Watch {
  /** Ends the watch; the fd is then the caller's to close. */
  end(): void;
}

interface Entry {
  readonly fd: number;
  readonly onReadable: () => void;
  readonly onFailure: (thrown: unknown) => void;
}

/**
 * Tells when sockets that Node itself cannot wait for (raw ones) have something to read.
 *
 * One thread of this process blocks in epoll_wait(2) for all of them; it knows no socket and reads none. A ready
 * socket is disarmed (EPOLLONESHOT), its `onReadable` runs on the main thread and reads what it likes, and it is armed
 * again: a guest that floods its link keeps one message under way and no more.
 *
 * The other ways were judged worse: dgram and net refuse such sockets; a blocking call on libuv's pool takes one of its
 * four threads for ever; signal-driven input (O_ASYNC) would interrupt unrelated system calls whenever a guest likes.
 *
 * The thread does not keep the process running. Call it outside of `within`: the thread inherits the namespace.
 */
export function watchReadable(fd: number, onReadable: () => void, onFailure: (thrown: unknown) => void): Watch {
  current ??= start();
  const readiness = current;
  const token = readiness.next;
  readiness.next += 1;
  readiness.entries.set(token, { fd, onReadable, onFailure });
  try {
    control(readiness.epoll, EPOLL_CTL_ADD, fd, token);
  } catch (thrown) {
    readiness.entries.delete(token);
    throw thrown;
  }
  return {
    end() {
      if (!readiness.entries.delete(token)) return;
      if (current === readiness) control(readiness.epoll, EPOLL_CTL_DEL, fd, token);
    },
  };
}

interface Readiness {
  readonly epoll: number;
  readonly stop: number;
  readonly entries: Map<number, Entry>;
  next: number;
}

let current: Readiness | undefined;

function start(): Readiness {
  const epoll = checked("epoll_create1", "the DHCP servers", epoll_create1(EPOLL_CLOEXEC));
  const stop = checked("eventfd", "the DHCP servers", eventfd(0, EFD_CLOEXEC));
  checked("epoll_ctl", "an eventfd", epoll_ctl(epoll, EPOLL_CTL_ADD, stop, eventOf(0, EPOLLIN)));
  const readiness: Readiness = { epoll, stop, entries: new Map(), next: 1 };
  // The package is emitted as JavaScript; the thread's file then ends like this one.
  const file = import.meta.url.endsWith(".ts") ? "./epoll-thread.ts" : "./epoll-thread.js";
  const data: EpollThreadData = { epoll };
  const thread = new Worker(new URL(file, import.meta.url), { workerData: data, name: "patchbay-epoll" });
  // A thread inside a system call cannot be terminated, and Node waits for its threads when it exits.
  const onExit = (): void => {
    write(stop, Uint8Array.from([1, 0, 0, 0, 0, 0, 0, 0]), 8);
  };
  process.on("exit", onExit);
  thread.on("message", (tokens: readonly number[]) => {
    for (const token of tokens) wake(readiness, token);
  });
  const over = (thrown: unknown): void => {
    if (current !== readiness) return;
    current = undefined;
    process.off("exit", onExit);
    closeSync(epoll);
    closeSync(stop);
    for (const { onFailure } of readiness.entries.values()) onFailure(thrown);
  };
  thread.on("error", over);
  thread.on("exit", () => over(new Error("the thread that waits for router solicitations ended")));
  thread.unref();
  return readiness;
}

function wake(readiness: Readiness, token: number): void {
  const entry = readiness.entries.get(token);
  if (entry === undefined) return;
  entry.onReadable();
  // The watch may have ended meanwhile.
  if (current !== readiness || !readiness.entries.has(token)) return;
  try {
    control(readiness.epoll, EPOLL_CTL_MOD, entry.fd, token);
  } catch (thrown) {
    entry.onFailure(thrown);
  }
}

function control(epoll: number, operation: number, fd: number, token: number): void {
  checked("epoll_ctl", "a raw socket", epoll_ctl(epoll, operation, fd, eventOf(token, EPOLLIN | EPOLLONESHOT)));
}

function eventOf(token: number, events: number): Uint8Array {
  const event = new Uint8Array(EPOLL_EVENT.size);
  const view = new DataView(event.buffer);
  view.setUint32(0, events, true);
  view.setUint32(EPOLL_EVENT.data, token, true);
  return event;
}
