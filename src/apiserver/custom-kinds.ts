import { randomUUID } from "node:crypto";
import type { Admission, AdmissionRequest, AdmissionResponse } from "../model/api/admission.ts";
import { crdOf } from "../model/api/crd.ts";
import { kindOfVersion } from "../model/api/crd-kinds.ts";
import type { CrdStatus, CustomResourceDefinition } from "../model/api/crd-types.ts";
import type { KubeObject, ResourceDefinition } from "../model/api/resource.ts";
import { isApiError } from "../model/api/status.ts";
import { timestampOf } from "../model/api/timestamp.ts";
import type { CustomKind, LiveCatalog } from "./catalog.ts";
import { admitCrd, asCrd, CLEANUP, CRD_GROUP, CRD_PLURAL, crdKey, isReadable } from "./crd-admission.ts";
import { claim, crdStatus, makeClaims, type NameClaims } from "./crd-status.ts";
import { deleteObject } from "./deletes.ts";
import { sameJson } from "./json.ts";
import { isDone, put, remove } from "./keeping.ts";
import type { Machinery } from "./machinery.ts";
import { asKubeObject, withMetadata } from "./object-meta.ts";
import { everyStored } from "./reads.ts";
import { parseStored, servedObject } from "./serving.ts";
import type { Change, Store, StoredObject } from "./store.ts";
import { mergesStrategically } from "./strategic-merge.ts";
import type { WatchHub } from "./watch.ts";

/** Serves the kinds that users' CustomResourceDefinitions make. */
export interface CustomKinds {
  /** Judges definitions by itself, and asks `next` about all other objects. */
  admission(next: Admission): Admission;
  /** Serves what is stored, from now on without delay what is written, and lists the built-in kinds beside it. */
  start(machinery: Machinery, hub: WatchHub): Promise<void>;
  close(): Promise<void>;
}

/** A definition of the store with what is to become of it. */
interface Entry {
  readonly stored: StoredObject;
  readonly object: KubeObject;
  readonly crd: CustomResourceDefinition;
  readonly status: CrdStatus;
  readonly established: boolean;
}

const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 30_000;
const NO_VALUE = "['']";

/** Does nothing where the catalog has no CustomResourceDefinition. */
export function makeCustomKinds(catalog: LiveCatalog, store: Store, now: () => number): CustomKinds {
  const definition = catalog.stored(CRD_GROUP, CRD_PLURAL);
  if (definition === undefined) {
    return { admission: (next) => next, start: async () => undefined, close: async () => undefined };
  }
  return keepCustomKinds(definition, catalog, store, now);
}

