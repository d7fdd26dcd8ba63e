import type { Logger } from "pino";
import type { KubeClient } from "../client/client.ts";
import { type Cache, inform } from "../client/informer.ts";
import type { Admission, AdmissionRequest, AdmissionResponse } from "../model/api/admission.ts";
import { configMapResource, kubeVirtResource } from "../model/api/references.ts";
import type { KubeObject } from "../model/api/resource.ts";
import type { Stored } from "../model/api/stored.ts";
import {
  CONFIG_MAP,
  givenConfiguration,
  governingConfiguration,
  misspeltGates,
  oldestFirst,
  problemText,
  spoofGuardProblem,
  unknownKeys,
  voidConfiguration,
} from "../model/rules/configuration.ts";
import { pluginSettings } from "../model/rules/plugin-settings.ts";

/** The cluster's settings as they are now. */
export interface Configuration {
  /** `spec.configuration`; `{}` where nobody gives one. Of a write that was acknowledged, what was written. */
  current(): Promise<unknown>;
  /** Judges what gives settings, and asks `next` about all else. */
  admission(next: Admission): Admission;
  /** Begins to follow the API; settled once {@link current} knows what holds now. */
  follow(client: KubeClient): Promise<void>;
  close(): void;
}

type Giving = Stored<KubeObject>;

/**
 * So long after a write of settings was admitted they are read from the API itself: admission does not hear whether and
 * when the write is stored, and the watch tells of it some time after that.
 */
const SETTLED_MS = 60_000;

/**
 * Follows the cluster's settings: the older ConfigMap `kubevirt-config` of any namespace, else the KubeVirt resource;
 * of several the oldest.
 */
export function makeConfiguration(log: Logger): Configuration {
  const closing = new AbortController();
  const following = Promise.withResolvers<void>();
  let caches: readonly Cache<Giving>[] = [];
  let api: KubeClient | undefined;
  let unsettledUntil = 0;

  async function giving(): Promise<{ readonly configMaps: readonly Giving[]; readonly kubeVirts: readonly Giving[] }> {
    // Nothing is judged by settings that nobody knows yet.
    await following.promise;
    const client = performance.now() < unsettledUntil ? api : undefined;
    const [configMaps = [], kubeVirts = []] =
      client === undefined
        ? caches.map((cache) => cache.list())
        : await Promise.all(
            SOURCES.map(async ({ resource, query }) => (await client.list<Giving>(resource, query)).items),
          );
    return { configMaps, kubeVirts };
  }

  return {
    async current() {
      const { configMaps, kubeVirts } = await giving();
      return governingConfiguration(configMaps, kubeVirts);
    },
    admission: (next) => async (request) => {
      if (!givesSettings(request)) return next(request);
      const beside = request.operation === "DELETE" ? undefined : besideOthers(request, await giving());
      const own = judged(request);
      const refusal = beside?.refusal ?? own.refusal;
      const warnings = [...(beside?.warnings ?? []), ...own.warnings];
      const answer = refusal ?? (await next(request));
      if (answer.allowed && !request.dryRun) unsettledUntil = performance.now() + SETTLED_MS;
      return { ...answer, warnings: [...warnings, ...answer.warnings] };
    },
    async follow(client) {
      api = client;
      const known = SOURCES.map(({ resource, query }) => {
        const { promise, resolve } = Promise.withResolvers<void>();
        const handlers = {
          synced: resolve,
          failed: (error: unknown, waitMs: number) => log.warn({ error, waitMs }, "the settings cannot be watched"),
        };
        return { promise, cache: inform<Giving>(client, resource, query, handlers, closing.signal) };
      });
      caches = known.map(({ cache }) => cache);
      await Promise.all(known.map(({ promise }) => promise));
      following.resolve();
    },
    close: () => closing.abort(),
  };
}

/** In the order in which they count. */
const SOURCES = [
  { resource: configMapResource, query: { fieldSelector: `metadata.name=${CONFIG_MAP}` } },
  { resource: kubeVirtResource, query: {} },
] as const;

function givesSettings({ group, object, oldObject, subresource }: AdmissionRequest): boolean {
  const isSource = SOURCES.some(({ resource }) => resource.group === group);
  return isSource && subresource === undefined && [object, oldObject].some((one) => givenConfiguration({ ...one }));
}

/**
 * What is to be said of settings for those that are there already: a second KubeVirt resource is refused, as KubeVirt
 * does; of a ConfigMap and another object a warning says which of them governs.
 */
function besideOthers(
  { operation, object }: AdmissionRequest,
  { configMaps, kubeVirts }: { readonly configMaps: readonly Giving[]; readonly kubeVirts: readonly Giving[] },
): { readonly refusal?: AdmissionResponse; readonly warnings: readonly string[] } {
  const { namespace = "default", name } = object.metadata;
  const others = (list: readonly Giving[]): readonly Giving[] =>
    oldestFirst(list.filter(({ metadata }) => metadata.namespace !== namespace || metadata.name !== name));
  const isConfigMap = object.kind === "ConfigMap";
  const [map] = others(configMaps);
  const [kubeVirt] = others(kubeVirts);
  if (!isConfigMap && kubeVirt !== undefined && operation === "CREATE") {
    const message = `PB2309: A cluster has one KubeVirt resource, and ${named(kubeVirt)} is there already. Change that one, or delete it first.`;
    return {
      refusal: { allowed: false, status: 400, reason: "BadRequest", message, causes: [], warnings: [] },
      warnings: [],
    };
  }
  const own = isConfigMap ? configMaps.find((one) => !others(configMaps).includes(one)) : undefined;
  // One that is about to be made is the youngest.
  const governs = isConfigMap && (map === undefined || (own !== undefined && oldestFirst([map, own])[0] === own));
  const warning = governs
    ? kubeVirt === undefined
      ? undefined
      : `While this ConfigMap is there, ${named(kubeVirt)} counts for nothing. Move the settings there and delete the ConfigMap.`
    : map === undefined
      ? undefined
      : `It counts for nothing while ${named(map)} is there, which governs. Change that one, or delete it.`;
  return { warnings: warning === undefined ? [] : [`PB2309: ${warning}`] };
}

function named({ kind, metadata: { namespace, name } }: Giving): string {
  return `the ${kind} ${namespace}/${name}`;
}

/** What is to be said of settings that are written: a refusal of those that KubeVirt would pass over as a whole. */
function judged({ object, operation }: AdmissionRequest): {
  readonly refusal?: AdmissionResponse;
  readonly warnings: readonly string[];
} {
  const given = operation === "DELETE" ? undefined : givenConfiguration({ ...object });
  if (given === undefined) return { warnings: [] };
  const isVoid = voidConfiguration(given) ?? spoofGuardProblem(given);
  const warnings = [...misspeltGates(given), ...pluginSettings(given), ...unknownKeys(given)].map(problemText);
  if (isVoid === undefined) return { warnings };
  const message = problemText(isVoid);
  const causes = [{ reason: "FieldValueInvalid", message, field: isVoid.at.join(".") }];
  return { refusal: { allowed: false, status: 422, reason: "Invalid", message, causes, warnings: [] }, warnings };
}
