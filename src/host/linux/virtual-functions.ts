import { formatMac, parseMac } from "../../model/addresses/mac.ts";
import { Fault } from "../../model/fault.ts";
import { type FunctionSettings, SETTING_NAMES } from "../../model/sriov/function-settings.ts";
import { type Attribute, byType, decodeAttributes, encodePayload, nested, u32 } from "./netlink.ts";
import { batch, dump, type NetlinkRequest, withRouteSocket } from "./netlink-socket.ts";
import { linkIndex } from "./rtnetlink.ts";

const RTM_GETLINK = 18;
const RTM_SETLINK = 19;
const IFLA_VFINFO_LIST = 22;
const IFLA_EXT_MASK = 29;
const IFLA_VF_INFO = 1;
const IFLA_VF = { mac: 1, vlan: 2, spoofCheck: 4, linkState: 5, rate: 6, trust: 9, vlanList: 12 };
const IFLA_VF_VLAN_INFO = 1;
const RTEXT_FILTER_VF = 1;
const RTEXT_FILTER_SKIP_STATS = 8;
const LINK_STATES = ["auto", "enable", "disable"] as const;
const ETHER_TYPE = { "802.1q": 0x8100, "802.1ad": 0x88a8 };
/** `u8 mac[32]` behind the function's number. */
const MAC_LENGTH = 36;
const VLAN_INFO_LENGTH = 16;
const UNKNOWN = 0xffff_ffff;

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** How the card's link (of the current namespace) has set a virtual function; undefined where it has none of that index. */
export function readFunction(link: string, index: number): FunctionSettings | undefined {
  const head = encodePayload(new Uint8Array(16), [u32(IFLA_EXT_MASK, RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS)]);
  const own = linkIndex(link);
  const messages = withRouteSocket((fd) => dump(fd, RTM_GETLINK, head, "the virtual functions"));
  const found = messages.find(({ payload }) => payload.length >= 16 && view(payload).getInt32(4, true) === own);
  const list = found === undefined ? undefined : byType(decodeAttributes(found.payload, 16)).get(IFLA_VFINFO_LIST);
  for (const { value } of decodeAttributes(list ?? new Uint8Array(0))) {
    const settings = settingsOf(value, index);
    if (settings !== undefined) return settings;
  }
  return undefined;
}

function settingsOf(info: Uint8Array, index: number): FunctionSettings | undefined {
  const attributes = byType(decodeAttributes(info));
  const mac = attributes.get(IFLA_VF.mac);
  if (mac === undefined || mac.length < MAC_LENGTH || view(mac).getUint32(0, true) !== index) return undefined;
  const setting = (type: number): number | undefined => {
    const value = attributes.get(type);
    const word = value === undefined || value.length < 8 ? UNKNOWN : view(value).getUint32(4, true);
    return word === UNKNOWN ? undefined : word;
  };
  const [spoofCheck, trust, state] = [setting(IFLA_VF.spoofCheck), setting(IFLA_VF.trust), setting(IFLA_VF.linkState)];
  const linkState = state === undefined ? undefined : LINK_STATES[state];
  const rate = attributes.get(IFLA_VF.rate);
  const vlan = attributes.get(IFLA_VF.vlan);
  return {
    mac: formatMac(mac.subarray(4, 10)),
    ...(vlan === undefined || vlan.length < 12 ? {} : { vlan: vlanOf(vlan, attributes.get(IFLA_VF.vlanList)) }),
    ...(spoofCheck === undefined ? {} : { spoofCheck: spoofCheck !== 0 }),
    ...(trust === undefined ? {} : { trust: trust !== 0 }),
    ...(linkState === undefined ? {} : { linkState }),
    ...(rate === undefined || rate.length < 12
      ? {}
      : { rate: { min: view(rate).getUint32(4, true), max: view(rate).getUint32(8, true) } }),
  };
}

function vlanOf(vlan: Uint8Array, list: Uint8Array | undefined): NonNullable<FunctionSettings["vlan"]> {
  const [first] = decodeAttributes(list ?? new Uint8Array(0));
  const proto = first === undefined || first.value.length < 14 ? 0 : view(first.value).getUint16(12, false);
  return {
    id: view(vlan).getUint32(4, true),
    qos: view(vlan).getUint32(8, true),
    proto: proto === ETHER_TYPE["802.1ad"] ? "802.1ad" : "802.1q",
  };
}

