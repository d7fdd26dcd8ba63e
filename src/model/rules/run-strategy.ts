import type { VmSpec } from "../api/vm.ts";
import { nearMiss } from "../near-miss.ts";
import type { Problem } from "./problem.ts";
import { respelt } from "./respelt.ts";
import type { Settings } from "./settings.ts";

const STRATEGIES = ["Always", "RerunOnFailure", "Once", "Manual", "Halted"];

/** When a VM is to run. */
export function judgeRunStrategy(spec: VmSpec, settings: Settings): Problem[] {
  return [...saidOnce(spec), ...known(spec, settings)];
}

function saidOnce({ running, runStrategy }: VmSpec): Problem[] {
  if ((running === undefined) !== (runStrategy === undefined)) return [];
  const silent = running === undefined;
  return [
    {
      code: "PB2405",
      type: "FieldValueInvalid",
      field: "spec.running",
      at: ["spec", "running"],
      message: silent ? "The VM does not say when to run." : "The VM has both running and runStrategy.",
      cure: silent ? "Add runStrategy, such as Always." : "Keep runStrategy; running is deprecated.",
    },
  ];
}

function known({ runStrategy }: VmSpec, { gates }: Settings): Problem[] {
  // A VM that waits for another cluster's guest is behind a gate.
  const strategies = gates.has("DecentralizedLiveMigration") ? [...STRATEGIES, "WaitAsReceiver"] : STRATEGIES;
  if (runStrategy === undefined || strategies.includes(runStrategy)) return [];
  return [
    {
      code: "PB2406",
      type: "FieldValueInvalid",
      field: "spec.runStrategy",
      at: ["spec", "runStrategy"],
      message: `The run strategy "${runStrategy}" is not known.`,
      expected: `one of ${strategies.join(", ")}`,
      cure: `${respelt([nearMiss(runStrategy, strategies) ?? ""], () => true)}Use one of ${strategies.join(", ")}.`,
    },
  ];
}
