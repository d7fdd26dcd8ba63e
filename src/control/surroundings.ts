import type { Logger } from "pino";
import type { KubeClient, ResourceRef } from "../client/client.ts";
import { type Cache, type Handlers, inform } from "../client/informer.ts";
import { valueAt } from "../model/api/field-path.ts";
import { definitionResource, vmiResource, vmResource } from "../model/api/references.ts";
import type { KubeObject } from "../model/api/resource.ts";
import { isApiError } from "../model/api/status.ts";
import { isJsonObject } from "../model/json.ts";
import type { ManifestDocument } from "../model/manifest/document.ts";
import { readManifests } from "../model/manifest/read.ts";
import { qualifiedName } from "../model/networks/multus.ts";
import { settingsOf } from "../model/rules/settings.ts";
import { macKeys } from "../model/whole-path/macs.ts";
import { type Instance, instanceOf } from "../model/whole-path/run.ts";

/** What VMIs and VMs are stored beside. Followed by watches, so that a look at it costs the same among many as among few. */
export interface Surroundings {
  /** The stored objects that have to do with the networks of an instance: its definitions, and one for each MAC that it shares. */
  around(instance: Instance, configuration: unknown): Promise<readonly ManifestDocument[]>;
  /** Counts a VMI or VM that is about to be stored among those that are there. */
  expect(object: KubeObject): void;
  /** Begins to follow the API; settled once all is known that is there. */
  follow(client: KubeClient): Promise<void>;
  close(): void;
}

/** What is kept of a VMI or VM. */
interface Seen extends KubeObject {
  readonly macs: readonly string[];
}

/** What was expected and is not heard of for so long was not stored. */
const EXPECTED_MS = 60_000;

export function makeSurroundings(log: Logger): Surroundings {
  const closing = new AbortController();
  const macs = makeMacIndex();
  let api: KubeClient | undefined;
  let definitions: Cache<KubeObject> | undefined;

  async function definition(key: string): Promise<KubeObject | undefined> {
    const [namespace = "", name = ""] = key.split("/");
    // It may have been written a moment ago.
    return definitions?.get(name, namespace) ?? (await stored(definitionResource, { namespace, name }));
  }

  async function stored(
    resource: ResourceRef,
    { namespace, name }: Omit<Place, "kind">,
  ): Promise<KubeObject | undefined> {
    try {
      return await api?.get<KubeObject>(resource, { namespace, name });
    } catch (thrown) {
      if (isApiError(thrown, "NotFound")) return undefined;
      throw thrown;
    }
  }

  return {
    async around(instance, configuration) {
      const wanted = definitionsOf(instance, configuration);
      const found = (await Promise.all(wanted.map(definition))).filter((object) => object !== undefined);
      const others = definitions?.list() ?? [];
      const isGenie = instance.networks.some(({ kind }) => kind === "genie");
      // For the near miss of one that is not there; for genie it matters that there are any.
      const beside = found.length < wanted.length ? others : isGenie ? others.slice(0, 1) : [];
      const sharing = macKeys(instance).flatMap((key) => macs.other(key, instance.key) ?? []);
      const instances = await Promise.all(
        sharing.map((place) => stored(place.kind === "VirtualMachine" ? vmResource : vmiResource, place)),
      );
      return [
        ...beside.filter((object) => !found.includes(object)).map(withoutConfig),
        ...found,
        ...instances.filter((object) => object !== undefined),
      ].flatMap((object) => documentOf(object, "stored"));
    },
    expect(object) {
      macs.put(reduced(object), performance.now() + EXPECTED_MS);
    },
    async follow(client) {
      api = client;
      const settled: Promise<void>[] = [];
      function follow<T extends KubeObject>(resource: ResourceRef, handlers: Handlers<T>, reduce?: (object: T) => T) {
        const { promise, resolve } = Promise.withResolvers<void>();
        const failed = (error: unknown, waitMs: number) =>
          log.warn({ error, waitMs }, "the surroundings of VMIs cannot be watched");
        settled.push(promise);
        return inform<T>(client, resource, {}, { ...handlers, synced: resolve, failed }, closing.signal, reduce);
      }
      const put = (object: Seen) => macs.put(object);
      const index = { add: put, update: put, delete: ({ metadata }: Seen) => macs.drop(metadata.uid) };
      for (const resource of [vmiResource, vmResource]) follow<Seen>(resource, index, reduced);
      definitions = follow<KubeObject>(definitionResource, {});
      await Promise.all(settled);
    },
    close: () => closing.abort(),
  };
}

