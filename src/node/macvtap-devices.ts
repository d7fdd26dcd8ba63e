import type { Logger } from "pino";
import type { KubeClient } from "../client/client.ts";
import type { EventRecorder } from "../client/events.ts";
import { type Cache, inform } from "../client/informer.ts";
import { makeMacvtapDevice, removeMacvtapDevice } from "../host/cni/macvtap-device.ts";
import { OWN_NETNS } from "../host/linux/netns.ts";
import { readLinks } from "../host/linux/pod-facts.ts";
import { configMapResource } from "../model/api/references.ts";
import type { KubeObject } from "../model/api/resource.ts";
import type { Stored } from "../model/api/stored.ts";
import { Fault, sentence } from "../model/fault.ts";
import { objectAt, textAt } from "../model/json.ts";
import { MACVTAP_RESOURCE } from "../model/pods/device-resources.ts";
import {
  MACVTAP_CONFIG_KEY,
  MACVTAP_CONFIG_MAP,
  type MacvtapResource,
  macvtapPools,
  readMacvtapConfig,
} from "../model/pods/macvtap-devices.ts";
import { oldestFirst } from "../model/rules/configuration.ts";
import type { DeviceSource } from "./device-resources.ts";

/** The macvtap devices of this node, as the ConfigMap `macvtap-deviceplugin-config` wants them. */
export interface MacvtapDevices extends DeviceSource {
  /** Begins to follow the ConfigMap and the node's links; settled once it is known. `changed` hears of other pools. */
  follow(client: KubeClient, events: EventRecorder, changed: () => void): Promise<void>;
  close(): void;
}

export interface MacvtapDevicesOptions {
  /** Where CNI plugins are. */
  readonly binDirs: readonly string[];
  readonly log: Logger;
  /** Namespace whose links are offered; absent: that of this process. */
  readonly hostNetns?: string;
}

type ConfigMap = Stored<KubeObject>;

/** How often the node's links are looked at: a card may come or go. */
const LOOK_MS = 5_000;

/**
 * Without a ConfigMap every card and bond is offered, as with its empty list. Of several ConfigMaps the oldest counts. One
 * that cannot be read is told of by an event (PB6123), and what held before it goes on: nothing, where none was read yet.
 */
export function makeMacvtapDevices({ binDirs, log, hostNetns = OWN_NETNS }: MacvtapDevicesOptions): MacvtapDevices {
  const closing = new AbortController();
  const known = Promise.withResolvers<void>();
  // Nothing is offered before a list was read: one that limits must not be widened by a fault in it.
  let configured: readonly MacvtapResource[] | undefined;
  const pools = (): ReturnType<typeof macvtapPools> =>
    configured === undefined ? [] : macvtapPools(configured, readLinks(hostNetns).links);
  return {
    owns: (resource) => resource.startsWith(MACVTAP_RESOURCE),
    ready: known.promise,
    pools,
    prepare: (device, podUid) => makeMacvtapDevice(device, podUid, binDirs),
    reset: removeMacvtapDevice,
    async follow(client, events, changed) {
      let told = JSON.stringify(pools());
      const look = (): void => {
        const now = JSON.stringify(pools());
        if (now === told) return;
        told = now;
        changed();
      };
      const configure = (cache: Cache<ConfigMap>): void => {
        const [map] = oldestFirst(cache.list());
        const reading = readMacvtapConfig(
          map === undefined ? "" : (textAt(objectAt({ ...map }, "data"), MACVTAP_CONFIG_KEY) ?? ""),
        );
        if ("resources" in reading) configured = reading.resources;
        else if (map !== undefined) {
          const message = sentence(unreadable(map, reading));
          log.warn(message);
          events.event(map, "Warning", "PB6123", message);
        }
        look();
      };
      const heard = (): void => {
        if (cache.synced) configure(cache);
      };
      const cache: Cache<ConfigMap> = inform<ConfigMap>(
        client,
        configMapResource,
        { fieldSelector: `metadata.name=${MACVTAP_CONFIG_MAP}` },
        {
          add: heard,
          update: heard,
          delete: heard,
          synced: () => {
            configure(cache);
            known.resolve();
          },
          failed: (error, waitMs) => log.warn({ error, waitMs }, "the macvtap devices' ConfigMap cannot be watched"),
        },
        closing.signal,
      );
      const timer = setInterval(() => {
        try {
          look();
        } catch (error) {
          // The next look may find the links again.
          log.warn({ error }, "the node's links cannot be read");
        }
      }, LOOK_MS).unref();
      closing.signal.addEventListener("abort", () => clearInterval(timer), { once: true });
      await known.promise;
    },
    close: () => closing.abort(),
  };
}

function unreadable(
  { metadata: { namespace, name } }: ConfigMap,
  { problem, cure }: { readonly problem: string; readonly cure: string },
): Fault {
  const place = `the ConfigMap ${namespace}/${name}`;
  return new Fault("PB6123", `${MACVTAP_CONFIG_KEY} of ${place}, ${problem}.`, { place, cure });
}
