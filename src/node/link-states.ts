import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import { linkStateOf } from "../model/rules/link-state.ts";
import type { LivePod } from "./live-pod.ts";
import type { NodeParts } from "./pod-lifecycle.ts";
import type { PodRecord } from "./records.ts";

/**
 * Puts the links of a running guest up or down as its VMI says by now, and returns the record that says so, the same where
 * nothing changed.
 *
 * The guest comes first and the record after it: a daemon that dies in between has it done again, which changes nothing.
 */
export async function setLinks(
  parts: Pick<NodeParts, "records">,
  { record, guest }: Pick<LivePod, "record" | "guest">,
  vmi: Stored<VirtualMachineInstance>,
): Promise<PodRecord> {
  const { wiring } = record;
  const wanted = vmi.spec.domain.devices.interfaces ?? [];
  const nics = (wiring?.nics ?? []).map((nic) => {
    const asked = wanted.find(({ name }) => name === nic.name);
    const state = asked === undefined || nic.attachment.kind === "vfio" ? undefined : linkStateOf(asked);
    return state === undefined || (state === "up") === nic.linkUp ? nic : { ...nic, linkUp: state === "up" };
  });
  const changed = nics.filter((nic) => wiring?.nics.includes(nic) === false);
  if (wiring === undefined || changed.length === 0) return record;
  for (const { name, linkUp } of changed) await guest.setLink(name, linkUp);
  // With what the guest's agent told meanwhile.
  const kept = { ...(parts.records.get(record.podUid) ?? record), wiring: { ...wiring, nics } };
  parts.records.put(kept);
  return kept;
}