function keepCustomKinds(
  definition: ResourceDefinition,
  catalog: LiveCatalog,
  store: Store,
  now: () => number,
): CustomKinds {
  const known = catalog.definitions;
  const builtIn = Map.groupBy(
    known.filter((each) => !mergesStrategically(each)),
    crdNameOf,
  );
  const made = new Map<string, { readonly of: unknown; readonly kind: CustomKind }>();
  /** Definitions that wait for the end of their objects, by the resource. */
  let leaving = new Map<string, string>();
  let retry: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let again = false;
  let failures = 0;
  let closed = false;
  let unsubscribe = () => undefined as unknown;

  /** Names of the built-in kinds, and those that definitions were given. */
  function claims(
    definitions: readonly { readonly name: string; readonly crd: CustomResourceDefinition }[],
  ): NameClaims {
    const all = makeClaims();
    for (const each of known) claim(all, each.group, crdNameOf(each), each);
    for (const { name, crd } of definitions) {
      const names = isEstablished(crd) ? crd.status?.acceptedNames : undefined;
      if (names !== undefined) claim(all, crd.spec.group, name, names);
    }
    return all;
  }

  function definitionsOf(): {
    stored: StoredObject;
    object: KubeObject;
    crd: CustomResourceDefinition;
    name: string;
  }[] {
    return [...everyStored(store, CRD_GROUP, CRD_PLURAL)].map((stored) => {
      const object = asKubeObject(servedObject(definition, stored.body));
      return { stored, object, crd: asCrd(object), name: stored.name };
    });
  }

  function survey(): Entry[] {
    const definitions = definitionsOf();
    const taken = claims(definitions);
    return definitions.map(({ stored, object, crd, name }) => {
      const terminating = object.metadata.deletionTimestamp !== undefined;
      const { status, established } = crdStatus(taken, name, crd, terminating, now());
      if (established) claim(taken, crd.spec.group, name, status.acceptedNames ?? crd.spec.names);
      return { stored, object, crd, status, established };
    });
  }

  /** Serves what is established; at once, so that a client can use a kind as soon as its definition is answered. */
  function refresh(hub: WatchHub): void {
    const entries = survey().filter(({ established }) => established);
    const users = entries.filter(({ stored }) => !builtIn.has(stored.name));
    catalog.serve(users.map(kindOf));
    leaving = new Map(
      users
        .filter(({ object }) => object.metadata.deletionTimestamp !== undefined)
        .map(({ crd, stored }) => [`${crd.spec.group}/${crd.spec.names.plural}`, stored.name]),
    );
    const names = new Set(users.map(({ stored }) => stored.name));
    for (const name of made.keys()) if (!names.has(name)) made.delete(name);
    hub.endUnserved();
  }

  /** The same as long as the definition says the same: watches and tables hold on to it. */
  function kindOf({ stored, crd, status }: Entry): CustomKind {
    const { name, uid } = stored;
    const { spec } = crd;
    const names = status.acceptedNames ?? spec.names;
    const of = { uid, spec, names };
    const there = made.get(name);
    if (there !== undefined && sameJson(there.of, of)) return there.kind;
    const versions = spec.versions.map((version) => ({
      ...version,
      definition: withReadableColumns(kindOfVersion(name, spec, version, names)),
    }));
    const storage = versions.find((version) => version.storage)?.definition;
    if (storage === undefined) throw new Error(`${name} has no storage version`);
    const kind = { served: versions.filter(({ served }) => served).map((version) => version.definition), storage };
    made.set(name, { of, kind });
    return kind;
  }

  /** Writes statuses that changed, and ends definitions whose objects are gone. */
  async function work(machinery: Machinery): Promise<void> {
    for (const entry of survey()) {
      if (closed) return;
      const { stored, object, status, established } = entry;
      if (!sameJson(object["status"], status)) {
        await store.transact((transaction) => {
          if (transaction.get(stored)?.revision !== stored.revision) return;
          put(machinery, definition, transaction, stored, asKubeObject({ ...object, status }));
        });
      } else if (object.metadata.deletionTimestamp !== undefined && object.metadata.finalizers?.includes(CLEANUP)) {
        await cleanUp(machinery, entry, established);
      }
    }
  }

  /** Deletes the objects of a kind, and lets the definition go when none is left. A kind never served has none. */
  async function cleanUp(machinery: Machinery, { stored, crd }: Entry, established: boolean): Promise<void> {
    const { group, names } = crd.spec;
    const kind = established ? catalog.stored(group, names.plural) : undefined;
    if (kind?.definedBy === stored.name) {
      for (const each of everyStored(store, group, names.plural)) {
        if (closed) return;
        await eraseObject(machinery, kind, each);
      }
    }
    await store.transact((transaction) => {
      const there = transaction.get(stored);
      if (there === undefined || (kind !== undefined && transaction.holds(group, names.plural))) return;
      const current = asKubeObject(parseStored(there.body));
      const left = (current.metadata.finalizers ?? []).filter((finalizer) => finalizer !== CLEANUP);
      const freed = withMetadata(current, { finalizers: left.length === 0 ? undefined : left });
      if (isDone(freed)) remove(machinery, definition, transaction, stored, freed);
      else put(machinery, definition, transaction, stored, freed);
    });
  }

  function wake(machinery: Machinery): void {
    if (closed) return;
    again = true;
    running ??= drain(machinery).finally(() => {
      running = undefined;
      if (again) wake(machinery);
    });
  }

  async function drain(machinery: Machinery): Promise<void> {
    while (again && !closed) {
      again = false;
      try {
        await work(machinery);
        failures = 0;
      } catch (thrown) {
        const wait = Math.min(FIRST_RETRY_MS * 2 ** failures, LAST_RETRY_MS);
        failures += 1;
        machinery.log.warn(
          { err: thrown, wait },
          "the definitions of kinds could not be looked after; they are tried again",
        );
        clearTimeout(retry);
        retry = setTimeout(() => wake(machinery), wait);
      }
    }
  }

  async function storeBuiltIn(machinery: Machinery): Promise<void> {
    for (const [name, versions] of builtIn) {
      const [first, ...others] = versions;
      if (first === undefined) continue;
      const wanted = asKubeObject(crdOf(first, others));
      await store.transact((transaction) => {
        const there = transaction.get(crdKey(name));
        const current = there === undefined ? undefined : asKubeObject(parseStored(there.body));
        if (current !== undefined && sameJson(current["spec"], wanted["spec"])) return;
        const { uid = randomUUID(), creationTimestamp = timestampOf(now()), generation = 0 } = current?.metadata ?? {};
        const metadata = { name, uid, creationTimestamp, generation: generation + 1 };
        const status = current?.["status"];
        put(machinery, definition, transaction, crdKey(name), {
          ...wanted,
          metadata,
          ...(status === undefined ? {} : { status }),
        });
      });
    }
  }

  function judge(request: AdmissionRequest): AdmissionResponse {
    const { name = "", operation } = request;
    if (builtIn.has(name)) return refusal(403, "Forbidden", BUILT_IN);
    const answer = admitCrd(request);
    if (!answer.allowed || operation !== "CREATE") return answer;
    const crd = asCrd(answer.object);
    const { status } = crdStatus(claims(definitionsOf()), name, crd, false, now());
    return { ...answer, object: { ...answer.object, status } };
  }

  return {
    admission: (next) => async (request) => {
      if (request.group === CRD_GROUP && request.plural === CRD_PLURAL) return judge(request);
      if (request.operation === "CREATE" && leaving.has(`${request.group}/${request.plural}`)) {
        return refusal(405, "MethodNotAllowed", LEAVING);
      }
      return next(request);
    },
    async start(machinery, hub) {
      await storeBuiltIn(machinery);
      refresh(hub);
      unsubscribe = store.subscribe((changes) => {
        const isDefinition = ({ group, plural }: Change) => group === CRD_GROUP && plural === CRD_PLURAL;
        try {
          if (changes.some(isDefinition)) refresh(hub);
        } catch (thrown) {
          // What was committed is committed: nobody may wait for its answer in vain.
          machinery.log.error({ err: thrown }, "the kinds of the definitions could not be served anew");
        }
        const isLast = ({ type, group, plural }: Change) => type === "DELETED" && leaving.has(`${group}/${plural}`);
        if (changes.some((change) => isDefinition(change) || isLast(change))) wake(machinery);
      });
      wake(machinery);
      // The built-in kinds are established from the first answer on.
      await running;
    },
    async close() {
      closed = true;
      unsubscribe();
      clearTimeout(retry);
      await running;
    },
  };
}

