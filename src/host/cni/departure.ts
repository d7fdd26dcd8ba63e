import type { CniNetwork } from "../../model/networks/cni-config.ts";
import { type AttachmentRecord, listRecords, removeRecord } from "./attachment-record.ts";
import { hostSides } from "./builtin.ts";
import type { CniHost } from "./invocation.ts";

/** Networks whose host side is being taken away, by cache folder and name: an ADD waits for it. */
const departing = new Map<string, Promise<void>>();

/** Settles when that network's host side is away, which is being taken away now; undefined where it is not. */
export function departureOf(network: CniNetwork, host: CniHost): Promise<void> | undefined {
  return departing.get(departureKey(host, network));
}

/**
 * Removes the record of what is detached. With the last of a network its host side goes first: where that fails, or the
 * daemon dies meanwhile, the record stays, and the next DEL ends it.
 */
export async function forget(record: AttachmentRecord, host: CniHost): Promise<void> {
  const { network, containerId, ifName } = record;
  const last = !listRecords(host.cacheDir).records.some(
    (other) => other.network.name === network.name && (other.containerId !== containerId || other.ifName !== ifName),
  );
  // No await between the look at the records and what follows from it: of two that leave at once one is the last, and an
  // ADD either had its record, or waits.
  if (last) await takeHostSideAway(network, host);
  removeRecord(host.cacheDir, containerId, ifName);
}

async function takeHostSideAway(network: CniNetwork, host: CniHost): Promise<void> {
  const builtins = network.plugins.filter(({ type }) => hostSides[type] !== undefined);
  const key = departureKey(host, network);
  if (builtins.length === 0 || departing.has(key)) return departing.get(key);
  const departure = (async () => {
    for (const { type, config } of builtins) await hostSides[type]?.unused(network.name, config, host.hostNetns);
  })();
  departing.set(key, departure);
  try {
    await departure;
  } finally {
    departing.delete(key);
  }
}

function departureKey(host: CniHost, network: CniNetwork): string {
  return `${host.cacheDir}\n${network.name}`;
}
