import { parseCidr } from "../../model/addresses/cidr.ts";
import { parseMac } from "../../model/addresses/mac.ts";
import { Fault } from "../../model/fault.ts";
import { type Attribute, encodePayload, nested, text, u32 } from "./netlink.ts";
import type { NetlinkRequest } from "./netlink-socket.ts";
import { RTA } from "./rtnetlink.ts";

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const NLM_F_EXCL = 0x200;
const NLM_F_CREATE = 0x400;
const IFF_UP = 1;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_MASTER = 10;
const IFLA_PROTINFO = 12;
const IFLA_LINKINFO = 18;
const IFLA_INFO_KIND = 1;
const IFLA_BRPORT_LEARNING = 8;
const RTM_SETLINK = 19;
const AF_BRIDGE = 7;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_F_NODAD = 2;
const AF_INET = 2;
const AF_INET6 = 10;

/** `struct ifinfomsg`; index 0 leaves the choice of the link to IFLA_IFNAME. */
function linkHead(index: number, flags: number, change: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const data = new DataView(bytes.buffer);
  data.setInt32(4, index, true);
  data.setUint32(8, flags, true);
  data.setUint32(12, change, true);
  return bytes;
}

/** A link of a kind that the kernel makes by itself, such as `bridge` or `dummy`; it is down. */
export function addLink(name: string, kind: string, mac: string, mtu: number): NetlinkRequest {
  return {
    type: RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    payload: encodePayload(linkHead(0, 0, 0), [
      linkName(name),
      linkMac(name, mac),
      linkMtu(name, mtu),
      nested(IFLA_LINKINFO, [text(IFLA_INFO_KIND, kind)]),
    ]),
    about: `${kind} ${name}`,
  };
}

/** Whether the bridge learns addresses from its port with this index. */
export function setLearning(index: number, on: boolean, name: string): NetlinkRequest {
  const head = linkHead(index, 0, 0);
  head[0] = AF_BRIDGE;
  return {
    type: RTM_SETLINK,
    flags: 0,
    payload: encodePayload(head, [
      nested(IFLA_PROTINFO, [{ type: IFLA_BRPORT_LEARNING, value: Uint8Array.of(on ? 1 : 0) }]),
    ]),
    about: `learning ${on ? "on" : "off"} for port ${name}`,
  };
}

/**
 * Sets what is given of the link called `name`: MAC, MTU, up or down, bridge, in this order.
 *
 * Not atomic: where the kernel refuses one of them, those before it are set.
 *
 * @param change `master` is the index of the bridge, 0 for none
 */
export function setLink(
  name: string,
  change: { readonly mac?: string; readonly mtu?: number; readonly up?: boolean; readonly master?: number },
): NetlinkRequest {
  const attributes: Attribute[] = [linkName(name)];
  if (change.mac !== undefined) attributes.push(linkMac(name, change.mac));
  if (change.mtu !== undefined) attributes.push(linkMtu(name, change.mtu));
  if (change.master !== undefined) attributes.push(u32(IFLA_MASTER, change.master));
  const head = linkHead(0, change.up === true ? IFF_UP : 0, change.up === undefined ? 0 : IFF_UP);
  const what = [
    ...(change.mac === undefined ? [] : [`MAC ${change.mac}`]),
    ...(change.mtu === undefined ? [] : [`MTU ${change.mtu}`]),
    ...(change.master === undefined ? [] : [change.master === 0 ? "no bridge" : `bridge ${change.master}`]),
    ...(change.up === undefined ? [] : [change.up ? "up" : "down"]),
  ];
  return {
    type: RTM_NEWLINK,
    flags: 0,
    payload: encodePayload(head, attributes),
    about: `${what.join(", ")} for link ${name}`,
  };
}

/** Gives the link with this index another name. */
export function renameLink(index: number, name: string): NetlinkRequest {
  return {
    type: RTM_NEWLINK,
    flags: 0,
    payload: encodePayload(linkHead(index, 0, 0), [linkName(name)]),
    about: `the name ${name} for link ${index}`,
  };
}

/** Deletes the link called `name`. */
export function deleteLink(name: string): NetlinkRequest {
  return {
    type: RTM_DELLINK,
    flags: 0,
    payload: encodePayload(linkHead(0, 0, 0), [linkName(name)]),
    about: `the deletion of link ${name}`,
  };
}

