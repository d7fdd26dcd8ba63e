import { Fault } from "../../model/fault.ts";
import { isJsonObject } from "../../model/json.ts";
import type { CniVersion } from "../../model/networks/cni-config.ts";
import { type CniResult, parseCniResult } from "../../model/networks/cni-result.ts";
import { type PluginCall, runPlugin } from "./exec.ts";
import { findPlugin } from "./plugins.ts";

/**
 * Asks the ipam plugin of a configuration, as CNI delegates to it; undefined where there is none, and for all but ADD.
 *
 * @throws Fault PB3009, and what running the plugin throws
 */
export async function delegatedIpam(
  call: Omit<PluginCall, "binary">,
  command: PluginCall["command"],
  version: CniVersion,
): Promise<CniResult | undefined> {
  const wanted = call.config["ipam"];
  const type = isJsonObject(wanted) ? wanted["type"] : undefined;
  if (typeof type !== "string" || type === "") return undefined;
  const answer = await runPlugin({ ...call, command, type, binary: findPlugin(type, call.binDirs) });
  if (command !== "ADD") return undefined;
  const reading = parseCniResult(answer, version);
  if ("result" in reading) return reading.result;
  throw new Fault("PB3009", `The CNI plugin "${type}" answered a result that is not understood: ${reading.problem}.`, {
    data: { plugin: type, answer },
  });
}
