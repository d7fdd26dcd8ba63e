import { changeStatus } from "../client/change-status.ts";
import { type Cache, inform } from "../client/informer.ts";
import { makeReconcileQueue } from "../client/reconcile-queue.ts";
import type { NetworkAttachmentDefinition } from "../model/api/attachment.ts";
import { definitionResource, sriovNetworkResource } from "../model/api/references.ts";
import type { KubeObject } from "../model/api/resource.ts";
import type { SriovNetwork } from "../model/api/sriov-resources.ts";
import { isApiError } from "../model/api/status.ts";
import { keyOf, type Stored } from "../model/api/stored.ts";
import {
  definitionOfNetwork,
  NETWORK_FINALIZER,
  OWNER_ANNOTATION,
  ownerText,
  RESOURCE_ANNOTATION,
} from "../model/sriov/network-definition.ts";
import { type ConditionClaim, withCondition } from "../model/status/conditions.ts";
import type { Controller, ControllerOptions } from "./vmi-controller.ts";

type Network = Stored<SriovNetwork>;
type Definition = Stored<NetworkAttachmentDefinition>;
type NetworkStatus = NonNullable<SriovNetwork["status"]>;

/** What cannot be made now is tried again so often at the least. */
const LAST_RETRY_MS = 10_000;
const OWNER_PREFIX = ownerText({ namespace: "", name: "" }).slice(0, -1);

/**
 * Keeps a NetworkAttachmentDefinition for each SriovNetwork, in the namespace that it names, and takes it away with it.
 *
 * Only definitions that carry the network's own mark are changed or deleted.
 */
export function startSriovNetworkController({ client, events, log, meter }: ControllerOptions): Controller {
  const closing = new AbortController();
  const queue = makeReconcileQueue(reconcile, {
    lastRetryMs: LAST_RETRY_MS,
    failed: (key, error, waitMs) => log.warn({ network: key, error, waitMs }, "an SriovNetwork is not as it should be"),
    ...(meter === undefined ? {} : { meter }),
  });
  const look = (network: Network): void => queue.add(keyOf(network));
  const ofOwner = ({ metadata: { annotations = {} } }: Definition): void => {
    const owner = annotations[OWNER_ANNOTATION];
    if (owner?.startsWith(OWNER_PREFIX) === true) queue.add(owner.slice(OWNER_PREFIX.length));
  };
  const everything = (): void => {
    for (const network of networks.list()) look(network);
    for (const definition of definitions.list()) ofOwner(definition);
  };
  const failed = (error: unknown, waitMs: number): void => log.warn({ error, waitMs }, "the API cannot be watched");
  const definitions: Cache<Definition> = inform<Definition>(
    client,
    definitionResource,
    {},
    { add: ofOwner, update: ofOwner, delete: ofOwner, synced: () => everything(), failed },
    closing.signal,
  );
  const networks: Cache<Network> = inform<Network>(
    client,
    sriovNetworkResource,
    {},
    { add: look, update: look, delete: look, synced: () => everything(), failed },
    closing.signal,
  );

  async function reconcile(key: string): Promise<void> {
    if (!definitions.synced || !networks.synced) return;
    const [namespace = "", name = ""] = key.split("/");
    const network = networks.get(name, namespace);
    const owned = definitions
      .list()
      .filter(({ metadata }) => metadata.annotations?.[OWNER_ANNOTATION] === ownerText({ namespace, name }));
    if (network === undefined || network.metadata.deletionTimestamp !== undefined) {
      await Promise.all(owned.map(remove));
      if (network !== undefined) await setFinalizers(network, false);
      return;
    }
    await setFinalizers(network, true);
    const wanted = definitionOfNetwork(network);
    const place = { namespace: wanted.metadata?.namespace ?? namespace, name };
    await Promise.all(owned.filter((one) => one.metadata.namespace !== place.namespace).map(remove));
    const claim = await make(wanted, place, definitions.get(place.name, place.namespace), owned);
    await tell(network, claim);
    if (claim.status === "False") throw new Error(claim.message);
  }

  /** What becomes of the definition, as a condition of the network. */
  async function make(
    wanted: NetworkAttachmentDefinition,
    place: { readonly namespace: string; readonly name: string },
    there: Definition | undefined,
    owned: readonly Definition[],
  ): Promise<ConditionClaim> {
    const named = `${place.namespace}/${place.name}`;
    if (there !== undefined && !owned.includes(there)) {
      return refused(
        "PB6130",
        `There is a NetworkAttachmentDefinition ${named} that is not this network's. Delete or rename one of the two.`,
      );
    }
    try {
      if (there === undefined) await client.create(definitionResource, wanted as unknown as KubeObject);
      else if (!isAsWanted(there, wanted)) {
        const annotations = { ...there.metadata.annotations, ...wanted.metadata?.annotations };
        const next = { ...there, metadata: { ...there.metadata, annotations }, spec: wanted.spec };
        await client.update(definitionResource, next as unknown as KubeObject);
      }
    } catch (thrown) {
      if (isApiError(thrown, "NotFound")) {
        return refused("PB6131", `There is no namespace "${place.namespace}". Create it: the definition is made then.`);
      }
      throw thrown;
    }
    const message = `The NetworkAttachmentDefinition ${named} is as it is to be.`;
    return { type: "Ready", status: "True", reason: "DefinitionMade", message };
  }

  async function remove({ metadata: { namespace, name, uid } }: Definition): Promise<void> {
    try {
      await client.delete(definitionResource, { namespace, name }, { uid });
    } catch (thrown) {
      if (!isApiError(thrown, "NotFound") && !isApiError(thrown, "Conflict")) throw thrown;
    }
  }

  async function setFinalizers(network: Network, held: boolean): Promise<void> {
    const { finalizers = [], resourceVersion } = network.metadata;
    if (finalizers.includes(NETWORK_FINALIZER) === held) return;
    const others = finalizers.filter((one) => one !== NETWORK_FINALIZER);
    const metadata = { resourceVersion, finalizers: held ? [...others, NETWORK_FINALIZER] : others };
    try {
      await client.patch(sriovNetworkResource, network.metadata, "merge", { metadata });
    } catch (thrown) {
      if (!isApiError(thrown, "NotFound")) throw thrown;
    }
  }

  async function tell(network: Network, claim: ConditionClaim): Promise<void> {
    const before = network.status?.conditions?.find(({ type }) => type === "Ready");
    if (claim.status === "False" && before?.message !== claim.message) {
      events.event(network as unknown as KubeObject, "Warning", claim.reason ?? "", claim.message ?? "");
    }
    await changeStatus<NetworkStatus, Network>(client, sriovNetworkResource, network, (status, at) => {
      const earlier = status.conditions ?? [];
      const conditions = withCondition(earlier, claim, at);
      return conditions === earlier ? status : { ...status, conditions };
    });
  }

  return {
    async close() {
      closing.abort();
      await queue.close();
    },
  };
}

function refused(reason: "PB6130" | "PB6131", message: string): ConditionClaim {
  return { type: "Ready", status: "False", reason, message };
}

function isAsWanted(there: Definition, wanted: NetworkAttachmentDefinition): boolean {
  const annotations = there.metadata.annotations ?? {};
  return (
    there.spec?.config === wanted.spec?.config &&
    annotations[RESOURCE_ANNOTATION] === wanted.metadata?.annotations?.[RESOURCE_ANNOTATION]
  );
}
