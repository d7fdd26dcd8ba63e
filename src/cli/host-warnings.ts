import type { Logger } from "pino";
import type { HostWarnings } from "../control/whole-path-admission.ts";
import { podNetworkOf } from "../host/cni/conf-dir.ts";
import { passtProgram } from "../host/guest/passt.ts";
import { noImage } from "../host/images/image-faults.ts";
import type { Image, ImageStore } from "../host/images/store.ts";
import { OWN_NETNS } from "../host/linux/netns.ts";
import { readLinks } from "../host/linux/pod-facts.ts";
import { fieldPath, valueAt } from "../model/api/field-path.ts";
import type { KubeObject } from "../model/api/resource.ts";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachine } from "../model/api/vm.ts";
import type { VirtualMachineInstance, VmiSpec } from "../model/api/vmi.ts";
import { builtInBinding } from "../model/bindings/built-in-plugins.ts";
import { type Fault, isFault } from "../model/fault.ts";
import { unmadeIn } from "../model/guest/unmade.ts";
import type { ManifestDocument } from "../model/manifest/document.ts";
import {
  type AttachmentDefinition,
  definitionsAmong,
  RESOURCE_NAME,
} from "../model/networks/attachment-definitions.ts";
import { qualifiedName } from "../model/networks/multus.ts";
import { allocateDevices, type DevicePool } from "../model/pods/device-resources.ts";
import { settingsOf } from "../model/rules/settings.ts";
import { wholePathFindings } from "../model/whole-path/whole-path.ts";
import { devicesOf } from "../node/guest-devices.ts";
import { findVolumes } from "../node/guest-volumes.ts";
import { atPlace, lookAtNetwork } from "./network-look.ts";

/** Where this host keeps what guests need. */
export interface HostParts {
  readonly images: ImageStore;
  readonly confDir: string;
  readonly binDirs: readonly string[];
  /** The devices that networks can claim here. */
  readonly pools?: () => readonly DevicePool[];
  readonly log: Logger;
}

/** What was there is taken to be there for so long: many that are created at once look once. What is missing is looked for each time. */
const SOUND_MS = 1_000;
/** So many different ones are kept in mind. */
const MOST_KEPT = 1_000;

/**
 * Tells of a VMI or VM that is written what would keep it from starting on this host: images (PB5001), CNI plugins
 * (PB3006) and lower links (PB3027) that are missing, pools without a free address (PB3018), devices that are not offered
 * (PB6121) or that none can be had of (PB6122), the program passt (PB5066), EFI's firmware (PB5075), huge pages (PB5076),
 * and devices that cannot be as they are asked for (PB5077). Only looks, and never fails.
 */
export function makeHostWarnings({ images, confDir, binDirs, pools, log }: HostParts): HostWarnings {
  const sound = new Map<string, number>();
  const known = new Map<string, { readonly image: Image; readonly until: number }>();

  async function resolve(name: string): Promise<Image | undefined> {
    const kept = known.get(name);
    if (kept !== undefined && kept.until > performance.now()) return kept.image;
    known.delete(name);
    const image = await images.resolve(name);
    if (known.size >= MOST_KEPT) known.clear();
    if (image !== undefined) known.set(name, { image, until: performance.now() + SOUND_MS });
    return image;
  }

  async function lookAtImages({ domain, ...spec }: VmiSpec): Promise<void> {
    const { firmware: { kernelBoot, ...firmware } = {}, ...others } = domain;
    const kernel = kernelBoot?.container?.image;
    if (kernel !== undefined && (await resolve(kernel)) === undefined) throw noImage(kernel);
    // A kernel is taken out of its image when a guest starts, not before.
    const metadata = { name: "", namespace: "", uid: "", resourceVersion: "" };
    const vmi = { apiVersion: "", kind: "", metadata, spec: { ...spec, domain: { ...others, firmware } } };
    await findVolumes({ images: { ...images, resolve } }, vmi);
  }

  function lookOnce(key: string, look: () => void): void {
    if ((sound.get(key) ?? 0) > performance.now()) return;
    sound.delete(key);
    look();
    if (sound.size >= MOST_KEPT) sound.clear();
    sound.set(key, performance.now() + SOUND_MS);
  }

  function lookAt(network: AskedNetwork, definitions: ReadonlyMap<string, AttachmentDefinition>): void {
    const { place } = network;
    if (network.definition === undefined) {
      lookOnce("", () => lookAtNetwork(podNetworkOf(confDir).network, binDirs, place));
      return;
    }
    const { network: config, resourceName: resource } = definitions.get(network.definition) ?? {};
    if (resource !== undefined && pools !== undefined) {
      atPlace(place, () => allocateDevices(pools(), [], [{ resource, interface: place }]));
    }
    if (config === undefined) return;
    lookOnce(JSON.stringify(config), () => lookAtNetwork(config, binDirs, place));
  }

  async function faultsOf(
    spec: VmiSpec,
    namespace: string,
    documents: readonly ManifestDocument[],
    configuration: unknown,
  ): Promise<Fault[]> {
    const definitions = definitionsAmong(documents);
    const looks: readonly (() => unknown)[] = [
      () => lookAtImages(spec),
      () => lookAtPrograms(spec, configuration),
      () => devicesOf(spec.domain),
      ...networksOf(spec, namespace).map((network) => () => lookAt(network, definitions)),
    ];
    const found: Fault[] = [];
    for (const look of looks) {
      try {
        await look();
      } catch (thrown) {
        if (!isFault(thrown)) throw thrown;
        found.push(thrown);
      }
    }
    // What no machine gives a guest, the rules tell of (PB2511).
    const unmade = unmadeIn(spec).map((at) => fieldPath(["spec", ...at]));
    return found.filter(({ code, place = "" }) => !(code === "PB5070" ? unmade.length > 0 : unmade.includes(place)));
  }

  return async (object, stored, configuration) => {
    const { spec, at } = templateOf(object);
    try {
      const faults = await faultsOf(spec, object.metadata.namespace ?? "default", stored, configuration);
      return [
        ...new Set([
          ...faults.map(({ code, message, place = "", cure = "" }) =>
            spoken([code, place.startsWith("spec") ? `${at}${place}` : ""], message, cure),
          ),
          ...lowerLinks(stored, configuration),
        ]),
      ];
    } catch (error) {
      log.warn({ error, object: object.metadata }, "what this host lacks for a VM cannot be told");
      return [];
    }
  };
}