interface Place {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** Who has which MAC on which network. */
interface MacIndex {
  /** `until`, of the clock of performance.now(): what is only expected counts so long. */
  put(object: Seen, until?: number): void;
  drop(uid: string | undefined): void;
  /** One that has the MAC, of another name than `namespace/name`. */
  other(key: string, than: string): Place | undefined;
}

function makeMacIndex(): MacIndex {
  const byUid = new Map<string, Seen>();
  const byKey = new Map<string, Map<string, Place>>();
  const expected = new Map<string, number>();

  function drop(uid: string | undefined): void {
    const held = uid === undefined ? undefined : byUid.get(uid);
    if (uid === undefined || held === undefined) return;
    byUid.delete(uid);
    expected.delete(uid);
    for (const key of held.macs) {
      const places = byKey.get(key);
      places?.delete(uid);
      if (places?.size === 0) byKey.delete(key);
    }
  }

  /** In the order in which they were put, so that the oldest come first. */
  function dropOverdue(): void {
    for (const [uid, until] of expected) {
      if (until > performance.now()) return;
      drop(uid);
    }
  }

  return {
    put(object, until) {
      dropOverdue();
      const { uid, namespace = "", name } = object.metadata;
      drop(uid);
      if (uid === undefined || object.macs.length === 0) return;
      byUid.set(uid, object);
      if (until !== undefined) expected.set(uid, until);
      for (const key of object.macs) {
        const places = byKey.get(key) ?? new Map<string, Place>();
        byKey.set(key, places.set(uid, { kind: object.kind, namespace, name }));
      }
    },
    drop,
    other(key, than) {
      dropOverdue();
      for (const place of byKey.get(key)?.values() ?? []) {
        if (`${place.namespace}/${place.name}` !== than) return place;
      }
      return undefined;
    },
  };
}

/** `namespace/name` of the definitions that an instance names, itself or through its binding plugins. */
function definitionsOf({ namespace, networks, nics }: Instance, configuration: unknown): readonly string[] {
  const { plugins } = settingsOf(configuration);
  const named = nics.flatMap(({ plugin = "" }) => plugins.get(plugin)?.networkAttachmentDefinition || []);
  const given = networks.flatMap(({ definition }) => definition ?? []);
  return [...new Set([...given, ...named.map((name) => qualifiedName(name, namespace))])];
}

const START = { line: 1, column: 1, length: 1 };

/** The instance of a VMI or VM; undefined for anything else. */
export function instanceFrom(object: KubeObject): Instance | undefined {
  // Nobody asks where in it something stands.
  return instanceOf({
    file: "",
    value: { ...object },
    position: () => START,
    source: () => undefined,
    within: () => undefined,
  });
}

function reduced(object: KubeObject): Seen {
  const { apiVersion, kind } = object;
  const { name, namespace, uid, resourceVersion } = object.metadata;
  const instance = namesMac(object) ? instanceFrom(object) : undefined;
  const metadata = {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
  return { apiVersion, kind, metadata, macs: instance === undefined ? [] : macKeys(instance) };
}

/** Where a VMI's spec, and that of a VM, has them. */
const INTERFACES = [
  ["domain", "devices", "interfaces"],
  ["template", "spec", "domain", "devices", "interfaces"],
];

/** Only NICs whose MAC is given share one, and few give it: each change of each VMI is heard of here. */
function namesMac({ spec }: KubeObject): boolean {
  return INTERFACES.some((at) => {
    const interfaces = valueAt(spec, at);
    return Array.isArray(interfaces) && interfaces.some((nic) => isJsonObject(nic) && nic["macAddress"] !== undefined);
  });
}

/** Of a definition that only its name is asked of. */
function withoutConfig({ apiVersion, kind, metadata }: KubeObject): KubeObject {
  return { apiVersion, kind, metadata };
}

/** A stored or written object as a document of a run. */
export function documentOf(object: KubeObject, file: string): readonly ManifestDocument[] {
  return readManifests(JSON.stringify(object), file).documents;
}
