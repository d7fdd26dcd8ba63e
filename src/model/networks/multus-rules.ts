import { flag, object, text } from "../api/schema.ts";

/** `multus: {}` of a network. */
export const multusSchema = object(
  "A network that a NetworkAttachmentDefinition describes.",
  {
    networkName: text(
      "Name of the NetworkAttachmentDefinition, with its namespace before a slash where it is not the VMI's own. Refused when empty.",
    ),
  },
  {
    default: flag(
      "True makes this network the pod's primary one, in place of the cluster's. Default false; one network at most, and none beside a `pod` network.",
    ),
  },
);
