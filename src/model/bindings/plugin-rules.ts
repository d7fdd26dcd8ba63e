import { object, text } from "../api/schema.ts";

/** `binding: {name}` of an interface. */
export const pluginSchema = object(
  "Leaves the connection to a network binding plugin.",
  {
    name: text(
      "Name under which the plugin is registered in `spec.configuration.network.binding` of the KubeVirt resource.",
    ),
  },
  {},
);
