import { object, text } from "../api/schema.ts";

/** `genie: {}` of a network, which KubeVirt had from 0.9.2 to 0.28. */
export const genieSchema = object(
  "A network that CNI-Genie attaches. Every network of the VMI must then be a genie one; the first is the pod's eth0.",
  { networkName: text("CNI type of the configuration file to use, such as `flannel`. Refused when empty.") },
  {},
);
