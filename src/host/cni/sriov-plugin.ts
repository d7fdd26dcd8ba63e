import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Fault } from "../../model/fault.ts";
import { isJsonObject, type JsonObject, textAt } from "../../model/json.ts";
import { readJson } from "../../model/networks/cni-json.ts";
import { renderCniResult } from "../../model/networks/cni-result.ts";
import {
  earlierOf,
  type FunctionSettings,
  parseFunctionSettings,
  readSriovSettings,
  type SriovPluginSettings,
} from "../../model/sriov/function-settings.ts";
import { VFIO_DRIVER } from "../../model/sriov/inventory.ts";
import { isNetns, OWN_NETNS, within } from "../linux/netns.ts";
import { readSriovInventory, SYS } from "../linux/sriov-inventory.ts";
import { readFunction, setFunction } from "../linux/virtual-functions.ts";
import { writeWhole } from "../whole-file.ts";
import { delegatedIpam } from "./delegated-ipam.ts";
import type { PluginCall } from "./exec.ts";

type Call = Omit<PluginCall, "binary">;

const VERSION = "1.0.0";
/** Where the plugin of the SR-IOV project keeps the same. */
const DATA_DIR = "/var/lib/cni/sriov";
/** A card's link that has just been switched on takes 1 to 4 s. */
const CARRIER_MS = 6_000;
const LOOK_AGAIN_MS = 50;

/** A virtual function and the card's link that sets it. */
interface Found {
  readonly link: string;
  readonly index: number;
}

/**
 * The CNI plugin `sriov` for devices that guests get by VFIO: sets the virtual function by its card's link before the
 * guest starts, and puts back what was there. Nothing comes into the pod's namespace; an ipam's addresses are told only.
 *
 * @throws Fault PB3004 (configuration), PB4203 (another pod's), PB4210 (refused setting), PB4212 (no such device, or another driver), and those of
 * the ipam plugin.
 */
export async function sriovPlugin(call: Call): Promise<JsonObject | undefined> {
  switch (call.command) {
    case "ADD":
      return add(call);
    case "DEL":
      await delegatedIpam(call, "DEL", VERSION);
      restore(call);
      return undefined;
    case "CHECK":
      check(call);
      await delegatedIpam(call, "CHECK", VERSION);
      return undefined;
    default:
      return undefined;
  }
}

async function add(call: Call): Promise<JsonObject> {
  const { deviceId, settings } = settingsOf(call);
  const left = leftOf(call, deviceId);
  const found = find(deviceId);
  for (const { file, state } of left) {
    putBack(call, state);
    rmSync(file, { force: true });
  }
  const file = stateFile(call);
  // An ADD that was cut short left what was there before it: that is what is to be put back.
  const kept = readState(file);
  const before = { ...inHost(call, () => readFunction(found.link, found.index)), ...kept?.before };
  writeState(file, { deviceId, before: earlierOf(settings, before), netns: call.netns });
  try {
    inHost(call, () => setFunction(found.link, found.index, settings));
    await carrier(found.link, call.signal);
    const addresses = await delegatedIpam(call, "ADD", VERSION);
    const mac = settings.mac ?? before.mac ?? "";
    const given = { name: call.ifName, mac: /^[0:]*$/.test(mac) ? "" : mac };
    return renderCniResult(
      {
        cniVersion: VERSION,
        interfaces: [{ ...given, ...(call.netns === undefined ? {} : { sandbox: call.netns }) }],
        ips: (addresses?.ips ?? []).map((one) => ({ ...one, interface: 0 })),
        routes: addresses?.routes ?? [],
        dns: addresses?.dns ?? { nameservers: [], search: [], options: [] },
      },
      VERSION,
    );
  } catch (thrown) {
    restore(call);
    throw thrown;
  }
}

function check(call: Call): void {
  const { deviceId, settings } = settingsOf(call);
  const { link, index } = find(deviceId);
  const there = inHost(call, () => readFunction(link, index)) ?? {};
  const wanted = Object.entries(settings) as [keyof FunctionSettings, unknown][];
  const differs = wanted.filter(([key, value]) => {
    return there[key] !== undefined && JSON.stringify(there[key]) !== JSON.stringify(value);
  });
  if (differs.length === 0) return;
  const names = differs.map(([key]) => key).join(", ");
  throw new Fault("PB3023", `The virtual function ${deviceId} was changed since: ${names}.`, {
    place: deviceId,
    cure: "Delete the VMI and apply it again.",
  });
}

interface Left {
  readonly file: string;
  readonly state: State;
}

/**
 * What is kept of pods that had the device and went without their DEL, as in a crash of the machine.
 *
 * @throws Fault PB4203 where another pod has the device: to set it would change that guest's
 */
function leftOf(call: Call, deviceId: string): readonly Left[] {
  const folder = dataDir(call);
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".json")) : [];
  return names.flatMap((name): Left[] => {
    const file = join(folder, name);
    const state = readState(file);
    if (file === stateFile(call) || state?.deviceId !== deviceId) return [];
    if (state.netns !== undefined && !isNetns(state.netns)) return [{ file, state }];
    throw new Fault("PB4203", `The virtual function ${deviceId} is another pod's, as ${file} says.`, {
      place: join(SYS, "bus/pci/devices", deviceId),
      cure: `Delete the VMI that has it, maybe another daemon's, or let the network name another device. Where no such pod is left, remove ${file}.`,
      data: { deviceId, file },
    });
  });
}

