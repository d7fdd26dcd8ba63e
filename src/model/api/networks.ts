import { genieSchema } from "../networks/genie.ts";
import { multusSchema } from "../networks/multus.ts";
import { podNetworkSchema } from "../networks/pod.ts";
import { claimSchema } from "../networks/resource-claim.ts";
import { object, type Static, text } from "./schema.ts";

/** An element of `spec.networks`. */
export const network = object(
  "What one interface is connected to: exactly one of `pod`, `multus`, `genie` and `resourceClaim`.",
  { name: text("Unique among the networks; the interface of the same name uses this network.") },
  { pod: podNetworkSchema, multus: multusSchema, genie: genieSchema, resourceClaim: claimSchema },
);

export type Network = Static<typeof network>;
