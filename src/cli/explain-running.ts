import type { KubeClient } from "../client/client.ts";
import type { Pod } from "../model/api/pod.ts";
import { podResource } from "../model/api/references.ts";
import type { Stored } from "../model/api/stored.ts";
import { type Explanation, explainVmi } from "../model/explain/explain.ts";
import { CREATED_BY_LABEL, FACTS_ANNOTATION } from "../model/pods/launcher-pod.ts";
import { planRequestOf } from "../model/pods/plan-request.ts";
import { type PodFacts, parsePodFacts } from "../model/wiring/facts.ts";
import { getVmi, type Vmi, vmiReference, withApi } from "./api-access.ts";
import { dataPaths } from "./paths.ts";
import { storedConfiguration } from "./stored-configuration.ts";

/** Explains a VMI that the daemon knows, by the facts of its pod where it has one. PB6115 where there is no such VMI. */
export async function explainRunning(
  name: string,
  options: { readonly dataDir: string; readonly namespace: string },
): Promise<Explanation> {
  return await withApi(dataPaths(options.dataDir), async (client) => {
    const vmi = await getVmi(client, vmiReference(name, options.namespace));
    const [facts, configuration] = await Promise.all([factsOf(client, vmi), storedConfiguration(client)]);
    return explainVmi(planRequestOf(vmi, configuration), facts);
  });
}

/** What the node read of the pod that the VMI runs in; undefined where it has none yet. */
async function factsOf(client: KubeClient, { metadata, status }: Vmi): Promise<PodFacts | undefined> {
  const labelSelector = `${CREATED_BY_LABEL}=${metadata.uid}`;
  const { items } = await client.list<Stored<Pod>>(podResource, { namespace: metadata.namespace, labelSelector });
  const pod = items.find(({ metadata: { uid } }) => Object.hasOwn(status?.activePods ?? {}, uid));
  return parsePodFacts(pod?.metadata.annotations?.[FACTS_ANNOTATION] ?? "");
}
