import { marker } from "../api/schema.ts";

/** `bridge: {}` of an interface. */
export const bridgeSchema = marker(
  "Joins the guest to the pod's link with a Linux bridge: the guest takes over the pod's MAC and IPv4 address. No fields of its own.",
);
