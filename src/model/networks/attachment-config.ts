import { isJsonObject, type JsonObject } from "../json.ts";
import { readJson } from "./cni-json.ts";

/** What the plugins of the last years all take, and what KubeVirt's documentation writes. */
const CNI_VERSION = "0.3.1";

export interface CompletedConfig {
  /** The text with the missing fields in front; what was written stays as it is, numbers and all. */
  readonly text: string;
  /** The fields that were missing, with what they got; empty where nothing was, or where it is no configuration at all. */
  readonly added: JsonObject;
}

/** Gives the CNI configuration of a NetworkAttachmentDefinition the name and the version that it lacks. */
export function completedConfig(config: string, name: string | undefined): CompletedConfig {
  const reading = readJson(config);
  if ("problem" in reading || !isJsonObject(reading.value) || Object.keys(reading.value).length === 0) {
    return { text: config, added: {} };
  }
  const given = reading.value;
  const versioned = Object.hasOwn(given, "cniVersion") || Object.hasOwn(given, "cniVersions");
  const added = {
    ...(versioned ? {} : { cniVersion: CNI_VERSION }),
    ...(Object.hasOwn(given, "name") || name === undefined ? {} : { name }),
  };
  const fields = Object.entries(added).map(([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(value)}`);
  return { text: fields.length === 0 ? config : config.replace("{", () => `{${fields.join(", ")}, `), added };
}
