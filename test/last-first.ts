import type { TestContext } from "node:test";

/**
 * Undoes at a test's end what it did, the last thing first: `undo` is handed what is to be done then.
 *
 * The hooks of `t.after` run in the order in which they were given: a folder would go before the server that works in it.
 */
export function lastFirst(t: TestContext): (undo: () => unknown) => void {
  const undos: (() => unknown)[] = [];
  t.after(async () => {
    const failures: unknown[] = [];
    for (const undo of undos.reverse()) {
      try {
        await undo();
      } catch (failure) {
        failures.push(failure);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, "the end of the test failed");
  });
  return (undo) => void undos.push(undo);
}
