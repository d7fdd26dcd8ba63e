const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Work that Ctrl-C and its like end in order: the work is told by the signal that it is given, cleans up and fails; then
 * the process ends by what interrupted it, so that a shell sees it so. A second Ctrl-C ends it at once.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  let interruption: NodeJS.Signals | undefined;
  const interrupt = (name: NodeJS.Signals): void => {
    leave();
    interruption = name;
    process.stderr.write("interrupted; cleaning up\n");
    controller.abort(new Error(`interrupted by ${name}`));
  };
  const leave = (): void => {
    for (const name of SIGNALS) process.off(name, interrupt);
  };
  for (const name of SIGNALS) process.on(name, interrupt);
  try {
    return await work(controller.signal);
  } finally {
    leave();
    if (interruption !== undefined) process.kill(process.pid, interruption);
  }
}
