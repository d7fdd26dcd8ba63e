import { Worker } from "node:worker_threads";
import type { SharedText, StoreOrder, StoreReport, StoreThreadData, WrittenChange } from "./store-orders.ts";

/** The thread that changes the store's file, as seen from the main one. */
export interface StoreWriter {
  /** Settles with how it went, once the changes are on the disk. One order at a time. Never rejects. */
  commit(changes: readonly WrittenChange[], proves: boolean): Promise<StoreReport>;
  /** The same for orders without changes. */
  carryOut(order: Exclude<StoreOrder, { order: "commit" }>): Promise<StoreReport>;
  /** Ends the thread; what was ordered is done by then. */
  close(): Promise<void>;
}

/** The file must be there, with its tables. A thread that ends by itself makes every order fail. */
export function startStoreWriter(data: StoreThreadData): StoreWriter {
  // The package is emitted as JavaScript; the thread's file then ends like this one.
  const file = import.meta.url.endsWith(".ts") ? "./store-thread.ts" : "./store-thread.js";
  const thread = new Worker(new URL(file, import.meta.url), { workerData: data, name: "patchbay-store" });
  // Without an order in hand it keeps no process alive.
  thread.unref();
  let answer: ((report: StoreReport) => void) | undefined;
  let over: string | undefined;

  function settle(report: StoreReport): void {
    const waiting = answer;
    answer = undefined;
    thread.unref();
    waiting?.(report);
  }
  function end(why: string): void {
    over ??= why;
    settle({ done: false, message: over, errcode: SQLITE_IOERR });
  }
  thread.on("message", settle);
  thread.on("error", (thrown) => end(thrown instanceof Error ? thrown.message : String(thrown)));
  thread.on("exit", () => end("the thread that writes the store has ended"));

  let texts = Buffer.from(new SharedArrayBuffer(SHARED_BYTES));

  /** The texts of the changes lie in shared memory one after the other, until the next commit. */
  function share(changes: readonly WrittenChange[]): WrittenChange<SharedText>[] {
    const largest = changes.reduce((sum, { body }) => sum + body.length * LARGEST_CHARACTER, 0);
    if (largest > texts.length) texts = Buffer.from(new SharedArrayBuffer(2 * largest));
    let end = 0;
    return changes.map((change) => {
      const start = end;
      end += texts.write(change.body, start);
      return { ...change, body: { start, end } };
    });
  }

  function carryOut(order: StoreOrder): Promise<StoreReport> {
    return new Promise((resolve) => {
      if (over !== undefined) {
        resolve({ done: false, message: over, errcode: SQLITE_IOERR });
        return;
      }
      answer = resolve;
      thread.ref();
      thread.postMessage(order);
    });
  }

  return {
    commit: (changes, proves) => carryOut({ order: "commit", changes: share(changes), texts: texts.buffer, proves }),
    carryOut,
    async close() {
      await carryOut({ order: "close" });
      if (over !== undefined) return;
      thread.ref();
      await new Promise((resolve) => thread.once("exit", resolve));
    },
  };
}

/** Enough for most commits; larger ones get more. */
const SHARED_BYTES = 1024 * 1024;
/** Bytes of UTF-8 that one UTF-16 unit becomes at most. */
const LARGEST_CHARACTER = 3;
/** What a store is that cannot be written any more. */
const SQLITE_IOERR = 10;
