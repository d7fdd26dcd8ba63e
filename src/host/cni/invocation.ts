import { Fault } from "../../model/fault.ts";
import { isJsonObject, type JsonObject } from "../../model/json.ts";
import type { CniPlugin } from "../../model/networks/cni-config.ts";
import { type CniResult, parseCniResult } from "../../model/networks/cni-result.ts";
import { isNetns } from "../linux/netns.ts";
import type { AttachmentRecord } from "./attachment-record.ts";
import { builtinPlugin, hostSides } from "./builtin.ts";
import { asksDhcp, DHCP_TIME_LIMIT_MS, ensureDhcpDaemon } from "./dhcp-daemon.ts";
import { type CniCommand, runPlugin } from "./exec.ts";
import { findPlugin } from "./plugins.ts";

/** How plugins are run, the same for every operation. */
export interface CniHost {
  /** Folder of the records; this daemon's own. */
  readonly cacheDir: string;
  readonly binDirs?: readonly string[];
  /** For each plugin; 10 s where absent. */
  readonly timeLimitMs?: number;
  /** Namespace that stands for the host; absent: that of this process. */
  readonly hostNetns?: string;
  /** Hears of a plugin that takes long, while it is waited for (PB3028). */
  readonly waits?: (fault: Fault) => void;
  readonly signal?: AbortSignal;
}

/**
 * Asks one plugin of an attachment, whether a binary or built in; a plugin that is a host side only has nothing to do for
 * a pod, and gives `previous`.
 *
 * @throws Fault PB3006–PB3018.
 */
export async function invoke(
  command: CniCommand,
  plugin: CniPlugin,
  record: AttachmentRecord,
  host: CniHost,
  previous: JsonObject | undefined,
): Promise<JsonObject> {
  if (hostSides[plugin.type] !== undefined) return previous ?? {};
  const { network, runtimeConfig, netns } = record;
  const given = Object.fromEntries(
    plugin.capabilities.flatMap((key) => (runtimeConfig[key] === undefined ? [] : [[key, runtimeConfig[key]]])),
  );
  const call = {
    command,
    type: plugin.type,
    network: network.name,
    containerId: record.containerId,
    // A DEL is told of a namespace only where it lives.
    ...(command !== "DEL" || isNetns(netns) ? { netns } : {}),
    ifName: record.ifName,
    args: record.args,
    binDirs: record.binDirs,
    config: {
      ...plugin.config,
      name: network.name,
      cniVersion: network.cniVersion,
      ...(Object.keys(given).length === 0 ? {} : { runtimeConfig: given }),
      ...(previous === undefined ? {} : { prevResult: previous }),
    },
    ...(host.hostNetns === undefined ? {} : { hostNetns: host.hostNetns }),
    ...(host.timeLimitMs === undefined
      ? asksDhcp(plugin)
        ? { timeLimitMs: DHCP_TIME_LIMIT_MS }
        : {}
      : { timeLimitMs: host.timeLimitMs }),
    ...(host.waits === undefined ? {} : { waits: host.waits }),
    ...(host.signal === undefined ? {} : { signal: host.signal }),
  };
  await ensureDhcpDaemon(plugin, { ...host, binDirs: record.binDirs });
  const builtin = builtinPlugin(plugin.type, record.binDirs);
  const answer =
    builtin === undefined
      ? await runPlugin({ ...call, binary: findPlugin(plugin.type, record.binDirs) })
      : await builtin(call);
  return isJsonObject(answer) ? answer : {};
}

/**
 * The result that a plugin answered an ADD with.
 *
 * @throws Fault PB3009.
 */
export function understand(answer: JsonObject, plugin: CniPlugin, record: AttachmentRecord): CniResult {
  const reading = parseCniResult(answer, record.network.cniVersion);
  if ("result" in reading) return reading.result;
  throw new Fault(
    "PB3009",
    `The CNI plugin "${plugin.type}" (ADD of the network "${record.network.name}") answered a result that is not understood: ${reading.problem}.`,
    { cure: "Install a plugin that follows the CNI specification.", data: { plugin: plugin.type, answer } },
  );
}
