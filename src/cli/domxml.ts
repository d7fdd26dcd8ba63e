import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { KubeClient } from "../client/client.ts";
import type { DomainDisk, DomainRequest } from "../model/guest/domain-request.ts";
import { domainXml } from "../model/guest/domain-xml.ts";
import { guestUuid } from "../model/guest/firmware-uuid.ts";
import type { GuestHardware } from "../model/guest/hardware.ts";
import { diskBus } from "../model/guest/hardware-request.ts";
import { isJsonObject, type JsonObject, objectAt, textAt } from "../model/json.ts";
import { readJson } from "../model/networks/cni-json.ts";
import { planRequestOf } from "../model/pods/plan-request.ts";
import { plannedGuest } from "../model/wiring/plan.ts";
import type { GuestNic } from "../model/wiring/wiring.ts";
import { getVmi, type Vmi, vmiReference, withApi } from "./api-access.ts";
import { dataPaths } from "./paths.ts";
import { storedConfiguration } from "./stored-configuration.ts";

/** Options of `patchbay domxml`. */
export interface DomxmlOptions {
  readonly dataDir: string;
  readonly namespace: string;
  readonly output?: "text" | "json";
}

/** Prints a VMI of the daemon as libvirt domain XML: as its guest runs, else as it would be on a typical node and pod. */
export async function domxml(name: string, options: DomxmlOptions): Promise<number> {
  const paths = dataPaths(options.dataDir);
  const { xml, vmi, running } = await withApi(paths, async (client) => {
    const found = await getVmi(client, vmiReference(name, options.namespace));
    const guest = runningGuest(paths, found);
    const request = { ...common(found), ...(guest ?? (await stored(client, found))) };
    return { xml: domainXml(request), vmi: found, running: guest !== undefined };
  });
  const { namespace, name: own } = vmi.metadata;
  const answer = { vmi: { namespace, name: own }, running, domain: xml };
  process.stdout.write(options.output === "json" ? `${JSON.stringify(answer, undefined, 2)}\n` : xml);
  return 0;
}

type Disk = NonNullable<Vmi["spec"]["domain"]["devices"]["disks"]>[number];
type OfGuest = Pick<DomainRequest, "uuid" | "hardware" | "nics" | "disks"> & Pick<DomainRequest, "folder">;

function common({ metadata, spec, status }: Vmi): Omit<DomainRequest, keyof OfGuest> {
  const accelerated = status?.conditions?.find(({ type }) => type === "HardwareAccelerated");
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    uid: metadata.uid,
    accel: accelerated?.status === "False" ? "tcg" : "kvm",
    domain: spec.domain,
    ...(spec.terminationGracePeriodSeconds === undefined ? {} : { graceSeconds: spec.terminationGracePeriodSeconds }),
  };
}

/** What the node keeps of the guest; undefined where none runs here. */
function runningGuest(paths: ReturnType<typeof dataPaths>, vmi: Vmi): OfGuest | undefined {
  const [podUid] = Object.keys(vmi.status?.activePods ?? {});
  if (podUid === undefined) return undefined;
  let text: string;
  try {
    text = readFileSync(join(paths.pods, `${podUid}.json`), "utf8");
  } catch {
    return undefined;
  }
  const reading = readJson(text);
  const record = "value" in reading && isJsonObject(reading.value) ? reading.value : {};
  const { hardware, wiring, guest } = record;
  if (!isJsonObject(hardware) || !isJsonObject(wiring) || !isJsonObject(guest)) return undefined;
  const folder = textAt(guest, "runDir");
  return {
    uuid: textAt(guest, "uuid") ?? guestUuid(vmi),
    // The daemon's own writing, as it reads it again itself.
    hardware: hardware as unknown as GuestHardware,
    nics: wiring["nics"] as readonly GuestNic[],
    disks: disksOf(vmi, folder),
    ...(folder === undefined ? {} : { folder }),
  };
}

async function stored(client: KubeClient, vmi: Vmi): Promise<OfGuest> {
  const { hardware, nics } = plannedGuest(planRequestOf(vmi, await storedConfiguration(client)));
  return {
    uuid: guestUuid(vmi),
    hardware,
    nics,
    disks: disksOf(vmi),
  };
}

/** The disks with the files that the node makes of them. */
function disksOf({ spec }: Vmi, folder?: string): readonly DomainDisk[] {
  return (spec.domain.devices.disks ?? []).flatMap((disk): DomainDisk[] => {
    const bus = diskBus(disk);
    const volume: JsonObject | undefined = spec.volumes?.find(({ name }) => name === disk.name);
    if (bus === undefined || volume === undefined) return [];
    const grows = ["containerDisk", "emptyDisk", "ephemeral"].some((kind) => volume[kind] !== undefined);
    const claim = volume["persistentVolumeClaim"];
    const format = grows ? "qcow2" : "raw";
    const made = volume["hostDisk"] === undefined && claim === undefined && !grows;
    const fixed = isJsonObject(claim) && claim["readOnly"] === true;
    return [
      {
        name: disk.name,
        bus,
        format,
        cdrom: disk.cdrom !== undefined,
        readOnly: disk.disk?.readonly === true || fixed || (made && bus !== "sata"),
        ...(disk.bootOrder === undefined ? {} : { bootOrder: disk.bootOrder }),
        ...(disk.serial === undefined || disk.serial === "" ? {} : { serial: disk.serial }),
        tuning: tuningOf(disk),
        ...(folder === undefined ? {} : { file: `${folder}/${disk.name}.${grows ? "qcow2" : "img"}` }),
      },
    ];
  });
}

function tuningOf({ cache, io, errorPolicy, shareable, blockSize }: Disk): NonNullable<DomainDisk["tuning"]> {
  const custom = objectAt(blockSize ?? {}, "custom");
  const { logical, physical } = custom;
  return {
    ...(cache ? { cache } : {}),
    ...(io ? { io } : {}),
    ...(errorPolicy ? { errorPolicy } : {}),
    ...(shareable === true ? { shareable } : {}),
    ...(typeof logical === "number" && typeof physical === "number" ? { blockSize: { logical, physical } } : {}),
  };
}
