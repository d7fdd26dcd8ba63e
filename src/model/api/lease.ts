import { metadata } from "./metadata.ts";
import { object, type Static, text, timestamp, whole } from "./schema.ts";

/** Who leads, and until when: a lock that runs out (coordination.k8s.io/v1). */
export const lease = object(
  "A lock that runs out: who holds it, and until when.",
  { apiVersion: text("`coordination.k8s.io/v1`."), kind: text("`Lease`.") },
  {
    metadata,
    spec: object(
      "The lock.",
      {},
      {
        holderIdentity: text("Who holds it."),
        leaseDurationSeconds: {
          ...whole("Seconds behind `renewTime` after which another one may take it."),
          minimum: 1,
        },
        acquireTime: timestamp("When the holder took it."),
        renewTime: timestamp("When the holder renewed it last."),
        leaseTransitions: { ...whole("How often the holder changed."), minimum: 0 },
        strategy: text("How a holder is chosen among candidates."),
        preferredHolder: text("Who should take it next."),
      },
    ),
  },
);

export type Lease = Static<typeof lease>;