const BUILT_IN =
  "this kind comes with Patchbay: its definition is here to be read, and changes with Patchbay's version only";
const LEAVING = "create not allowed while custom resource definition is terminating";

function refusal(status: number, reason: string, message: string): AdmissionResponse {
  return { allowed: false, status, reason, message, causes: [], warnings: [] };
}

function crdNameOf({ group, plural }: ResourceDefinition): string {
  return `${plural}.${group}`;
}

function isEstablished({ status }: CustomResourceDefinition): boolean {
  return (
    status?.conditions?.some((condition) => condition.type === "Established" && condition.status === "True") === true
  );
}

/** The column's title stays where its path cannot be read; a warning told so when the definition was written. */
function withReadableColumns(definition: ResourceDefinition): ResourceDefinition {
  const columns = definition.columns.map((column) =>
    isReadable(column.jsonPath) ? column : { ...column, jsonPath: NO_VALUE },
  );
  return { ...definition, columns };
}

async function eraseObject(machinery: Machinery, kind: ResourceDefinition, { namespace, name, body }: StoredObject) {
  if (asKubeObject(parseStored(body)).metadata.deletionTimestamp !== undefined) return;
  const options = {
    user: "system:apiserver",
    dryRun: false,
    propagationPolicy: "Background",
    preconditions: {},
  } as const;
  try {
    await deleteObject(machinery, kind, namespace, name, options);
  } catch (thrown) {
    // Another one was quicker: what was asked for is done.
    if (!isApiError(thrown, "NotFound")) throw thrown;
  }
}
