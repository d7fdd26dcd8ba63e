import type { JsonObject } from "../../model/json.ts";

/**
 * A chained plugin that runs inside of Patchbay: what it makes belongs to the network, not to one pod, so its ADD hands
 * the previous result on and its DEL and CHECK do nothing.
 */
export interface HostSide {
  /** Makes the host's side before the first plugin of an ADD runs; cheap where it is there. */
  prepare(network: string, config: JsonObject, hostNetns: string | undefined): Promise<void>;
  /** Takes the host's side away once no attachment to the network is left. */
  unused(network: string, config: JsonObject, hostNetns: string | undefined): Promise<void>;
}
