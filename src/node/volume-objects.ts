import type { KubeClient } from "../client/client.ts";
import type { IsoFile } from "../host/images/iso9660.ts";
import { configMapResource, secretResource } from "../model/api/references.ts";
import type { KubeObject } from "../model/api/resource.ts";
import { isApiError } from "../model/api/status.ts";
import { Fault } from "../model/fault.ts";
import { isJsonObject } from "../model/json.ts";
import type { CloudInitSource, FilesSource } from "./volume-source.ts";

/** Reads the objects that volumes are made of; undefined for one that is not there. */
export interface VolumeObjects {
  read(kind: "ConfigMap" | "Secret", namespace: string, name: string): Promise<readonly IsoFile[] | undefined>;
}

/** Those of the cluster. */
export function clusterObjects(client: KubeClient): VolumeObjects {
  return {
    async read(kind, namespace, name) {
      try {
        const resource = kind === "Secret" ? secretResource : configMapResource;
        return filesOf(kind, await client.get<KubeObject>(resource, { namespace, name }));
      } catch (thrown) {
        if (isApiError(thrown, "NotFound")) return undefined;
        throw thrown;
      }
    },
  };
}

/** The keys of an object as files: those of `data`, and of a ConfigMap's `binaryData`. */
export function filesOf(kind: "ConfigMap" | "Secret", object: object): readonly IsoFile[] {
  const member = (key: string): Readonly<Record<string, unknown>> => {
    const value: unknown = Object.entries(object).find(([name]) => name === key)?.[1];
    return isJsonObject(value) ? value : {};
  };
  const texts = Object.entries(member("data"));
  const encoded = kind === "Secret" ? texts : Object.entries(member("binaryData"));
  const file =
    (encoding: "utf8" | "base64") =>
    ([name, value]: [string, unknown]) => {
      return { name, data: Buffer.from(String(value), encoding) };
    };
  return [...(kind === "Secret" ? [] : texts.map(file("utf8"))), ...encoded.map(file("base64"))];
}

/**
 * The files of a ConfigMap or Secret; none where it is missing and may be.
 *
 * @throws Fault PB5073
 */
export async function readFiles(
  objects: VolumeObjects,
  namespace: string,
  volume: string,
  { object: { kind, name, optional } }: FilesSource,
): Promise<readonly IsoFile[]> {
  const files = await objects.read(kind, namespace, name);
  if (files === undefined && !optional) throw missing(kind, namespace, name, volume);
  return files ?? [];
}

/** Keys of a Secret for cloud-init, the first first. */
const USER_DATA = ["userdata", "userData"];
const NETWORK_DATA = ["networkdata", "networkData"];

/**
 * The data of a cloud-init volume with those that its Secrets have.
 *
 * @throws Fault PB5073 for a Secret that is missing, or that has neither
 */
export async function withSecrets(
  objects: VolumeObjects,
  namespace: string,
  volume: string,
  source: CloudInitSource,
): Promise<CloudInitSource> {
  let { userData, networkData } = source;
  for (const name of source.secrets) {
    const files = await objects.read("Secret", namespace, name);
    if (files === undefined) throw missing("Secret", namespace, name, volume);
    const of = (keys: readonly string[]) =>
      keys.flatMap((key) => files.find((file) => file.name === key) ?? []).at(0)?.data;
    const [user, network] = [of(USER_DATA), of(NETWORK_DATA)];
    if (user === undefined && network === undefined) {
      throw new Fault("PB5073", `The Secret ${namespace}/${name} has no data for cloud-init.`, {
        place: "spec.volumes",
        cure: `Give it a key userdata or networkdata; the volume "${volume}" waits for it.`,
      });
    }
    userData ??= user;
    networkData ??= network;
  }
  return {
    ...source,
    ...(userData === undefined ? {} : { userData }),
    ...(networkData === undefined ? {} : { networkData }),
  };
}

function missing(kind: string, namespace: string, name: string, volume: string): Fault {
  const how =
    kind === "Secret"
      ? `kubectl -n ${namespace} create secret generic ${name} --from-file=…`
      : `kubectl -n ${namespace} create configmap ${name} --from-file=…`;
  return new Fault("PB5073", `There is no ${kind} ${namespace}/${name}, of which the volume "${volume}" is made.`, {
    place: "spec.volumes",
    cure: `Make it: \`${how}\`; the VMI then starts by itself.`,
    data: { kind, namespace, name },
  });
}
