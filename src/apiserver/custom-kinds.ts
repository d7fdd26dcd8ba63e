import type { Admission, AdmissionRequest, AdmissionResponse } from "../model/api/admission.ts";
import type { ResourceDefinition } from "../model/api/resource.ts";
import { isApiError } from "../model/api/status.ts";
import { storeBuiltIn } from "./built-in-crds.ts";
import type { LiveCatalog } from "./catalog.ts";
import { admitCrd, asCrd, CLEANUP, CRD_GROUP, CRD_PLURAL } from "./crd-admission.ts";
import { crdStatus } from "./crd-status.ts";
import { crdNameOf, makeCrdSurvey, makeKindCache, type SurveyedCrd } from "./crd-survey.ts";
import { deleteObject } from "./deletes.ts";
import { sameJson } from "./json.ts";
import { isDone, put, remove } from "./keeping.ts";
import type { Machinery } from "./machinery.ts";
import { asKubeObject, withMetadata } from "./object-meta.ts";
import { everyStored } from "./reads.ts";
import { parseStored } from "./serving.ts";
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

const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 30_000;

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
  const survey = makeCrdSurvey(definition, known, store, now);
  const kinds = makeKindCache();
  /** Definitions that wait for the end of their objects, by the resource. */
  let leaving = new Map<string, string>();
  let retry: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let again = false;
  let failures = 0;
  let closed = false;
  let unsubscribe = () => undefined as unknown;

  /** Serves what is established; at once, so that a client can use a kind as soon as its definition is answered. */
  function refresh(hub: WatchHub): void {
    const entries = survey.take().filter(({ established }) => established);
    const users = entries.filter(({ stored }) => !builtIn.has(stored.name));
    catalog.serve(users.map(kinds.kindOf));
    leaving = new Map(
      users
        .filter(({ object }) => object.metadata.deletionTimestamp !== undefined)
        .map(({ crd, stored }) => [`${crd.spec.group}/${crd.spec.names.plural}`, stored.name]),
    );
    kinds.keep(new Set(users.map(({ stored }) => stored.name)));
    hub.endUnserved();
  }

  /** Writes statuses that changed, and ends definitions whose objects are gone. */
  async function work(machinery: Machinery): Promise<void> {
    for (const entry of survey.take()) {
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
  async function cleanUp(machinery: Machinery, { stored, crd }: SurveyedCrd, established: boolean): Promise<void> {
    const { group, names } = crd.spec;
    const found = established ? catalog.stored(group, names.plural) : undefined;
    const kind = found?.definedBy === stored.name ? found : undefined;
    if (kind !== undefined) {
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

  function judge(request: AdmissionRequest): AdmissionResponse {
    const { name = "", operation } = request;
    if (builtIn.has(name)) return refusal(403, "Forbidden", BUILT_IN);
    const answer = admitCrd(request);
    if (!answer.allowed || operation !== "CREATE") return answer;
    const crd = asCrd(answer.object);
    const { status } = crdStatus(survey.claims(), name, crd, false, now());
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
      await storeBuiltIn(machinery, definition, builtIn);
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

async function eraseObject(machinery: Machinery, kind: ResourceDefinition, { namespace, name, body }: StoredObject) {
  if (asKubeObject(parseStored(body)).metadata.deletionTimestamp !== undefined) return;
  const options = {
    user: "system:apiserver",
    dryRun: false,
    preconditions: {},
  } as const;
  try {
    await deleteObject(machinery, kind, namespace, name, options);
  } catch (thrown) {
    // Another one was quicker: what was asked for is done.
    if (!isApiError(thrown, "NotFound")) throw thrown;
  }
}
