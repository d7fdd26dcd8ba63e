import { marker } from "../api/schema.ts";

/** `macvtap: {}` of an interface. */
export const macvtapSchema = marker(
  "Connects the guest to the node's network through a macvtap link. Multus networks only, and only with the feature gate `Macvtap`.",
);
