import type { FieldPath } from "../api/field-path.ts";
import { isJsonObject, type JsonObject } from "../json.ts";
import type { Finding } from "../manifest/finding.ts";
import { nearMiss } from "../near-miss.ts";
import { ipamFields, isRead, LIST_FIELDS, type PluginFields, pluginFields } from "../networks/cni-plugin-fields.ts";
import { readSriovSettings } from "../sriov/function-settings.ts";
import { type CniSource, placedPlugins } from "./cni-source.ts";
import type { Run } from "./run.ts";

/**
 * Fields of CNI configurations that no plugin reads (PB2713), and settings of virtual functions that none takes (PB3004).
 * Plugins that are not known here are passed over.
 */
export function pluginFieldFindings({ sources }: Run): Finding[] {
  return sources.flatMap((source) => [
    ...listFindings(source),
    ...placedPlugins(source).flatMap(({ plugin, at }) => {
      const own = pluginFields(plugin.type);
      const ipam = plugin.config["ipam"];
      const given = plugin.ipamType === undefined ? undefined : ipamFields(plugin.ipamType);
      return [
        ...(plugin.type === "sriov" ? functionSettings(source, at, plugin.config) : []),
        ...(own === undefined ? [] : unread(source, at, Object.keys(plugin.config), own)),
        ...(given === undefined || !isJsonObject(ipam)
          ? []
          : unread(source, [...at, "ipam"], Object.keys(ipam), given)),
      ];
    }),
  ]);
}

/** What a device is claimed as: the configuration has none before. */
const ANY_DEVICE = "0000:00:00.0";

function functionSettings(source: CniSource, at: FieldPath, config: JsonObject): Finding[] {
  const problem = readSriovSettings({ ...config, deviceID: ANY_DEVICE });
  if (typeof problem !== "string") return [];
  const [, field] = /^its "(\w+)"/.exec(problem) ?? [];
  return [
    source.finding(field === undefined || !Object.hasOwn(config, field) ? at : [...at, field], {
      code: "PB3004",
      severity: "error",
      message: `${source.name} cannot be used: ${problem}.`,
    }),
  ];
}

/** Keys that are comments or a runtime's business. */
const PASSED_OVER = /^[_#]|^\/\/|\//;

function unread(source: CniSource, at: FieldPath, names: readonly string[], fields: PluginFields): Finding[] {
  return names
    .filter((name) => !isRead(fields, name) && !PASSED_OVER.test(name))
    .map((name) => {
      const near = nearMiss(name, fields.fields);
      const isLater = fields.later.includes(name);
      return source.finding(
        [...at, name],
        {
          code: "PB2713",
          severity: "warning",
          message:
            name === "disableContainerInterface"
              ? `${fields.source} ignores "${name}": on KubeVirt the pod's end of the link comes up as if it were not written.`
              : isLater
                ? `${fields.source} ignores "${name}", which newer ones read.`
                : `${fields.source} does not know "${name}", and ignores it.`,
          hint:
            name === "disableContainerInterface"
              ? "Here Patchbay takes the link down itself. Leave it where the nodes have a newer plugin."
              : isLater
                ? "Leave it where the nodes have a newer plugin, and do not count on it here."
                : near === undefined
                  ? "Remove it."
                  : `Did you mean "${near}"?`,
        },
        "key",
      );
    });
}

/** A list reads few fields of its own: what is for a plugin must stand in the plugin. */
function listFindings(source: CniSource): Finding[] {
  if (source.network === undefined || source.value === undefined || !Object.hasOwn(source.value, "plugins")) return [];
  const known: readonly string[] = LIST_FIELDS;
  return Object.keys(source.value)
    .filter((name) => !known.includes(name) && !PASSED_OVER.test(name))
    .map((name) => {
      const near = nearMiss(name, known);
      const message = `${source.name} has the field "${name}" beside its list of plugins, where nothing reads it.`;
      const hint = near === undefined ? "Write it into the plugin that it is for." : `Did you mean "${near}"?`;
      return source.finding([name], { code: "PB2713", severity: "warning", message, hint }, "key");
    });
}
