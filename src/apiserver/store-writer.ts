import { Worker } from "node:worker_threads";
import type { StoreOrder, StoreReport, StoreThreadData } from "./store-orders.ts";

/** The thread that changes the store's file, as seen from the main one. */
export interface StoreWriter {
  /** Has an order carried out; settles with how that went, once it is on the disk. One at a time. Never rejects. */
  carryOut(order: StoreOrder): Promise<StoreReport>;
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
    carryOut,
    async close() {
      await carryOut({ order: "close" });
      if (over !== undefined) return;
      thread.ref();
      await new Promise((resolve) => thread.once("exit", resolve));
    },
  };
}

/** What a store is that cannot be written any more. */
const SQLITE_IOERR = 10;
