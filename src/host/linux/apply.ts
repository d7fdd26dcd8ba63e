import { Fault } from "../../model/fault.ts";
import { stepText } from "../../model/wiring/step-text.ts";
import { type Actual, needsReading, type Step, stepsTo, takenNames } from "../../model/wiring/steps.ts";
import type { KernelState } from "../../model/wiring/wiring.ts";
import { readActualHere } from "./actual.ts";
import { executeHere, type Outcome } from "./execute.ts";
import { within } from "./netns.ts";
import { type Before, readBeforeHere, undoHere } from "./undo.ts";

/** What {@link applyKernel} did. */
export interface Applied {
  /** In the order in which they were executed; empty where nothing differed. */
  readonly steps: readonly Step[];
  /** fds by tap name, one a queue. The caller closes them, by `closeFds`, once QEMU has its copies. */
  readonly taps: ReadonlyMap<string, readonly number[]>;
}

/** What the caller of {@link applyKernel} has already. */
export interface ApplyOptions {
  /** fds of taps that it holds open: they come back with those that are opened, and are never closed here. */
  readonly taps?: ReadonlyMap<string, readonly number[]>;
}

/**
 * Makes the network of the namespace at `netns` what `wanted` says: reads it, executes the steps that differ, reads it
 * back. What `wanted` does not name is left alone.
 *
 * All or nothing: when a step fails, what was done is undone before the error is thrown.
 *
 * @throws Fault PB4000 with the step as `data.step` and the kernel's sentence; PB4004 where the kernel took every step
 * and yet differs; PB4018 where another link has a name that is needed.
 */
export function applyKernel(netns: string, wanted: KernelState, options: ApplyOptions = {}): Applied {
  return within(netns, () => {
    const needs = needsReading(wanted);
    const actual = readActualHere(needs);
    refuseTakenNames(wanted, actual);
    const steps = stepsTo(wanted, actual);
    const held = options.taps ?? new Map<string, readonly number[]>();
    if (steps.length === 0) return { steps, taps: held };
    const before = readBeforeHere(actual, steps);
    const outcome = executeHere(steps);
    if (outcome.failure !== undefined) throw stepFault(netns, outcome.failure, undoHere(outcome, before));
    const differences = remaining(wanted, needs, outcome, before);
    if (differences.length > 0) throw differs(netns, differences, undoHere(outcome, before));
    return { steps, taps: new Map([...held, ...outcome.taps]) };
  });
}

/** The steps that would still be needed. When they cannot be read, what was done is undone. */
function remaining(
  wanted: KernelState,
  needs: ReturnType<typeof needsReading>,
  outcome: Outcome,
  before: Before,
): readonly Step[] {
  try {
    return stepsTo(wanted, readActualHere(needs));
  } catch (thrown) {
    undoHere(outcome, before);
    throw thrown;
  }
}

function refuseTakenNames(state: KernelState, actual: Actual): void {
  for (const { wanted, kind } of takenNames(state, actual)) {
    const { name } = wanted;
    const what =
      wanted.kind === "pod"
        ? `The pod's link "${wanted.from}" cannot be called "${name}"`
        : `The ${wanted.kind} "${name}" cannot be made`;
    throw new Fault("PB4018", `${what}: a link of kind "${kind}" has this name.`, {
      place: name,
      cure: "Give the network attachment another interface name, or delete that link.",
      data: { name, kind },
    });
  }
}

function stepFault(netns: string, failure: NonNullable<Outcome["failure"]>, left: readonly string[]): Fault {
  const { step, fault } = failure;
  const undone = left.length === 0 ? "Everything done before it was undone." : `Undoing left: ${left.join(" ")}`;
  return new Fault("PB4000", `${fault.message} ${undone}`, {
    place: stepText(step),
    data: { netns, step, code: fault.code, sentence: fault.message, left },
    cause: fault,
    ...(fault.cure === undefined ? {} : { cure: fault.cure }),
  });
}

function differs(netns: string, differences: readonly Step[], left: readonly string[]): Fault {
  const texts = differences.map(stepText);
  const undone = left.length === 0 ? "Everything was undone." : `Undoing left: ${left.join(" ")}`;
  return new Fault(
    "PB4004",
    `The kernel took every step, but read back it still lacks ${texts.join("; ")}. ${undone}`,
    {
      place: netns,
      cure: "Something else changes this pod's network at the same time: stop it and try again.",
      data: { netns, differences, left },
    },
  );
}
