import type { Fault } from "../model/fault.ts";
import type { PodNetworks } from "../model/networks/network-selection.ts";
import type { PodDnsConfig } from "../model/networks/resolver.ts";
import type { NetworkStatus, PodFacts } from "../model/wiring/facts.ts";

/** What a sandbox is asked for: one pod's network, as the Pod object says it. */
export interface SandboxRequest {
  readonly podUid: string;
  readonly namespace: string;
  readonly name: string;
  /** What CNI attaches it to. */
  readonly networks: PodNetworks;
  /** What the manifest calls the networks, by the pod's links. */
  readonly networkNames?: ReadonlyMap<string, string>;
  readonly dnsPolicy?: string | undefined;
  readonly dnsConfig?: PodDnsConfig | undefined;
  /** Addresses that the pod's primary link should have, where the network can give them and they are free. */
  readonly ips?: readonly string[];
}

/** A pod's network namespace, wired by CNI, and what was found in it before anything of ours. */
export interface Sandbox {
  readonly netns: string;
  readonly facts: PodFacts;
  readonly networkStatus: readonly NetworkStatus[];
  /** Why the addresses are others than those that were asked for. */
  readonly differs?: Fault;
}

/**
 * Where network namespaces come from: standalone the node makes them and runs CNI; on Kubernetes the kubelet has made them.
 *
 * With the guest's runner the only thing that knows which of the two it is.
 */
export interface PodSource {
  /** The namespace's path, known before it is made, so that a record can name it first. */
  netnsOf(podUid: string): string;
  /** Makes the namespace and its links. A Fault leaves nothing behind. `waits` hears what takes long while it does. */
  acquire(request: SandboxRequest, signal: AbortSignal, waits: (fault: Fault) => void): Promise<Sandbox>;
  /**
   * Asks the makers of the pod's links whether they are as they were made, but for those `taken` by guests.
   *
   * @throws Fault PB3023 where one is not, PB3006–PB3018, PB3026 where it cannot be said.
   */
  check(podUid: string, taken: readonly string[], signal: AbortSignal): Promise<void>;
  /** Gives everything back, half-made things too; nothing to do where there is nothing. */
  release(podUid: string): Promise<void>;
}
