import { Fault, isFault, toFault } from "../../model/fault.ts";
import type { JsonObject } from "../../model/json.ts";
import { atLeast, type CniNetwork, type CniPlugin } from "../../model/networks/cni-config.ts";
import { type CniResult, parseCniResult, renderCniResult } from "../../model/networks/cni-result.ts";
import { isNetns } from "../linux/netns.ts";
import { type AttachmentRecord, listRecords, readRecord, recordPath, writeRecord } from "./attachment-record.ts";
import { hostSides, locatePlugin } from "./builtin.ts";
import { disableContainerInterface, refuseAddressOnDisabled } from "./container-interface.ts";
import { departureOf, forget } from "./departure.ts";
import { asksDhcp, withDhcpDaemon } from "./dhcp-daemon.ts";
import { withoutDetection } from "./duplicate-address-detection.ts";
import { PLUGIN_TIME_LIMIT_MS } from "./exec.ts";
import { endInterruptedPlugins } from "./interrupted-plugins.ts";
import { type CniHost, invoke, understand } from "./invocation.ts";
import { DEFAULT_BIN_DIRS } from "./plugins.ts";
import { needsNetnsToDelete, withStandInNetns } from "./stand-in-netns.ts";

export interface AttachmentKey {
  readonly containerId: string;
  readonly ifName: string;
}

export interface Attachment extends AttachmentKey {
  readonly network: CniNetwork;
  /** Path of the pod's namespace. */
  readonly netns: string;
  /** CNI_ARGS, in order: `["K8S_POD_NAME", "x"]`. */
  readonly args?: readonly (readonly [string, string])[];
  /** By capability; a plugin gets those that its configuration switches on (`portMappings`, `mac`, `ips`, …). */
  readonly runtimeConfig?: JsonObject;
  /** Where it stands among the attachments of its pod; 0 where absent. */
  readonly position?: number;
}

export interface AddedNetwork extends AttachmentKey {
  /** Name of the network. */
  readonly network: string;
  readonly netns: string;
  readonly result: CniResult;
}

/**
 * Attaches a namespace to a network: ADD of each plugin in order, each with the result of the one before.
 *
 * When a plugin fails, DEL of it and of those before undoes the attachment; a DEL that fails is told in the fault's
 * `data.left`, and where it was of an earlier plugin, the record stays for {@link delNetwork}. An attachment that was interrupted half-way is undone first.
 *
 * @throws Fault PB3006–PB3018 (plugins), PB3019 (names), PB3020 (exists), PB3021, PB3022 (record), PB3026 (called off).
 */
export function addNetwork(attachment: Attachment, host: CniHost): Promise<AddedNetwork> {
  return inTurn(attachment, host, () => attach(attachment, host));
}

async function attach(attachment: Attachment, host: CniHost): Promise<AddedNetwork> {
  const { containerId, ifName, netns } = attachment;
  // As it is recorded: its DEL has to ask the same one.
  const network = await withDhcpDaemon(attachment.network, host);
  const earlier = readRecord(host.cacheDir, containerId, ifName);
  if (earlier?.state === "added") {
    throw new Fault(
      "PB3020",
      `The pod ${containerId} has the interface ${ifName} of the network "${earlier.network.name}" already.`,
      {
        place: recordPath(host.cacheDir, containerId, ifName),
        cure: "Detach it first.",
      },
    );
  }
  if (earlier !== undefined) await detachRecorded({ containerId, ifName }, host);
  const binDirs = host.binDirs ?? DEFAULT_BIN_DIRS;
  // Before anything is made: a plugin that is missing should cost nothing.
  for (const plugin of network.plugins) {
    locatePlugin(plugin.type, binDirs);
    refuseAddressOnDisabled(plugin, network.name);
  }
  // Asked anew after each wait: from here to the record nothing is awaited, and no host side goes in between.
  for (let leaving = departureOf(network, host); leaving !== undefined; leaving = departureOf(network, host)) {
    await leaving;
  }
  const record: AttachmentRecord = {
    state: "adding",
    containerId,
    ifName,
    netns,
    network,
    args: attachment.args ?? [],
    runtimeConfig: attachment.runtimeConfig ?? {},
    binDirs,
    position: attachment.position ?? 0,
  };
  writeRecord(host.cacheDir, record);
  let last = 0;
  let again = (): void => {};
  try {
    if (isNetns(netns)) again = withoutDetection(netns);
    for (const { type, config } of network.plugins) {
      await hostSides[type]?.prepare(network.name, config, host.hostNetns);
    }
    let previous: JsonObject | undefined;
    let result: CniResult | undefined;
    for (const [index, plugin] of network.plugins.entries()) {
      last = index;
      const answer = await invoke("ADD", plugin, record, host, previous);
      result = understand(answer, plugin, record);
      disableContainerInterface(plugin, netns, ifName);
      previous = result.cniVersion === network.cniVersion ? answer : renderCniResult(result, network.cniVersion);
    }
    if (previous === undefined || result === undefined) throw new TypeError("a network has at least one plugin");
    writeRecord(host.cacheDir, { ...record, state: "added", result: previous });
    return { network: network.name, containerId, ifName, netns, result };
  } catch (thrown) {
    throw await undone(thrown, record, last, host);
  } finally {
    again();
  }
}

