import type { KubeClient } from "../client/client.ts";
import { podNetworkOf } from "../host/cni/conf-dir.ts";
import { defaultConfDir } from "../host/cni/default-network.ts";
import { DEFAULT_BIN_DIRS } from "../host/cni/plugins.ts";
import { openImageStore } from "../host/images/store.ts";
import { OWN_NETNS } from "../host/linux/netns.ts";
import { readLinks } from "../host/linux/pod-facts.ts";
import {
  configMapResource,
  definitionResource,
  kubeVirtResource,
  nodeResource,
  vmiResource,
  vmResource,
} from "../model/api/references.ts";
import type { KubeObject } from "../model/api/resource.ts";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import { isFault } from "../model/fault.ts";
import type { Finding } from "../model/manifest/finding.ts";
import { readManifests } from "../model/manifest/read.ts";
import type { CniNetwork } from "../model/networks/cni-config.ts";
import { nicContexts } from "../model/wiring/nics.ts";
import type { PlanRequest } from "../model/wiring/plan.ts";
import { findVolumes } from "../node/guest-volumes.ts";
import { withApi } from "./api-access.ts";
import { lastSettings } from "./daemon-settings.ts";
import { ofInstances, refusal } from "./instances.ts";
import type { JudgedManifests, Living } from "./judged-manifests.ts";
import { lookAtNetwork } from "./network-look.ts";
import { dataPaths } from "./paths.ts";
import { storedConfiguration } from "./stored-configuration.ts";

/** What the daemon of a data folder has stored, and what this host has. PB6112 where no daemon runs. */
export async function readLiving(dataDir: string): Promise<Living> {
  const paths = dataPaths(dataDir);
  const [objects, configuration] = await withApi(paths, (client) =>
    Promise.all([storedObjects(client), storedConfiguration(client)]),
  );
  const documents = objects.flatMap((object) => {
    const { namespace = "", name } = object.metadata;
    return readManifests(JSON.stringify(object), `cluster: ${object.kind} ${namespace}/${name}`).documents;
  });
  return {
    configuration,
    documents,
    links: new Map(readLinks(OWN_NETNS).links.map(({ name, mtu }) => [name, mtu])),
  };
}

async function storedObjects(client: KubeClient): Promise<readonly KubeObject[]> {
  const kinds = [definitionResource, vmiResource, vmResource, kubeVirtResource, configMapResource, nodeResource];
  const lists = await Promise.all(kinds.map((kind) => client.list<KubeObject>(kind)));
  return lists.flatMap(({ items }) => items);
}

/**
 * What would keep the VMIs and VMs of sound manifests from starting on this host: images and CNI plugins that are
 * missing, pools without a free address. Each thing is told once an instance, at its place in the manifest.
 */
export async function hostFindings(judged: JudgedManifests, dataDir: string): Promise<Finding[]> {
  const paths = dataPaths(dataDir);
  const { imageDir, cniConfDir, cniBinDir } = lastSettings(paths) ?? {};
  const images = await openImageStore(imageDir ?? paths.images);
  const binDirs = cniBinDir === undefined ? DEFAULT_BIN_DIRS : cniBinDir.split(":");
  const confDir = cniConfDir ?? defaultConfDir(paths.root);
  const { results } = ofInstances(judged, (request, document) => ({ request, document }));
  const found: Finding[] = [];
  for (const { request, document } of results) {
    const look = async (act: () => unknown): Promise<void> => {
      try {
        await act();
      } catch (thrown) {
        if (!isFault(thrown)) throw thrown;
        found.push(refusal(document, thrown));
      }
    };
    await look(() => findVolumes({ images }, instance(request)));
    for (const [index, network] of (request.spec.networks ?? []).entries()) {
      const place = `spec.networks[${index}]`;
      await look(() => {
        const config = network.pod === undefined ? configOf(request, network.name) : podNetworkOf(confDir).network;
        if (config !== undefined) lookAtNetwork(config, binDirs, place);
      });
    }
  }
  return found;
}

function instance({ spec, name, namespace }: PlanRequest): Stored<VirtualMachineInstance> {
  const metadata = { name, namespace, uid: "", resourceVersion: "" };
  return { apiVersion: "kubevirt.io/v1", kind: "VirtualMachineInstance", metadata, spec };
}

function configOf(request: PlanRequest, name: string): CniNetwork | undefined {
  const nic = nicContexts(request).find((candidate) => candidate.name === name);
  return nic === undefined ? undefined : request.configOf?.(nic.network);
}
