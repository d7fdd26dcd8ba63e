import { genieSchema } from "../networks/genie.ts";
import { multusSchema } from "../networks/multus.ts";
import { podNetworkSchema } from "../networks/pod.ts";
import { claimSchema } from "../networks/resource-claim.ts";
import { object, type Static, text } from "./schema.ts";

/** An element of `spec.networks`. */
export const network = object(
  "What one interface is connected to: exactly one of `pod`, `multus`, `genie` and `resourceClaim`.",
  {
    name: text(
      "The interface of the same name uses this network; refused without one, and where another network has it.",
    ),
  },
  { pod: podNetworkSchema, multus: multusSchema, genie: genieSchema, resourceClaim: claimSchema },
);

export type Network = Static<typeof network>;
