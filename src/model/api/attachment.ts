import { metadata } from "./metadata.ts";
import { object, type Static, text } from "./schema.ts";

/** A network that pods can be attached to, as Multus knows it. */
export const networkAttachmentDefinition = object(
  "A network that pods can be attached to.",
  { apiVersion: text("`k8s.cni.cncf.io/v1`."), kind: text("`NetworkAttachmentDefinition`.") },
  {
    metadata,
    spec: object(
      "How to attach.",
      {},
      {
        config: text(
          "CNI configuration as JSON text: one plugin, or a list with `plugins`. Default: the file of this name in the CNI configuration folder.",
        ),
      },
    ),
  },
);

export type NetworkAttachmentDefinition = Static<typeof networkAttachmentDefinition>;
