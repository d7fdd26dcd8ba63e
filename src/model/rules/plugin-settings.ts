import { type FieldPath, fieldPath } from "../api/field-path.ts";
import { isJsonObject, type JsonObject, objectAt } from "../json.ts";
import { nearMiss } from "../near-miss.ts";
import { badReference, DEFINITION_REFERENCE } from "../networks/definition-name.ts";
import type { ConfigurationProblem, GivenConfiguration } from "./configuration.ts";

/** Settings of a plugin that are one of a few words (reference 1.4). */
const WORDS: readonly { readonly at: FieldPath; readonly words: readonly string[]; readonly otherwise: string }[] = [
  {
    at: ["domainAttachmentType"],
    words: ["tap", "managedTap"],
    otherwise: "the NIC is left to the plugin, as if nothing were written",
  },
  {
    at: ["migration", "method"],
    words: ["link-refresh"],
    otherwise: "nothing is done with the NIC when a guest moves",
  },
  { at: ["downwardAPI"], words: ["device-info"], otherwise: "the plugin is told nothing" },
];

/** Reference of an image: a registry or none, a repository in small letters, a tag or digest or none. */
const IMAGE =
  /^(?:[\w.-]+(?::\d+)?\/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::\w[\w.-]{0,127})?(?:@[a-z0-9]+:[0-9a-fA-F]{32,})?$/;

/** Settings of network binding plugins that KubeVirt takes, and that come to nothing (PB2307). */
export function pluginSettings({ configuration, place }: GivenConfiguration): ConfigurationProblem[] {
  const plugins = objectAt(objectAt(isJsonObject(configuration) ? configuration : {}, "network"), "binding");
  return Object.entries(plugins).flatMap(([name, plugin]) =>
    isJsonObject(plugin) ? settingsOfPlugin(name, plugin, place) : [],
  );
}

function settingsOfPlugin(
  name: string,
  plugin: JsonObject,
  place: GivenConfiguration["place"],
): ConfigurationProblem[] {
  const problem = (at: FieldPath, what: string, expected: string, cure: string): ConfigurationProblem => ({
    code: "PB2307",
    at: place(["network", "binding", name, ...at]),
    message: `${fieldPath(at)} of the binding plugin "${name}" ${what}.`,
    expected,
    cure,
  });
  const words = WORDS.flatMap(({ at, words: known, otherwise }) => {
    const word = wordAt(plugin, at);
    if (word === "" || known.includes(word)) return [];
    const meant = nearMiss(word, known);
    const expected = known.length === 1 ? `${known.join("")}, or nothing` : `one of ${known.join(", ")}, or nothing`;
    const cure = meant === undefined ? `Write ${expected}.` : `Did you mean "${meant}"?`;
    return [problem(at, `cannot be "${word}": ${otherwise}`, expected, cure)];
  });
  const definition = wordAt(plugin, ["networkAttachmentDefinition"]);
  const unnamed = definition === "" ? undefined : badReference(definition);
  const image = wordAt(plugin, ["sidecarImage"]);
  const overhead = objectAt(plugin, "computeResourceOverhead");
  const unused = [
    ...Object.keys(objectAt(overhead, "requests"))
      .filter((resource) => resource !== "memory")
      .map((resource) => ["requests", resource]),
    ...Object.keys(objectAt(overhead, "limits")).map((resource) => ["limits", resource]),
  ];
  return [
    ...words,
    ...(unnamed === undefined
      ? []
      : [
          problem(
            ["networkAttachmentDefinition"],
            `cannot be "${definition}", which ${unnamed.why}`,
            DEFINITION_REFERENCE,
            unnamed.meant === undefined ? "Write the definition's name." : `Did you mean "${unnamed.meant}"?`,
          ),
        ]),
    ...(image === "" || IMAGE.test(image)
      ? []
      : [
          problem(
            ["sidecarImage"],
            `is "${image}", which is no reference of an image`,
            "registry/repository:tag, the repository in small letters",
            "Write the image's reference.",
          ),
        ]),
    ...unused.map((at) =>
      problem(
        ["computeResourceOverhead", ...at],
        "is used by nothing",
        "computeResourceOverhead.requests.memory",
        "Remove it: of what a plugin costs, only the memory that is requested counts.",
      ),
    ),
  ];
}

function wordAt(plugin: JsonObject, at: FieldPath): string {
  const [key = "", ...rest] = at.map(String);
  const value = plugin[key];
  if (rest.length > 0) return isJsonObject(value) ? wordAt(value, rest) : "";
  return typeof value === "string" ? value : "";
}
