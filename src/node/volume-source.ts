import type { HostDisk } from "../host/images/host-disk.ts";
import type { VmiSpec } from "../model/api/vmi.ts";
import { Fault } from "../model/fault.ts";
import { parseQuantity } from "../model/guest/quantity.ts";

/** What a volume is made of. */
export type VolumeSource =
  | { readonly kind: "containerDisk"; readonly image: string; readonly path?: string }
  | { readonly kind: "emptyDisk"; readonly bytes: bigint }
  | ({ readonly kind: "hostDisk" } & { readonly disk: HostDisk })
  | ClaimSource
  | CloudInitSource
  | FilesSource;

export interface CloudInitSource {
  readonly kind: "cloudInit";
  readonly layout: "NoCloud" | "ConfigDrive";
  readonly userData?: Uint8Array;
  readonly networkData?: Uint8Array;
  /** Secrets that have what is not above. */
  readonly secrets: readonly string[];
}

/** A claim's image: itself, or what is written kept apart from it and thrown away. */
export interface ClaimSource {
  readonly kind: "claim" | "ephemeral";
  readonly name: string;
  readonly readOnly: boolean;
}

/** The keys of an object as files. */
export interface FilesSource {
  readonly kind: "files";
  readonly label: string;
  readonly object: { readonly kind: "ConfigMap" | "Secret"; readonly name: string; readonly optional: boolean };
}

type Volume = NonNullable<VmiSpec["volumes"]>[number];
type CloudInit = NonNullable<Volume["cloudInitNoCloud"]>;
type Claim = NonNullable<Volume["persistentVolumeClaim"]>;

/** Labels of the file systems, as KubeVirt has them. */
const FILES_LABEL = "cfgdata";
const SYSPREP_LABEL = "unattendCfg";

const NO_IMPORTER =
  "Nothing here fills a DataVolume: use containerDisk, or a persistentVolumeClaim whose disk image you fill (docs/claims.md).";

/**
 * What a volume of a manifest is made of; `place` is that of its disk.
 *
 * @throws Fault PB5070 for a kind that is not made on one machine, PB5072 for a size or name that is none
 */
export function sourceOf(volume: Volume, place: string): VolumeSource {
  const { containerDisk, emptyDisk, hostDisk, persistentVolumeClaim, ephemeral, configMap, secret, sysprep } = volume;
  if (containerDisk !== undefined) {
    const { image, path } = containerDisk;
    return { kind: "containerDisk", image, ...(path === undefined ? {} : { path }) };
  }
  if (volume.cloudInitNoCloud !== undefined) return cloudInitOf(volume.cloudInitNoCloud, "NoCloud");
  if (volume.cloudInitConfigDrive !== undefined) return cloudInitOf(volume.cloudInitConfigDrive, "ConfigDrive");
  if (emptyDisk !== undefined) return { kind: "emptyDisk", bytes: bytesOf(emptyDisk.capacity, volume.name, place) };
  if (hostDisk !== undefined) {
    const { path, type, capacity } = hostDisk;
    const size = capacity === undefined ? {} : { capacity: bytesOf(capacity, volume.name, place) };
    return { kind: "hostDisk", disk: { path: absolute(path, place), type, ...size } };
  }
  if (persistentVolumeClaim !== undefined) return claimOf("claim", persistentVolumeClaim, volume.name, place);
  if (ephemeral !== undefined) return claimOf("ephemeral", ephemeral.persistentVolumeClaim, volume.name, place);
  if (configMap !== undefined) {
    const { name = "", optional = false, volumeLabel } = configMap;
    return { kind: "files", label: volumeLabel || FILES_LABEL, object: { kind: "ConfigMap", name, optional } };
  }
  if (secret !== undefined) {
    const { secretName = "", optional = false, volumeLabel } = secret;
    return { kind: "files", label: volumeLabel || FILES_LABEL, object: { kind: "Secret", name: secretName, optional } };
  }
  const answers = sysprep?.configMap?.name ?? sysprep?.secret?.name;
  if (answers !== undefined) {
    const kind = sysprep?.configMap === undefined ? "Secret" : "ConfigMap";
    return { kind: "files", label: SYSPREP_LABEL, object: { kind, name: answers, optional: false } };
  }
  throw notMade(volume, place);
}

function notMade(volume: Volume, place: string): Fault {
  const kinds = Object.keys(volume).filter((key) => key !== "name");
  return new Fault(
    "PB5070",
    `${place}: this version of Patchbay cannot make the volume "${volume.name}" (${kinds.join(", ") || "no source"}).`,
    {
      place,
      cure:
        volume.dataVolume === undefined
          ? "Use containerDisk, cloudInitNoCloud, cloudInitConfigDrive, emptyDisk, hostDisk, persistentVolumeClaim, ephemeral, configMap, secret or sysprep."
          : NO_IMPORTER,
    },
  );
}

function claimOf(kind: ClaimSource["kind"], claim: Claim | undefined, volume: string, place: string): ClaimSource {
  const { claimName: name = "", readOnly = false } = claim ?? {};
  if (name !== "") return { kind, name, readOnly };
  throw new Fault("PB5072", `${place}: the volume "${volume}" names no claim.`, {
    place,
    cure: "Write its claimName.",
  });
}

function cloudInitOf(data: CloudInit, layout: CloudInitSource["layout"]): CloudInitSource {
  const userData = given(data.userData, data.userDataBase64);
  const networkData = given(data.networkData, data.networkDataBase64);
  const secrets = [data.secretRef?.name ?? "", data.networkDataSecretRef?.name ?? ""].filter((name) => name !== "");
  return {
    kind: "cloudInit",
    layout,
    ...(userData === undefined ? {} : { userData }),
    ...(networkData === undefined ? {} : { networkData }),
    secrets: [...new Set(secrets)],
  };
}

function given(text = "", base64 = ""): Uint8Array | undefined {
  if (text !== "") return Buffer.from(text);
  return base64 === "" ? undefined : Buffer.from(base64, "base64");
}

function bytesOf(capacity: string | number, name: string, place: string): bigint {
  const bytes = parseQuantity(String(capacity));
  if (bytes !== undefined && bytes > 0n) return bytes;
  throw new Fault("PB5072", `${place}: "${capacity}" is no size of the volume "${name}".`, {
    place,
    cure: "Write a size such as 1Gi.",
  });
}

function absolute(path: string, place: string): string {
  if (path.startsWith("/") && !path.split("/").includes("..")) return path;
  throw new Fault("PB5072", `${place}: the path "${path}" of the host disk is not absolute.`, {
    place,
    cure: "Begin it with a slash, and write it without ..",
  });
}
