import { conditions } from "./conditions.ts";
import { metadata } from "./metadata.ts";
import { anyObject, list, map, object, openObject, type Static, text, timestamp, word } from "./schema.ts";

/** Where a migration is on its way. */
export const MIGRATION_PHASES = [
  "",
  "Pending",
  "Scheduling",
  "Scheduled",
  "PreparingTarget",
  "TargetReady",
  "Running",
  "WaitingForSync",
  "Synchronizing",
  "Succeeded",
  "Failed",
] as const;

/** Moves a running guest to another pod. */
export const virtualMachineInstanceMigration = object(
  "Moves a running guest to another pod, without a stop.",
  {
    apiVersion: text("`kubevirt.io/v1`."),
    kind: text("`VirtualMachineInstanceMigration`."),
    spec: object(
      "What is to be moved; cannot be changed.",
      {},
      {
        vmiName: text("Name of the VMI, in the migration's namespace. Required."),
        addedNodeSelector: map(
          "Labels that the target node must have beside those that the VMI asks for.",
          text("Value of the label."),
        ),
        priority: text(
          "Who goes first in the queue: `system-critical`, `user-triggered` or `system-maintenance`. Default none.",
        ),
        sendTo: anyObject("Where the guest goes, for a move to another cluster."),
        receive: anyObject("What comes, for a move from another cluster."),
      },
    ),
  },
  {
    metadata,
    status: openObject("The move as it is.", {
      phase: word("Where the migration is on its way.", MIGRATION_PHASES),
      conditions,
      phaseTransitionTimestamps: list(
        "When each phase began.",
        object(
          "Begin of a phase.",
          {},
          { phase: text("The phase."), phaseTransitionTimestamp: timestamp("When it began.") },
        ),
      ),
      migrationState: anyObject("Source, target and progress, as in the VMI's status."),
    }),
  },
);

export type VirtualMachineInstanceMigration = Static<typeof virtualMachineInstanceMigration>;
