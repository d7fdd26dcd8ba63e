import { keyed, list, object, text, timestamp, word } from "./schema.ts";

/** Conditions as KubeVirt and Kubernetes write them. */
export const conditions = list(
  "What is true of the object just now.",
  object(
    "One statement.",
    {
      type: text("What the statement is about, such as `Ready`."),
      status: word("Whether it holds.", ["True", "False", "Unknown"]),
    },
    {
      reason: text("One word that says why; Patchbay's code where something failed."),
      message: text("A sentence, with the cure where something failed."),
      lastProbeTime: timestamp("When it was looked at last."),
      lastTransitionTime: timestamp("When `status` changed last."),
    },
  ),
);

/** The same in Kubernetes' own kinds, where server-side apply merges them by their type. */
export const conditionsByType = keyed(conditions, "type");
