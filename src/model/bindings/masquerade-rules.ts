import { marker } from "../api/schema.ts";

/** `masquerade: {}` of an interface. */
export const masqueradeSchema = marker(
  "Puts the guest behind NAT of the pod's addresses, IPv4 and IPv6. Pod network only. No fields of its own: `ports` of the interface choose what is let in.",
);
