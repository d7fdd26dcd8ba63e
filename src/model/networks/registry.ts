import type { Network } from "../api/networks.ts";
import type { Need } from "../explain/claim.ts";
import { genie } from "./genie.ts";
import { multus } from "./multus.ts";
import type { Connected, NetworkKind, NicNetwork } from "./network.ts";
import { pod } from "./pod.ts";
import { resourceClaim } from "./resource-claim.ts";

/** Every kind of network, in the order in which their rules are told. */
export const networkKinds: readonly NetworkKind[] = [pod, multus, genie, resourceClaim];

/** Where a network of a manifest is found in the pod; undefined where it does not say what it is. */
export function connected(network: Network, networks: readonly Network[]): Connected | undefined {
  for (const kind of networkKinds) {
    const found = kind.connect(network, networks);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What the cluster must have for a network. */
export function networkNeeds(network: NicNetwork, namespace: string): readonly Need[] {
  return networkKinds.flatMap((kind) => kind.needs(network, namespace));
}
