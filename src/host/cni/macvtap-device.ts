import { Fault } from "../../model/fault.ts";
import { textAt } from "../../model/json.ts";
import type { NodeDevice } from "../../model/pods/device-resources.ts";
import { linkAlias } from "../linux/macvtap.ts";
import { ip } from "./iproute.ts";
import { hasPlugin } from "./plugins.ts";

/** IFNAMSIZ without its end. */
const LONGEST_LINK = 15;

/** Of a host's link that waits for its pod. */
const alias = (podUid: string): string => `patchbay ${podUid}`;

/**
 * Makes the macvtap that macvtap-cni's plugin takes into the pod, by the device's name: its device plugin does so at an
 * allocation. Nothing to do where no folder has that plugin, as the built-in one makes its link in the pod.
 *
 * @throws Fault PB3025
 */
export async function makeMacvtapDevice(
  { id, config = {} }: NodeDevice,
  podUid: string,
  binDirs: readonly string[],
): Promise<void> {
  if (!hasPlugin("macvtap", binDirs)) return;
  const [lower, mode] = [textAt(config, "lowerDevice") ?? "", textAt(config, "mode") ?? "bridge"];
  await removeMacvtapDevice({ id }, podUid);
  const words = await ip(
    undefined,
    ["-batch", "-"],
    `link add name ${id} link ${lower} type macvtap mode ${mode}\nlink set dev ${id} alias "${alias(podUid)}"\nlink set dev ${id} up\n`,
  );
  if (words === undefined) return;
  await removeMacvtapDevice({ id }, podUid);
  throw new Fault("PB3025", `The macvtap "${id}" on ${lower} cannot be made: ${words}.`, {
    place: id,
    cure:
      id.length > LONGEST_LINK
        ? `macvtap-cni's plugin takes a link of that name, and a link's has ${LONGEST_LINK} characters: shorten the name in DP_MACVTAP_CONF by ${id.length - LONGEST_LINK}.`
        : `See that ${lower} is there and up, and that no other link is called ${id}.`,
  });
}

/** Deletes what {@link makeMacvtapDevice} made and no plugin took. */
export async function removeMacvtapDevice({ id }: Pick<NodeDevice, "id">, podUid: string): Promise<void> {
  if (linkAlias(id) !== alias(podUid)) return;
  const words = await ip(undefined, ["link", "delete", "dev", id]);
  if (words === undefined || /Cannot find device/.test(words)) return;
  throw new Fault("PB3025", `The macvtap "${id}" cannot be removed: ${words}.`, {
    place: id,
    cure: `Remove it: ip link delete ${id}.`,
  });
}
