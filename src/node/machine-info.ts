import { readFileSync } from "node:fs";
import { release } from "node:os";
import { OWN_NETNS } from "../host/linux/netns.ts";
import { readLinks } from "../host/linux/pod-facts.ts";
import type { AddressFacts, LinkFacts, RouteFacts } from "../model/wiring/facts.ts";

/** Addresses of a Node's status. */
export type NodeAddress = { readonly type: "InternalIP" | "Hostname"; readonly address: string };

/** How this machine is reached: by the addresses of the links that its default routes use, and by its name. */
export function machineAddresses(nodeName: string): readonly NodeAddress[] {
  const { links, routes } = readLinks(OWN_NETNS);
  const own = ([4, 6] as const).flatMap((family) => ownAddress(family, links, routes) ?? []);
  return [
    ...own.map((address): NodeAddress => ({ type: "InternalIP", address })),
    { type: "Hostname", address: nodeName },
  ];
}

function ownAddress(family: 4 | 6, links: readonly LinkFacts[], routes: readonly RouteFacts[]): string | undefined {
  const [route] = routes
    .filter((each) => each.family === family && each.destination === (family === 4 ? "0.0.0.0/0" : "::/0"))
    .toSorted((one, other) => (one.metric ?? 0) - (other.metric ?? 0));
  if (route === undefined) return undefined;
  const addresses = links.find(({ name }) => name === route.device)?.addresses ?? [];
  const fits = ({ cidr, scope }: AddressFacts) => scope === "global" && cidr.includes(":") === (family === 6);
  return route.source ?? addresses.find(fits)?.cidr.replace(/\/.*$/, "");
}

/** `nodeInfo` of a Node's status. `version` is Patchbay's own, `qemu` QEMU's. */
export function machineInfo({ version, qemu, accel }: { version: string; qemu: string; accel: string }) {
  return {
    kubeletVersion: version,
    kernelVersion: release(),
    osImage: osImage(),
    containerRuntimeVersion: `qemu://${qemu}`,
    architecture: "amd64",
    operatingSystem: "linux",
    accelerator: accel,
  };
}

/** The system's name for people (os-release(5), PRETTY_NAME; `Linux` where there is none). */
function osImage(): string {
  for (const file of ["/etc/os-release", "/usr/lib/os-release"]) {
    try {
      const found = /^PRETTY_NAME=(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S*))$/m.exec(readFileSync(file, "utf8"));
      const name = found?.[1]?.replaceAll(/\\(.)/g, "$1") ?? found?.[2] ?? found?.[3] ?? "";
      if (name !== "") return name;
    } catch {
      // The other file counts where this one is not.
    }
  }
  return "Linux";
}
