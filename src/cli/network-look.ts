import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { locatePlugin } from "../host/cni/builtin.ts";
import { withFlannel } from "../host/cni/flannel.ts";
import { Fault, isFault } from "../model/fault.ts";
import { objectAt, textAt } from "../model/json.ts";
import type { CniNetwork } from "../model/networks/cni-config.ts";
import { addressOfFile, HOST_LOCAL_DATA_DIR, poolsOf } from "../model/networks/pool.ts";

/**
 * Looks at what this host has for a network; `place` is where the manifest asks for it.
 *
 * @throws Fault of the first plugin that is missing (PB3006), of a pool that has nothing left (PB3018), of flannel's
 * subnet (PB3032).
 */
export function lookAtNetwork(network: CniNetwork, binDirs: readonly string[], place: string): void {
  const { name } = network;
  for (const plugin of withFlannel(network, binDirs).plugins) {
    for (const type of [plugin.type, ...(plugin.ipamType === undefined ? [] : [plugin.ipamType])]) {
      atPlace(place, () => locatePlugin(type, binDirs));
    }
    const folder = join(textAt(objectAt(plugin.config, "ipam"), "dataDir") ?? HOST_LOCAL_DATA_DIR, name);
    const taken = existsSync(folder) ? readdirSync(folder).flatMap((file) => addressOfFile(file) ?? []) : [];
    const full = poolsOf(plugin, taken).find(({ size, used }) => used >= size);
    if (full === undefined) continue;
    throw new Fault(
      "PB3018",
      `No address of ${full.subnets.join(", ")} is free: ${full.used} of ${full.size} are given out.`,
      {
        place,
        cure: "Delete VMs on this network, or give its pool more addresses.",
        data: { network: name, folder },
      },
    );
  }
}

/** A Fault of a thing of the host at the place in the manifest that asks for it. */
export function atPlace(place: string, act: () => void): void {
  try {
    act();
  } catch (thrown) {
    if (!isFault(thrown)) throw thrown;
    const { code, message, cure, data } = thrown;
    throw new Fault(code, message, { place, data, cause: thrown, ...(cure === undefined ? {} : { cure }) });
  }
}