/** For each DEL of an undo: the ADD's failure is to be told soon. */
const UNDO_TIME_LIMIT_MS = 3_000;

/** Undoes the plugins up to `last` after a failure of ADD; returns the fault to throw. */
async function undone(thrown: unknown, record: AttachmentRecord, last: number, host: CniHost): Promise<unknown> {
  const { signal: _, waits: __, ...unsignalled } = host;
  const timeLimitMs = Math.min(host.timeLimitMs ?? PLUGIN_TIME_LIMIT_MS, UNDO_TIME_LIMIT_MS);
  const { plugins } = record.network;
  const own = await detach(record, plugins.slice(last, last + 1), { ...unsignalled, timeLimitMs });
  const earlier = await detach(record, plugins.slice(0, last), { ...unsignalled, timeLimitMs });
  const failures = [...own, ...earlier];
  // A plugin whose ADD failed and whose DEL fails too cannot do either: the pod is not to wait for it for ever.
  if (earlier.length === 0) {
    await forget(record, host).catch((cause: unknown) => failures.push(toFault(cause, "PB3025")));
  }
  if (failures.length === 0) return thrown;
  const fault = toFault(thrown, "PB3000");
  return new Fault(fault.code, fault.message, {
    ...(fault.cure === undefined ? {} : { cure: fault.cure }),
    ...(fault.place === undefined ? {} : { place: fault.place }),
    data: { ...fault.data, left: failures.map(({ message }) => message) },
    cause: thrown,
  });
}

/**
 * Detaches: DEL of each plugin in reverse order, with the recorded configuration and result.
 *
 * Idempotent, also when ADD was interrupted and when the namespace is gone. Every plugin gets its DEL even when a later
 * one failed; then the record stays, so that it can be tried again, and the first failure is thrown.
 *
 * @returns false where nothing was recorded.
 * @throws Fault PB3006–PB3018 (plugins), PB3019, PB3021.
 */
export function delNetwork(key: AttachmentKey, host: CniHost): Promise<boolean> {
  return inTurn(key, host, () => detachRecorded(key, host));
}

async function detachRecorded(key: AttachmentKey, host: CniHost): Promise<boolean> {
  const record = readRecord(host.cacheDir, key.containerId, key.ifName);
  if (record === undefined) return false;
  if (record.state === "adding") endInterruptedPlugins(record);
  const failures = await detach(record, record.network.plugins, host);
  const [first, ...more] = failures;
  if (first !== undefined) {
    if (more.length === 0) throw first;
    throw new Fault(first.code, `${first.message} ${more.map(({ message }) => message).join(" ")}`, {
      ...(first.cure === undefined ? {} : { cure: first.cure }),
      ...(first.place === undefined ? {} : { place: first.place }),
      data: first.data,
      cause: first,
    });
  }
  await forget(record, host);
  return true;
}

