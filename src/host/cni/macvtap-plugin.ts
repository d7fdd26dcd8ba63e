import { canonicalMac } from "../../model/addresses/mac.ts";
import { Fault } from "../../model/fault.ts";
import { isJsonObject, type JsonObject, textAt } from "../../model/json.ts";
import { parseCniResult, renderCniResult } from "../../model/networks/cni-result.ts";
import { MACVTAP_MODES, type MacvtapMode } from "../../model/pods/macvtap-devices.ts";
import type { LinkFacts } from "../../model/wiring/facts.ts";
import { isNetns, OWN_NETNS } from "../linux/netns.ts";
import { readLinks } from "../linux/pod-facts.ts";
import type { PluginCall } from "./exec.ts";
import { ip } from "./iproute.ts";

type Call = Omit<PluginCall, "binary">;

const VERSION = "1.0.0";

interface MacvtapSettings {
  readonly lowerDevice: string;
  readonly mode: MacvtapMode;
  readonly mtu?: number;
  readonly promiscMode: boolean;
}

/**
 * The CNI plugin `macvtap`: a macvtap on a link of the node, made in the pod's namespace and nowhere else. The device
 * that the pod claimed says on which link, and in which mode.
 *
 * @throws Fault PB3004 (configuration, no device), PB3027 (no such link on the node), PB3012 (MTU), PB3000 (the kernel).
 */
export async function macvtapPlugin(call: Call): Promise<JsonObject | undefined> {
  if (call.command === "DEL") return del(call);
  const settings = settingsOf(call);
  if (call.command === "CHECK") return check(call, settings);
  return add(call, settings);
}

async function add(call: Call, { lowerDevice, mode, mtu, promiscMode }: MacvtapSettings): Promise<JsonObject> {
  const { netns, ifName, hostNetns } = call;
  if (netns === undefined) throw new TypeError("ADD has a namespace");
  const lower = lowerLink(call, lowerDevice, mtu);
  const mac = askedMac(call);
  const words = await ip(
    hostNetns,
    ["-batch", "-"],
    `link add name ${ifName} link ${lowerDevice}${mac === undefined ? "" : ` address ${mac}`} mtu ${mtu ?? lower.mtu} netns ${netns} type macvtap mode ${mode}\n`,
  );
  if (words !== undefined) throw refused(call, lower, words);
  const up = await ip(netns, ["link", "set", "dev", ifName, "up", "promisc", promiscMode ? "on" : "off"]);
  if (up !== undefined) throw refused(call, lower, up);
  const made = podLink(call);
  const { mac: own = "" } = made ?? {};
  return renderCniResult(
    {
      cniVersion: VERSION,
      interfaces: [{ name: ifName, mac: own, sandbox: netns }],
      ips: [],
      routes: [],
      dns: { nameservers: [], search: [], options: [] },
    },
    VERSION,
  );
}

/** The link is in the pod alone: where the namespace is gone, so is it. */
async function del(call: Call): Promise<undefined> {
  if (podLink(call)?.kind !== "macvtap") return undefined;
  const words = await ip(call.netns, ["link", "delete", "dev", call.ifName]);
  if (words !== undefined && !/Cannot find device/.test(words)) {
    throw new Fault("PB3000", `The CNI plugin "macvtap" cannot delete the pod's link ${call.ifName}: ${words}.`, {
      place: call.ifName,
      cure: "It is tried again.",
    });
  }
  return undefined;
}

async function check(call: Call, settings: MacvtapSettings): Promise<undefined> {
  const link = podLink(call);
  const reading = parseCniResult(call.config["prevResult"], VERSION);
  const mac = "result" in reading ? reading.result.interfaces.find(({ name }) => name === call.ifName)?.mac : undefined;
  const asked = settings.mtu;
  const problem =
    link === undefined
      ? `misses the pod's link ${call.ifName}`
      : link.kind !== "macvtap"
        ? `finds the pod's link ${call.ifName} to be no macvtap`
        : mac !== undefined && link.mac !== mac
          ? `finds the MAC ${link.mac} on the pod's link ${call.ifName}, which had ${mac}`
          : asked !== undefined && link.mtu !== asked
            ? `finds the MTU ${link.mtu} on the pod's link ${call.ifName}, which was to have ${asked}`
            : undefined;
  if (problem !== undefined) {
    throw new Fault("PB3000", `The CNI plugin "macvtap" (CHECK of the network "${call.network}") ${problem}.`);
  }
  return undefined;
}