const UNSETTABLE: readonly unknown[] = ["EOPNOTSUPP", "EINVAL", "ERANGE"];

/** Puts back what ADD changed. A device that is gone has nothing to put back; can be done again. */
function restore(call: Call): void {
  const file = stateFile(call);
  const state = readState(file);
  if (state === undefined) return;
  putBack(call, state);
  rmSync(file, { force: true });
  try {
    rmdirSync(dataDir(call));
  } catch {
    // Others have theirs there.
  }
}

function putBack(call: Call, { deviceId, before }: State): void {
  const place = locate(deviceId);
  if (place === undefined) return;
  for (const [key, value] of Object.entries(before)) {
    try {
      inHost(call, () => setFunction(place.link, place.index, { [key]: value }));
    } catch (thrown) {
      // A driver may tell what it cannot set: some refuse the MAC of zeroes that they begin with.
      if (!(thrown instanceof Fault) || !UNSETTABLE.includes(thrown.data["errno"])) throw thrown;
    }
  }
}

/** The card's link is in the host's namespace, whichever the plugin runs for. */
function inHost<T>({ hostNetns = OWN_NETNS }: Call, fn: () => T extends PromiseLike<unknown> ? never : T): T {
  return within(hostNetns, fn);
}

/** @throws Fault PB4212 */
function find(deviceId: string): Found {
  const found = locate(deviceId);
  const place = join(SYS, "bus/pci/devices", deviceId);
  if (found === undefined) {
    throw new Fault("PB4212", `The device ${deviceId} is no virtual function of a card with a link.`, {
      place,
      cure: "See that the card's driver is loaded and its link is in the host's namespace (ip link).",
    });
  }
  const driver = existsSync(join(place, "driver")) ? basename(readlinkSync(join(place, "driver"))) : "no driver";
  if (driver === VFIO_DRIVER) return found;
  throw new Fault(
    "PB4212",
    `The device ${deviceId} is bound to ${driver}, and guests take devices by ${VFIO_DRIVER}.`,
    {
      place,
      cure: "Give the SriovNetworkNodePolicy of its resource deviceType: vfio-pci.",
      data: { driver },
    },
  );
}

function locate(deviceId: string): Found | undefined {
  for (const { link, vfs } of readSriovInventory().cards) {
    const own = vfs.find(({ pci }) => pci === deviceId);
    if (own !== undefined) return link === undefined ? undefined : { link, index: own.index };
  }
  return undefined;
}

/** Waits a while for the card's link to carry: a guest's driver that finds none may not look again for long. */
async function carrier(link: string, signal: AbortSignal | undefined): Promise<void> {
  const end = performance.now() + CARRIER_MS;
  const carries = (): boolean => {
    try {
      return readFileSync(join(SYS, "class/net", link, "carrier"), "utf8").trim() === "1";
    } catch {
      return false;
    }
  };
  while (!carries() && performance.now() < end) {
    await pause(LOOK_AGAIN_MS, undefined, signal === undefined ? {} : { signal });
  }
}

function settingsOf({ config, network, args }: Call): SriovPluginSettings {
  const { runtimeConfig } = config;
  const asked = isJsonObject(runtimeConfig) ? textAt(runtimeConfig, "mac") : undefined;
  const settings = readSriovSettings(config, asked ?? args.find(([key]) => key === "MAC")?.[1]);
  if (typeof settings !== "string") return settings;
  throw new Fault(
    "PB3004",
    `The configuration of the network "${network}" for the CNI plugin "sriov" cannot be used: ${settings}.`,
    {
      cure: "Let an SriovNetwork make it, and name its resource in the annotation k8s.v1.cni.cncf.io/resourceName.",
      data: { config },
    },
  );
}

interface State {
  readonly deviceId: string;
  readonly before: FunctionSettings;
  /** Of the pod. */
  readonly netns: string | undefined;
}

function dataDir({ config }: Call): string {
  return textAt(config, "dataDir") ?? DATA_DIR;
}

function stateFile(call: Call): string {
  return join(dataDir(call), `${call.containerId}-${call.ifName}.json`);
}

function readState(file: string): State | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
  const reading = readJson(text);
  const value = "value" in reading && isJsonObject(reading.value) ? reading.value : {};
  const deviceId = textAt(value, "deviceId");
  const before = parseFunctionSettings(value["before"]);
  return deviceId === undefined || before === undefined
    ? undefined
    : { deviceId, before, netns: textAt(value, "netns") };
}

function writeState(file: string, state: State): void {
  try {
    mkdirSync(join(file, ".."), { recursive: true, mode: 0o700 });
    writeWhole(file, JSON.stringify(state));
  } catch (cause) {
    throw new Fault("PB3022", `${file} cannot be written: ${cause instanceof Error ? cause.message : String(cause)}.`, {
      place: file,
      cure: "Free space on its disk, and see that the folder may be written.",
      cause,
    });
  }
}
