import type { RunningGuest } from "../host/guest/running-guest.ts";
import { cpuSupply, pinThread } from "../host/linux/cpus.ts";
import type { Domain } from "../model/api/domain.ts";
import { chooseCpus } from "../model/guest/dedicated-cpus.ts";
import { topologyOf, vcpusOf } from "../model/guest/topology.ts";
import { isJsonObject } from "../model/json.ts";
import type { PodRecord, PodRecords } from "./records.ts";

/**
 * Processors for the vCPUs of a guest with `dedicatedCpuPlacement`, that no other guest of this node has; near to its
 * devices where that can be. Nothing for any other guest. What a guest has stands in its pod's record.
 *
 * @throws Fault PB5080
 */
export function dedicatedCpus(domain: Domain, record: PodRecord, records: PodRecords): Pick<PodRecord, "cpus"> {
  if (domain.cpu?.dedicatedCpuPlacement !== true) return {};
  const others = records.all().filter(({ podUid }) => podUid !== record.podUid);
  const near = new Set((record.devices ?? []).flatMap(({ device }) => device.numaNode ?? []));
  const taken = new Set(others.flatMap(({ cpus = [] }) => cpus));
  return { cpus: chooseCpus(vcpusOf(topologyOf(domain)), cpuSupply(), taken, near) };
}

/** Lets each vCPU's thread run on its own processor. @throws Fault PB4010, PB5057, PB5058 */
export async function pinVcpus({ qmp }: RunningGuest, cpus: readonly number[]): Promise<void> {
  if (cpus.length === 0) return;
  const answer = await qmp.execute("query-cpus-fast");
  for (const vcpu of Array.isArray(answer) ? answer : []) {
    if (!isJsonObject(vcpu)) continue;
    const { "thread-id": thread, "cpu-index": index } = vcpu;
    const cpu = typeof index === "number" ? cpus[index] : undefined;
    if (typeof thread === "number" && cpu !== undefined) pinThread(thread, cpu);
  }
}
