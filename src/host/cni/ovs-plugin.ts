import { createHash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { canonicalMac } from "../../model/addresses/mac.ts";
import { Fault } from "../../model/fault.ts";
import { isJsonObject, type JsonObject } from "../../model/json.ts";
import { type CniResult, renderCniResult } from "../../model/networks/cni-result.ts";
import {
  addPort,
  findInterface,
  findPort,
  interfaceState,
  type OvsSettings,
  portIds,
  readOvsSettings,
  removePorts,
} from "../../model/networks/ovs.ts";
import { isNetns, OWN_NETNS } from "../linux/netns.ts";
import { readLinks } from "../linux/pod-facts.ts";
import { delegatedIpam } from "./delegated-ipam.ts";
import { PLUGIN_TIME_LIMIT_MS, type PluginCall } from "./exec.ts";
import { ip } from "./iproute.ts";
import { transact } from "./ovsdb.ts";

type Call = Omit<PluginCall, "binary">;

const VERSION = "1.0.0";
const LOOK_AGAIN_MS = 10;

/**
 * The CNI plugin `ovs`: a veth whose far end is a port of an Open vSwitch bridge, with its VLAN, and an address where the
 * configuration has an ipam. `DEL` finds what `ADD` made by its name, and needs nothing else.
 *
 * @throws Fault PB3004 (configuration), PB3027 (no such bridge), PB3033 (Open vSwitch), PB3000 (links), and those of the
 * ipam plugin.
 */
export async function ovsPlugin(call: Call): Promise<JsonObject | undefined> {
  const settings = settingsOf(call);
  if (call.command === "DEL") return del(call, settings);
  if (call.command === "CHECK") return check(call, settings);
  return add(call, settings);
}

/** The veth's end on the host; the same for each call of an attachment. */
function hostLink({ containerId, ifName }: Call): string {
  return `ovs${createHash("sha256").update(`${containerId}\n${ifName}`).digest("hex").slice(0, 12)}`;
}

async function add(call: Call, settings: OvsSettings): Promise<JsonObject> {
  const { netns, ifName, hostNetns } = call;
  if (netns === undefined) throw new TypeError("ADD has a namespace");
  const link = hostLink(call);
  const mac = askedMac(call);
  const mtu = settings.mtu === undefined ? "" : ` mtu ${settings.mtu}`;
  const address = mac === undefined ? "" : ` address ${mac}`;
  linked(
    call,
    await ip(
      hostNetns,
      ["-batch", "-"],
      `link add ${link}${mtu} type veth peer name ${ifName}${address}${mtu} netns ${netns}\nlink set ${link} up\n`,
    ),
  );
  await plug(call, settings, link);
  const addresses = await delegatedIpam(call, "ADD", VERSION);
  linked(call, await ip(netns, ["-batch", "-"], configuring(ifName, addresses)));
  const macOf = (where: string, name: string): string =>
    readLinks(where).links.find((candidate) => candidate.name === name)?.mac ?? "";
  return renderCniResult(
    {
      cniVersion: VERSION,
      interfaces: [
        { name: link, mac: macOf(hostNetns ?? OWN_NETNS, link) },
        { name: ifName, mac: macOf(netns, ifName), sandbox: netns },
      ],
      ips: (addresses?.ips ?? []).map((one) => ({ ...one, interface: 1 })),
      routes: addresses?.routes ?? [],
      dns: addresses?.dns ?? { nameservers: [], search: [], options: [] },
    },
    VERSION,
  );
}

/** `ip` commands that bring the pod's link up, with its addresses and routes. */
function configuring(ifName: string, result: CniResult | undefined): string {
  const family = (address: string): string => (address.includes(":") ? "-6 " : "");
  const gatewayOf = (destination: string): string | undefined =>
    result?.ips.find(({ address }) => address.includes(":") === destination.includes(":"))?.gateway;
  return [
    `link set ${ifName} up`,
    ...(result?.ips ?? []).map(
      ({ address }) => `address add ${address} dev ${ifName}${address.includes(":") ? " nodad" : ""}`,
    ),
    ...(result?.routes ?? []).map(({ destination, gateway = gatewayOf(destination) }) => {
      return `${family(destination)}route add ${destination}${gateway === undefined ? "" : ` via ${gateway}`} dev ${ifName}`;
    }),
    "",
  ].join("\n");
}

/** Makes the link a port, and waits until the switch has it. */
async function plug(call: Call, settings: OvsSettings, link: string): Promise<void> {
  const externalIds = {
    owner: "patchbay",
    contNetns: call.netns ?? "",
    contIface: call.ifName,
    containerId: call.containerId,
  };
  try {
    await transacted(call, settings, addPort(settings, link, externalIds));
  } catch (thrown) {
    if (!(thrown instanceof Fault) || thrown.data["error"] !== "timed out") throw thrown;
    throw new Fault(
      "PB3027",
      `Open vSwitch has no bridge "${settings.bridge}", which the network "${call.network}" names.`,
      {
        place: settings.bridge,
        cure: `ovs-vsctl add-br ${settings.bridge}, or name another bridge in the CNI configuration.`,
        data: { plugin: call.type },
      },
    );
  }
  const end = performance.now() + (call.timeLimitMs ?? PLUGIN_TIME_LIMIT_MS);
  for (;;) {
    const [answer] = await transacted(call, settings, [findInterface(link)]);
    const state = interfaceState(answer);
    if (state === "plugged") return;
    if (state !== undefined || performance.now() > end) {
      const why = state === undefined ? "ovs-vswitchd has not taken it; does it run?" : state.error;
      throw new Fault(
        "PB3033",
        `Open vSwitch does not take the port ${link} of the bridge "${settings.bridge}": ${why}`,
        {
          place: settings.bridge,
          cure: "Look at the log of ovs-vswitchd.",
        },
      );
    }
    await pause(LOOK_AGAIN_MS, undefined, call.signal === undefined ? {} : { signal: call.signal });
  }
}

/** The link first: it goes whether Open vSwitch answers or not. */
async function del(call: Call, settings: OvsSettings): Promise<undefined> {
  await delegatedIpam(call, "DEL", VERSION);
  const link = hostLink(call);
  const left = await ip(call.hostNetns, ["link", "delete", "dev", link]);
  if (left !== undefined && !/Cannot find device/.test(left)) linked(call, left);
  const [answer] = await transacted(call, settings, [findPort(link)]);
  const ids = portIds(answer);
  if (ids.length > 0) await transacted(call, settings, removePorts(ids));
  return undefined;
}

async function check(call: Call, settings: OvsSettings): Promise<undefined> {
  const link = hostLink(call);
  const [answer] = await transacted(call, settings, [findPort(link)]);
  const inPod = call.netns !== undefined && isNetns(call.netns) ? readLinks(call.netns).links : [];
  const missing =
    portIds(answer).length === 0
      ? `the port ${link}`
      : inPod.some(({ name }) => name === call.ifName)
        ? undefined
        : `the pod's link ${call.ifName}`;
  if (missing !== undefined) {
    throw new Fault("PB3000", `The CNI plugin "ovs" (CHECK of the network "${call.network}") misses ${missing}.`);
  }
  await delegatedIpam(call, "CHECK", VERSION);
  return undefined;
}

function settingsOf({ config, network }: Call): OvsSettings {
  const settings = readOvsSettings(config);
  if (typeof settings !== "string") return settings;
  throw new Fault(
    "PB3004",
    `The configuration of the network "${network}" for the CNI plugin "ovs" cannot be used: ${settings}.`,
    {
      cure: 'It takes "bridge", "vlan", "trunk", "mtu", "socket_file" and "ipam".',
      data: { config },
    },
  );
}

/** The MAC that the pod's link is to have: by capability, or by CNI_ARGS. */
function askedMac({ config, args }: Call): string | undefined {
  const { runtimeConfig } = config;
  const asked = isJsonObject(runtimeConfig) ? runtimeConfig["mac"] : undefined;
  const given = typeof asked === "string" ? asked : args.find(([key]) => key === "MAC")?.[1];
  return given === undefined ? undefined : canonicalMac(given);
}

function transacted(
  { signal, timeLimitMs = PLUGIN_TIME_LIMIT_MS }: Call,
  { socket }: OvsSettings,
  operations: Parameters<typeof transact>[1],
): ReturnType<typeof transact> {
  return transact(socket, operations, { timeLimitMs, signal });
}

function linked({ network }: Call, words: string | undefined): void {
  if (words === undefined) return;
  throw new Fault(
    "PB3000",
    `The CNI plugin "ovs" of the network "${network}" cannot make or remove its link: ${words}.`,
    {
      cure: "See whether something else uses that name, and that iproute2 is installed.",
    },
  );
}
