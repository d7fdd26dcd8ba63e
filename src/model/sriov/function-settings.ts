import { canonicalMac } from "../addresses/mac.ts";
import { isJsonObject, type JsonObject } from "../json.ts";

/** How a physical function sets one of its virtual functions (IFLA_VFINFO_LIST of rtnetlink(7)). What is absent stays. */
export interface FunctionSettings {
  /** `00:00:00:00:00:00` gives the choice back to the driver. */
  readonly mac?: string;
  /** 0 is none. */
  readonly vlan?: { readonly id: number; readonly qos: number; readonly proto: "802.1q" | "802.1ad" };
  readonly spoofCheck?: boolean;
  readonly trust?: boolean;
  readonly linkState?: "auto" | "enable" | "disable";
  /** Mbit/s; 0 is none. */
  readonly rate?: { readonly min: number; readonly max: number };
}

/** A setting by its name, as messages and the SriovNetwork have it. */
export const SETTING_NAMES: Readonly<Record<keyof FunctionSettings, string>> = {
  mac: "mac",
  vlan: "vlan",
  spoofCheck: "spoofChk",
  trust: "trust",
  linkState: "linkState",
  rate: "minTxRate and maxTxRate",
};

/** What a configuration of the CNI plugin `sriov` says. */
export interface SriovPluginSettings {
  readonly deviceId: string;
  readonly settings: FunctionSettings;
}

const PCI_ADDRESS = /^[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/;
const MOST_VLAN = 4094;

/**
 * Reads a configuration of the CNI plugin `sriov`; a text that says what is wrong with it. `mac` is what the runtime asks
 * for, which comes before the configuration's own. Never throws.
 */
export function readSriovSettings(config: JsonObject, mac?: string): SriovPluginSettings | string {
  const { deviceID, spoofchk, trust, link_state: linkState, min_tx_rate: min, max_tx_rate: max } = config;
  if (typeof deviceID !== "string" || !PCI_ADDRESS.test(deviceID)) {
    return 'it has no "deviceID", which the resource of its NetworkAttachmentDefinition gives';
  }
  const vlan = vlanOf(config);
  if (typeof vlan === "string") return vlan;
  const own = mac ?? (typeof config["mac"] === "string" ? config["mac"] : undefined);
  const canonical = own === undefined ? undefined : canonicalMac(own);
  if (own !== undefined && canonical === undefined) return `its "mac" is no MAC: ${own}`;
  for (const [key, value] of Object.entries({ spoofchk, trust })) {
    if (value !== undefined && value !== "" && value !== "on" && value !== "off")
      return `its "${key}" is neither on nor off`;
  }
  if (linkState !== undefined && linkState !== "" && !isLinkState(linkState)) {
    return 'its "link_state" is none of auto, enable and disable';
  }
  if (!isRate(min) || !isRate(max)) return 'its "min_tx_rate" and "max_tx_rate" are to be numbers from 0';
  return {
    deviceId: deviceID,
    settings: {
      ...(canonical === undefined ? {} : { mac: canonical }),
      ...(vlan === undefined ? {} : { vlan }),
      ...(spoofchk === "on" || spoofchk === "off" ? { spoofCheck: spoofchk === "on" } : {}),
      ...(trust === "on" || trust === "off" ? { trust: trust === "on" } : {}),
      ...(isLinkState(linkState) ? { linkState } : {}),
      ...(min === undefined && max === undefined ? {} : { rate: { min: min ?? 0, max: max ?? 0 } }),
    },
  };
}

function vlanOf({ vlan, vlanQoS = 0, vlanProto = "" }: JsonObject): FunctionSettings["vlan"] | string {
  if (vlan === undefined) return undefined;
  const isWhole = (value: unknown, most: number): value is number =>
    typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most;
  if (!isWhole(vlan, MOST_VLAN)) return `its "vlan" is not a number from 0 to ${MOST_VLAN}`;
  if (!isWhole(vlanQoS, 7)) return 'its "vlanQoS" is not a number from 0 to 7';
  if (typeof vlanProto !== "string" || !/^(?:802\.1(?:q|ad))?$/i.test(vlanProto)) {
    return 'its "vlanProto" is neither 802.1q nor 802.1ad';
  }
  return { id: vlan, qos: vlanQoS, proto: /ad$/i.test(vlanProto) ? "802.1ad" : "802.1q" };
}

function isLinkState(value: unknown): value is NonNullable<FunctionSettings["linkState"]> {
  return value === "auto" || value === "enable" || value === "disable";
}

function isRate(value: unknown): value is number | undefined {
  return value === undefined || (typeof value === "number" && Number.isSafeInteger(value) && value >= 0);
}

/** Of what was there before, that which `settings` changes: what puts it back. */
export function earlierOf(settings: FunctionSettings, before: FunctionSettings): FunctionSettings {
  const changed = Object.keys(settings);
  return Object.fromEntries(Object.entries(before).filter(([key]) => changed.includes(key)));
}

/** Reads settings that were kept as JSON; undefined where they are none. */
export function parseFunctionSettings(value: unknown): FunctionSettings | undefined {
  if (!isJsonObject(value)) return undefined;
  const { mac, vlan, spoofCheck, trust, linkState, rate } = value;
  const id = isJsonObject(vlan)
    ? vlanOf({ vlan: vlan["id"], vlanQoS: vlan["qos"], vlanProto: vlan["proto"] })
    : undefined;
  const [min, max] = isJsonObject(rate) ? [rate["min"], rate["max"]] : [];
  if (typeof id === "string" || !isRate(min) || !isRate(max)) return undefined;
  return {
    ...(typeof mac === "string" && canonicalMac(mac) !== undefined ? { mac } : {}),
    ...(id === undefined ? {} : { vlan: id }),
    ...(typeof spoofCheck === "boolean" ? { spoofCheck } : {}),
    ...(typeof trust === "boolean" ? { trust } : {}),
    ...(isLinkState(linkState) ? { linkState } : {}),
    ...(min === undefined || max === undefined ? {} : { rate: { min, max } }),
  };
}