/**
 * passt is the one program beside QEMU that a guest may need, by its own bindings or by the plugin of KubeVirt's that is
 * built in; the daemon does not start where it lacks one at first.
 */
function lookAtPrograms({ domain: { devices } }: VmiSpec, configuration: unknown): void {
  const { plugins } = settingsOf(configuration);
  const carried = devices.interfaces?.find(({ passt, passtBinding, binding }) => {
    const plugin = binding === undefined ? undefined : plugins.get(binding.name);
    const builtIn = plugin === undefined ? undefined : builtInBinding({ ...plugin, name: binding?.name ?? "" });
    return (passt ?? passtBinding) !== undefined || builtIn?.field === "passtBinding";
  });
  if (carried !== undefined) passtProgram(carried.name);
}

/** A network of an instance; without a definition the pod network. */
interface AskedNetwork {
  readonly place: string;
  readonly definition?: string;
}

function networksOf({ networks, domain: { devices } }: VmiSpec, namespace: string): readonly AskedNetwork[] {
  if (networks === undefined && devices.interfaces === undefined) {
    // A template says nothing of the network that its instance gets all the same.
    return devices.autoattachPodInterface === false ? [] : [{ place: "spec" }];
  }
  return (networks ?? []).flatMap(({ pod, multus }, index): AskedNetwork[] => {
    const place = `spec.networks[${index}]`;
    if (pod !== undefined) return [{ place }];
    return multus === undefined ? [] : [{ place, definition: qualifiedName(multus.networkName, namespace) }];
  });
}

/** The spec of an instance, and what stands before its paths in the object. */
function templateOf(object: KubeObject): { readonly spec: VmiSpec; readonly at: string } {
  if (object.kind !== "VirtualMachine") return { spec: (object as Stored<VirtualMachineInstance>).spec, at: "" };
  const { template } = (object as Stored<VirtualMachine>).spec;
  return { spec: template.spec ?? { domain: { devices: {} } }, at: "spec.template." };
}

/** Of definitions that name a link which this host lacks. */
function lowerLinks(stored: readonly ManifestDocument[], configuration: unknown): readonly string[] {
  // Of a claimed device the pool says what it is put on.
  const definitions = stored.filter(
    ({ value }) =>
      value["kind"] === "NetworkAttachmentDefinition" &&
      valueAt(value, ["metadata", "annotations", RESOURCE_NAME]) === undefined,
  );
  if (definitions.length === 0) return [];
  const links = new Map(readLinks(OWN_NETNS).links.map(({ name, mtu }) => [name, mtu]));
  return wholePathFindings(definitions, configuration, { links })
    .filter(({ code }) => code === "PB3027")
    .map(({ code, message, hint }) => spoken([code], message, hint));
}

function spoken(before: readonly string[], message: string, cure: string): string {
  const head = before.filter((part) => part !== "").join(": ");
  return `${head}: ${message}${cure === "" ? "" : ` ${cure}`}`;
}
