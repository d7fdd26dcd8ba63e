import { keyed, list, openObject, text } from "./schema.ts";

/** `topologySpreadConstraints` of a Pod, which a VMI hands on to its own. */
export const spreadConstraints = keyed(
  list("How copies spread over nodes. Default: as the scheduler likes.", {
    ...openObject("A constraint.", {
      topologyKey: text("Label of nodes whose values are the places to spread over."),
      whenUnsatisfiable: text("`DoNotSchedule` or `ScheduleAnyway`."),
    }),
    required: ["topologyKey", "whenUnsatisfiable"],
  }),
  "topologyKey",
  "whenUnsatisfiable",
);
