import { marker } from "../api/schema.ts";

/** `passt: {}` of an interface. */
export const passtSchema = marker(
  "Connects the guest through a passt process, which speaks for it on the pod's sockets. Must be the only interface, on the pod network, with the feature gate `Passt`.",
);

/** `passtBinding: {}` of an interface, the newer form. */
export const passtBindingSchema = marker(
  "Connects the guest through a passt process by vhost-user. Pod network only, and only with the feature gate `PasstBinding`.",
);
