import type { VmSpec } from "../api/vm.ts";
import type { Problem } from "./problem.ts";

const STRATEGIES = ["Always", "RerunOnFailure", "Once", "Manual", "Halted", "WaitAsReceiver"];

/** When a VM is to run. */
export function judgeRunStrategy(spec: VmSpec): Problem[] {
  const { running, runStrategy } = spec;
  if ((running === undefined) === (runStrategy === undefined)) {
    return [
      {
        code: "PB2405",
        type: "FieldValueInvalid",
        field: "spec.running",
        at: ["spec", "running"],
        message:
          running === undefined ? "The VM does not say when to run." : "The VM has both running and runStrategy.",
        cure: running === undefined ? "Add runStrategy, such as Always." : "Keep runStrategy; running is deprecated.",
      },
    ];
  }
  if (runStrategy === undefined || STRATEGIES.includes(runStrategy)) return [];
  return [
    {
      code: "PB2406",
      type: "FieldValueInvalid",
      field: "spec.runStrategy",
      at: ["spec", "runStrategy"],
      message: `The run strategy "${runStrategy}" is not known.`,
      cure: `Use one of ${STRATEGIES.join(", ")}.`,
    },
  ];
}
