import { type Backoff, makeBackoff } from "./backoff.ts";

/** What a queue has to do, read whenever somebody wants to know. */
export interface QueueState {
  /** Keys that are to be run and wait for their turn. */
  readonly waiting: number;
  readonly running: number;
  /** Keys that are to be run later: after a failure, or as was asked. */
  readonly delayed: number;
  /** Runs that ended, from the beginning. */
  readonly runs: number;
  /** Runs that failed and were put off, from the beginning. */
  readonly failures: number;
}

export interface ReconcileOptions {
  /** Runs at most at once; 4 by default. */
  readonly parallel?: number;
  /** Wait after the first failure of a key, in ms; 100 by default. It doubles. */
  readonly firstRetryMs?: number;
  /** Longest wait, in ms; 30 000 by default. */
  readonly lastRetryMs?: number;
  /** Hears of each failure. */
  readonly failed?: (key: string, error: unknown, waitMs: number) => void;
  /** Gets the state of the queue, once, to look at. */
  readonly meter?: (state: QueueState) => void;
}

/** Runs a reconciler by key: one run a key at a time; requests that come meanwhile lead to one more run. */
export interface ReconcileQueue {
  /** Asks for a run now. A wait after a failure is cut short. */
  add(key: string): void;
  /** Asks for a run in `ms`, unless one comes earlier. */
  after(key: string, ms: number): void;
  /** Takes no more, and settles when the running ones are done. Their signal is aborted. */
  close(): Promise<void>;
}

/** The work of one key. It throws to be called again after a wait. */
export type Reconcile = (key: string, signal: AbortSignal) => Promise<void>;

export function makeReconcileQueue(reconcile: Reconcile, options: ReconcileOptions = {}): ReconcileQueue {
  const { parallel = 4, firstRetryMs = 100, lastRetryMs = 30_000 } = options;
  const ready = new Set<string>();
  const running = new Map<string, Promise<void>>();
  const timers = new Map<string, { readonly at: number; readonly timer: NodeJS.Timeout }>();
  const backoffs = new Map<string, Backoff>();
  const ending = new AbortController();
  let [runs, failures] = [0, 0];

  function add(key: string): void {
    if (ending.signal.aborted) return;
    clearTimeout(timers.get(key)?.timer);
    timers.delete(key);
    ready.add(key);
    startReady();
  }

  function after(key: string, ms: number): void {
    if (ending.signal.aborted) return;
    const at = performance.now() + ms;
    const held = timers.get(key);
    if (held !== undefined && held.at <= at) return;
    clearTimeout(held?.timer);
    timers.set(key, { at, timer: setTimeout(() => add(key), ms) });
  }

  function startReady(): void {
    for (const key of ready) {
      if (running.size >= parallel) return;
      if (running.has(key)) continue;
      ready.delete(key);
      running.set(key, run(key));
    }
  }

  async function run(key: string): Promise<void> {
    // The entry in `running` must be there before the reconciler's first statement.
    await Promise.resolve();
    try {
      await reconcile(key, ending.signal);
      backoffs.delete(key);
    } catch (thrown) {
      if (!ending.signal.aborted) {
        failures += 1;
        const backoff = backoffs.get(key) ?? makeBackoff(firstRetryMs, lastRetryMs);
        backoffs.set(key, backoff);
        const wait = backoff.next();
        options.failed?.(key, thrown, wait);
        after(key, wait);
      }
    } finally {
      runs += 1;
      running.delete(key);
      startReady();
    }
  }

  options.meter?.({
    get waiting() {
      return ready.size;
    },
    get running() {
      return running.size;
    },
    get delayed() {
      return timers.size;
    },
    get runs() {
      return runs;
    },
    get failures() {
      return failures;
    },
  });

  return {
    add,
    after,
    async close() {
      ending.abort();
      ready.clear();
      for (const { timer } of timers.values()) clearTimeout(timer);
      timers.clear();
      await Promise.all(running.values());
    },
  };
}