async function detach(record: AttachmentRecord, plugins: readonly CniPlugin[], host: CniHost): Promise<Fault[]> {
  const failures: Fault[] = [];
  const previous = atLeast(record.network.cniVersion, "0.4.0") ? record.result : undefined;
  for (const plugin of plugins.toReversed()) {
    try {
      // bridge 1.1 takes the link away first, and the lease could be given back no more.
      if (asksDhcp(plugin) && isNetns(record.netns))
        await invoke("DEL", { ...plugin, type: "dhcp" }, record, host, previous);
      if (isNetns(record.netns) || !needsNetnsToDelete(plugin)) await invoke("DEL", plugin, record, host, previous);
      else await withStandInNetns(record, () => invoke("DEL", plugin, record, host, previous));
    } catch (thrown) {
      if (!isFault(thrown)) throw thrown;
      failures.push(thrown);
    }
  }
  return failures;
}

/**
 * Asks each plugin whether the attachment is as it made it. Does nothing where the version (before 0.4.0) or the
 * configuration (`disableCheck`) has no CHECK.
 *
 * @returns false where nothing was asked.
 * @throws Fault PB3023 (something differs, or there is no attachment), PB3006–PB3018 (plugins).
 */
export function checkNetwork(key: AttachmentKey, host: CniHost): Promise<boolean> {
  return inTurn(key, host, () => checkRecorded(key, host));
}

async function checkRecorded(key: AttachmentKey, host: CniHost): Promise<boolean> {
  const record = readRecord(host.cacheDir, key.containerId, key.ifName);
  if (record?.result === undefined) {
    throw new Fault("PB3023", `The pod ${key.containerId} has no interface ${key.ifName} made by CNI.`, {
      cure: "Delete the VMI and apply it again.",
    });
  }
  const { network } = record;
  if (network.disableCheck || !atLeast(network.cniVersion, "0.4.0")) return false;
  for (const plugin of network.plugins) {
    try {
      await invoke("CHECK", plugin, record, host, record.result);
    } catch (thrown) {
      if (!isFault(thrown, "PB3000")) throw thrown;
      throw new Fault("PB3023", thrown.message, {
        cure: "Put that back, or delete the VMI and apply it again.",
        place: thrown.place ?? record.netns,
        data: thrown.data,
        cause: thrown,
      });
    }
  }
  return true;
}

/** The recorded attachment with its result, as after an ADD; undefined where there is none, or an unfinished one. */
export function cachedNetwork(key: AttachmentKey, cacheDir: string): AddedNetwork | undefined {
  const record = readRecord(cacheDir, key.containerId, key.ifName);
  if (record?.result === undefined) return undefined;
  const { network, containerId, ifName, netns } = record;
  const reading = parseCniResult(record.result, network.cniVersion);
  return "result" in reading
    ? { network: network.name, containerId, ifName, netns, result: reading.result }
    : undefined;
}

/**
 * What this daemon, or a dead one before it, attached and has not detached, each pod's in the order of their ADDs;
 * unfinished ones included. Whatever of it
 * belongs to no living pod is for {@link delNetwork}.
 */
export function listCached(cacheDir: string): {
  readonly attachments: readonly (AttachmentKey & {
    readonly network: string;
    readonly netns: string;
    readonly finished: boolean;
  })[];
  /** Paths of records that cannot be read. */
  readonly damaged: readonly string[];
} {
  const { records, damaged } = listRecords(cacheDir);
  return {
    attachments: records
      .toSorted((one, other) => one.position - other.position)
      .map(({ containerId, ifName, network, netns, state }) => ({
        containerId,
        ifName,
        network: network.name,
        netns,
        finished: state === "added",
      })),
    damaged,
  };
}

/** The last operation of each attachment: the specification allows one at a time. */
const operations = new Map<string, Promise<unknown>>();

async function inTurn<T>(key: AttachmentKey, host: CniHost, operation: () => Promise<T>): Promise<T> {
  const name = `${host.cacheDir}\n${key.containerId}\n${key.ifName}`;
  const running = (operations.get(name) ?? Promise.resolve()).then(operation, operation);
  operations.set(name, running);
  try {
    return await running;
  } finally {
    if (operations.get(name) === running) operations.delete(name);
  }
}
