import { readFileSync } from "node:fs";
import { Fault } from "../../model/fault.ts";
import type { CniNetwork, CniPlugin } from "../../model/networks/cni-config.ts";
import { flannelDelegate, flannelSubnetFile, parseFlannelSubnet } from "../../model/networks/flannel.ts";
import { hasPlugin } from "./plugins.ts";

const FLANNEL = "flannel";

/**
 * The network with what flannel would delegate to in flannel's place, where no folder has flannel's binary.
 *
 * @throws Fault PB3032 where flanneld's file cannot be used.
 */
export function withFlannel(network: CniNetwork, binDirs: readonly string[]): CniNetwork {
  if (!network.plugins.some(({ type }) => type === FLANNEL) || hasPlugin(FLANNEL, binDirs)) return network;
  return {
    ...network,
    plugins: network.plugins.map((plugin) => (plugin.type === FLANNEL ? delegated(plugin) : plugin)),
  };
}

function delegated(plugin: CniPlugin): CniPlugin {
  const file = flannelSubnetFile(plugin);
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw unknown(file, code === "ENOENT" ? "it is not there" : code, cause);
  }
  const subnet = parseFlannelSubnet(text);
  if (typeof subnet === "string") throw unknown(file, subnet);
  return flannelDelegate(plugin, subnet);
}

function unknown(file: string, why: string, cause?: unknown): Fault {
  return new Fault("PB3032", `flannel's subnet of this node cannot be read from ${file}: ${why}.`, {
    place: file,
    cure: "Start flanneld, which writes it, or name the right file as subnetFile in flannel's CNI configuration.",
    cause,
  });
}