/**
 * Sets a virtual function of the card's link (of the current namespace), one thing after another.
 *
 * @throws Fault PB4210 that names what the card refuses; what came before it is set.
 */
export function setFunction(link: string, index: number, settings: FunctionSettings): void {
  const requests = requestsFor(link, index, settings);
  withRouteSocket((fd) => {
    for (const { what, request } of requests) {
      const [verdict] = batch(fd, [request]);
      if (verdict?.ok === false) throw refused(link, index, what, verdict.errno, verdict.sentence);
    }
  });
}

interface SettingRequest {
  readonly what: keyof FunctionSettings;
  readonly request: NetlinkRequest;
}

function requestsFor(link: string, index: number, settings: FunctionSettings): readonly SettingRequest[] {
  const { mac, vlan, spoofCheck, trust, linkState, rate } = settings;
  const card = linkIndex(link);
  const one = (what: keyof FunctionSettings, attribute: Attribute): SettingRequest => ({
    what,
    request: {
      type: RTM_SETLINK,
      flags: 0,
      payload: encodePayload(linkHead(card), [nested(IFLA_VFINFO_LIST, [nested(IFLA_VF_INFO, [attribute])])]),
      about: `${SETTING_NAMES[what]} of virtual function ${index} of ${link}`,
    },
  });
  const words = (type: number, ...values: readonly number[]): Attribute => {
    const value = new Uint8Array(4 + 4 * values.length);
    for (const [position, word] of [index, ...values].entries()) view(value).setUint32(4 * position, word, true);
    return { type, value };
  };
  return [
    ...(mac === undefined ? [] : [one("mac", { type: IFLA_VF.mac, value: macValue(index, mac) })]),
    ...(vlan === undefined ? [] : [one("vlan", vlanAttribute(index, vlan))]),
    ...(spoofCheck === undefined ? [] : [one("spoofCheck", words(IFLA_VF.spoofCheck, spoofCheck ? 1 : 0))]),
    ...(trust === undefined ? [] : [one("trust", words(IFLA_VF.trust, trust ? 1 : 0))]),
    ...(linkState === undefined ? [] : [one("linkState", words(IFLA_VF.linkState, LINK_STATES.indexOf(linkState)))]),
    ...(rate === undefined ? [] : [one("rate", words(IFLA_VF.rate, rate.min, rate.max))]),
  ];
}

/** `struct ifinfomsg` with nothing but the index. */
function linkHead(index: number): Uint8Array {
  const head = new Uint8Array(16);
  view(head).setInt32(4, index, true);
  return head;
}

function macValue(index: number, mac: string): Uint8Array {
  const value = new Uint8Array(MAC_LENGTH);
  view(value).setUint32(0, index, true);
  value.set(parseMac(mac) ?? new Uint8Array(6), 4);
  return value;
}

/** Not every driver takes a list of VLANs with their tags: where the usual tag is meant, the older way does. */
function vlanAttribute(index: number, { id, qos, proto }: NonNullable<FunctionSettings["vlan"]>): Attribute {
  const value = new Uint8Array(proto === "802.1q" ? 12 : VLAN_INFO_LENGTH);
  const data = view(value);
  data.setUint32(0, index, true);
  data.setUint32(4, id, true);
  data.setUint32(8, qos, true);
  if (proto === "802.1q") return { type: IFLA_VF.vlan, value };
  data.setUint16(12, ETHER_TYPE[proto], false);
  return nested(IFLA_VF.vlanList, [{ type: IFLA_VF_VLAN_INFO, value }]);
}

function refused(link: string, index: number, what: keyof FunctionSettings, errno: string, sentence: string): Fault {
  const name = SETTING_NAMES[what];
  return new Fault(
    "PB4210",
    `The card ${link} refuses the ${name} of its virtual function ${index}: ${sentence} (${errno}).`,
    {
      place: link,
      cure: `Leave ${name} out of the network, or use a card and driver that know it; dmesg may say more.`,
      data: { link, index, setting: what, errno },
    },
  );
}