function linkMac(name: string, mac: string): Attribute {
  const value = parseMac(mac);
  if (value === undefined) throw invalid(`the MAC "${mac}" of link ${name}`);
  return { type: IFLA_ADDRESS, value };
}

function linkMtu(name: string, mtu: number): Attribute {
  if (!Number.isInteger(mtu) || mtu < 0 || mtu > 0x7fffffff) throw invalid(`the MTU ${mtu} of link ${name}`);
  return u32(IFLA_MTU, mtu);
}

function linkName(name: string): Attribute {
  // IFNAMSIZ is 16 with the zero at the end.
  const octets = new TextEncoder().encode(name).length;
  if (octets === 0 || octets > 15 || /[\s/:\0]/.test(name)) throw invalid(`the link name "${name}"`);
  return text(IFLA_IFNAME, name);
}

/**
 * Adds an address. The kernel makes the route to its prefix, as for `ip address add`. An IPv6 address is usable at
 * once: no duplicate address detection.
 *
 * @param link the link's index
 */
export function addAddress(link: number, cidr: string, linkName: string): NetlinkRequest {
  return address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, link, cidr, `address ${cidr} on link ${linkName}`);
}

/** Takes an address away again. */
export function deleteAddress(link: number, cidr: string, linkName: string): NetlinkRequest {
  return address(RTM_DELADDR, 0, link, cidr, `the removal of address ${cidr} from link ${linkName}`);
}

function address(type: number, flags: number, link: number, cidr: string, about: string): NetlinkRequest {
  const parsed = parseCidr(cidr);
  if (parsed === undefined) throw invalid(about);
  const head = new Uint8Array(8);
  head[0] = parsed.family === 4 ? AF_INET : AF_INET6;
  head[1] = parsed.prefixLength;
  head[2] = parsed.family === 6 ? IFA_F_NODAD : 0;
  new DataView(head.buffer).setUint32(4, link, true);
  const attributes = [
    { type: IFA_LOCAL, value: parsed.address },
    { type: IFA_ADDRESS, value: parsed.address },
  ];
  return { type, flags, payload: encodePayload(head, attributes), about };
}

/**
 * A route that makes a destination the pod's own also for what comes in by that link. Its metric is high, so that what the
 * pod itself sends there takes the route that was there before.
 */
export function addLocalRoute(link: number, destination: string, name: string): NetlinkRequest {
  return localRouteRequest(
    RTM_NEWROUTE,
    NLM_F_CREATE | NLM_F_EXCL,
    link,
    destination,
    `local route ${destination} on link ${name}`,
  );
}

/** Takes a local route away. */
export function deleteLocalRoute(link: number, destination: string, name: string): NetlinkRequest {
  return localRouteRequest(
    RTM_DELROUTE,
    0,
    link,
    destination,
    `the removal of local route ${destination} on link ${name}`,
  );
}

function localRouteRequest(
  type: number,
  flags: number,
  link: number,
  destination: string,
  about: string,
): NetlinkRequest {
  const parsed = parseCidr(destination);
  if (parsed === undefined) throw invalid(about);
  const [RTPROT_STATIC, RT_SCOPE_HOST, RTN_LOCAL, RT_TABLE_LOCAL, METRIC] = [4, 254, 2, 255, 2048];
  const head = new Uint8Array(12);
  head[0] = parsed.family === 4 ? AF_INET : AF_INET6;
  head[1] = parsed.prefixLength;
  head[5] = RTPROT_STATIC;
  head[6] = parsed.family === 4 ? RT_SCOPE_HOST : 0;
  head[7] = RTN_LOCAL;
  const attributes = [
    u32(RTA.table, RT_TABLE_LOCAL),
    { type: RTA.destination, value: parsed.address },
    u32(RTA.link, link),
    u32(RTA.priority, METRIC),
  ];
  return { type, flags, payload: encodePayload(head, attributes), about };
}

function invalid(what: string): Fault {
  return new Fault("PB4015", `It makes no sense to ask the kernel for ${what}.`, {
    place: what,
    cure: "Correct the value where it comes from: the manifest, or the CNI configuration.",
    data: { about: what, errno: "EINVAL" },
  });
}
