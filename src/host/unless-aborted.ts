/** Waits for something that may never come; rejects with the signal's reason as soon as nobody wants it any more. */
export async function unlessAborted<T>(waited: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal?.reason);
  if (signal?.aborted === true) abort();
  signal?.addEventListener("abort", abort);
  try {
    // What is waited for may fail later: the race has heard it, then.
    return await Promise.race([aborted.promise, waited]);
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}
