import { object, text } from "../api/schema.ts";

/** `resourceClaim: {}` of a network (KubeVirt 1.9, alpha). */
export const claimSchema = object(
  "A device that dynamic resource allocation hands out. Only with the feature gate `NetworkDevicesWithDRA`, and not beside multus networks.",
  {},
  {
    claimName: text("Name of an element of `spec.resourceClaims`. Required."),
    requestName: text("Name of a request of that claim. Required."),
  },
);