/** The pod's link of the attachment; undefined where it, or the namespace, is not there. */
function podLink({ netns, ifName }: Call): LinkFacts | undefined {
  if (netns === undefined || !isNetns(netns)) return undefined;
  return readLinks(netns).links.find(({ name }) => name === ifName);
}

function lowerLink(call: Call, lowerDevice: string, mtu: number | undefined): LinkFacts {
  const { links } = readLinks(call.hostNetns ?? OWN_NETNS);
  const lower = links.find(({ name }) => name === lowerDevice);
  const data = { plugin: call.type, lowerDevice };
  if (lower === undefined) {
    throw new Fault(
      "PB3027",
      `The node has no link "${lowerDevice}" for the macvtaps of the network "${call.network}".`,
      {
        place: lowerDevice,
        cure: `Make ${lowerDevice}, or name another lowerDevice in DP_MACVTAP_CONF of the ConfigMap macvtap-deviceplugin-config.`,
        data,
      },
    );
  }
  if (!lower.up) throw refused(call, lower, "Network is down");
  if (mtu !== undefined && mtu > lower.mtu) {
    throw new Fault(
      "PB3012",
      `The network "${call.network}" asks for an MTU of ${mtu}, and the link ${lowerDevice} below it has ${lower.mtu}.`,
      { cure: `Write "mtu": ${lower.mtu} or less, or raise that of ${lowerDevice}.`, data },
    );
  }
  return lower;
}

function refused(call: Call, lower: LinkFacts, words: string): Fault {
  const mac = askedMac(call);
  const [what, cure] = /Network is down/.test(words)
    ? [`the link ${lower.name} below is down`, `Bring it up: ip link set ${lower.name} up.`]
    : /Device or resource busy/.test(words)
      ? [
          `the link ${lower.name} is a port of a bridge or has other takers (${words})`,
          `Take ${lower.name} out of its bridge, or name another lowerDevice.`,
        ]
      : mac !== undefined && /Address already in use/.test(words)
        ? [
            `its MAC ${mac} is that of ${lower.mac === mac ? lower.name : "another link on it"} (${words})`,
            "Give the interface a macAddress that nothing else there has, or leave it out.",
          ]
        : mac !== undefined && /Cannot assign requested address/.test(words)
          ? [`its MAC ${mac} is none that a link can have (${words})`, "Give the interface a unicast macAddress."]
          : /\bmtu\b/i.test(words)
            ? [words, "Write another mtu into the configuration, or leave it out."]
            : [words, "See whether that link can carry a macvtap: a loopback, a bridge's port or a macvlan cannot."];
  return new Fault(
    "PB3000",
    `The CNI plugin "macvtap" cannot put a link of the network "${call.network}" on ${lower.name}: ${what}.`,
    { place: lower.name, cure, data: { plugin: call.type, lowerDevice: lower.name } },
  );
}

function settingsOf({ config, network }: Call): MacvtapSettings {
  const { lowerDevice, mode = "bridge", mtu, promiscMode = false } = config;
  const refuse = (problem: string, cure: string): Fault =>
    new Fault("PB3004", `The configuration of the network "${network}" for the CNI plugin "macvtap" ${problem}.`, {
      cure,
      data: { config },
    });
  if (typeof lowerDevice !== "string" || !/^[^\s/:\0]{1,15}$/.test(lowerDevice)) {
    throw refuse(
      "has no device of the node",
      "Annotate the NetworkAttachmentDefinition with k8s.v1.cni.cncf.io/resourceName: macvtap.network.kubevirt.io/NAME.",
    );
  }
  const known = MACVTAP_MODES.find((one) => one === mode);
  if (known === undefined) throw refuse(`has the mode ${JSON.stringify(mode)}`, `Write ${MACVTAP_MODES.join(", ")}.`);
  if (mtu !== undefined && (typeof mtu !== "number" || !Number.isInteger(mtu) || mtu < 0)) {
    throw refuse(`has the mtu ${JSON.stringify(mtu)}`, "Write a whole number, or leave it out.");
  }
  if (typeof promiscMode !== "boolean") {
    throw refuse(`has the promiscMode ${JSON.stringify(promiscMode)}`, "Write true or false.");
  }
  return { lowerDevice, mode: known, ...(mtu === undefined || mtu === 0 ? {} : { mtu }), promiscMode };
}

/** The MAC that the pod's link is to have: by capability, or by CNI_ARGS. */
function askedMac({ config, args }: Call): string | undefined {
  const { runtimeConfig } = config;
  const asked = isJsonObject(runtimeConfig) ? textAt(runtimeConfig, "mac") : undefined;
  const given = asked ?? args.find(([key]) => key === "MAC")?.[1];
  return given === undefined ? undefined : canonicalMac(given);
}
