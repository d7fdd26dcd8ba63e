import { marker } from "../api/schema.ts";

/** `slirp: {}` of an interface. */
export const slirpSchema = marker(
  "QEMU's user-mode network: TCP and UDP only, and in only to the listed `ports`. Pod network only, and only with `permitSlirpInterface`.",
);
