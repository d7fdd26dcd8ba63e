import type { IncomingMessage } from "node:http";
import type { KubeObject } from "../model/api/resource.ts";
import { ApiError, failure, isStatus } from "../model/api/status.ts";
import { Fault } from "../model/fault.ts";
import { isJsonObject } from "../model/json.ts";
import type { Cluster } from "./kubeconfig.ts";
import { type Call, makeTransport } from "./transport.ts";

/** Which resource a call is about. */
export interface ResourceRef {
  /** Empty for core Kubernetes. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

/** One object; `namespace` for namespaced resources. */
export interface ObjectRef {
  readonly namespace?: string;
  readonly name: string;
}

export interface ListQuery {
  /** Absent: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Objects a page; the client reads all pages. */
  readonly limit?: number;
}

export interface KubeList<T> {
  readonly resourceVersion: string;
  readonly items: readonly T[];
}

export interface WriteQuery {
  readonly dryRun?: boolean;
  readonly fieldValidation?: "Strict" | "Warn" | "Ignore";
  /** Hears what the server warns of. */
  readonly warnings?: (warnings: readonly string[]) => void;
}

export interface DeleteQuery {
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly propagationPolicy?: "Background" | "Foreground" | "Orphan";
  readonly gracePeriodSeconds?: number;
  readonly dryRun?: boolean;
}

export interface WatchQuery extends ListQuery {
  readonly resourceVersion: string;
  readonly timeoutSeconds?: number;
  readonly signal?: AbortSignal;
}

/** One event of a watch. A bookmark carries a resourceVersion only. */
export interface WatchEvent<T> {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK";
  readonly object: T;
}

/** A merge patch (RFC 7386) or strategic merge patch is an object, a JSON patch (RFC 6902) a list of operations. */
export type PatchType = "merge" | "json" | "strategic";

const PATCH_TYPES: Readonly<Record<PatchType, string>> = {
  merge: "application/merge-patch+json",
  json: "application/json-patch+json",
  strategic: "application/strategic-merge-patch+json",
};

/**
 * Calls to a Kubernetes API server: the embedded one or any other.
 *
 * Every call throws ApiError for a refusal and Fault PB6012 where the server does not answer. `T` is what the caller
 * knows of the kind: the server has checked it.
 */
export interface KubeClient {
  get<T extends KubeObject>(resource: ResourceRef, ref: ObjectRef): Promise<T>;
  list<T extends KubeObject>(resource: ResourceRef, query?: ListQuery): Promise<KubeList<T>>;
  create<T extends KubeObject>(resource: ResourceRef, object: T, query?: WriteQuery): Promise<T>;
  /** With `metadata.resourceVersion` the write is refused (409) when another came in between. */
  update<T extends KubeObject>(resource: ResourceRef, object: T, query?: WriteQuery): Promise<T>;
  updateStatus<T extends KubeObject>(resource: ResourceRef, object: T, query?: WriteQuery): Promise<T>;
  patch<T extends KubeObject>(
    resource: ResourceRef,
    ref: ObjectRef,
    type: PatchType,
    patch: unknown,
    query?: WriteQuery,
  ): Promise<T>;
  patchStatus<T extends KubeObject>(
    resource: ResourceRef,
    ref: ObjectRef,
    type: PatchType,
    patch: unknown,
    query?: WriteQuery,
  ): Promise<T>;
  delete(resource: ResourceRef, ref: ObjectRef, query?: DeleteQuery): Promise<void>;
  /** Ends when the server ends it or the signal says so; throws ApiError for an event of type ERROR (410 and others). */
  watch<T extends KubeObject>(resource: ResourceRef, query: WatchQuery): AsyncIterable<WatchEvent<T>>;
  /** Any GET, such as `/readyz` or `/version`. */
  raw(path: string): Promise<unknown>;
  close(): void;
}

const PAGE = 500;
const ANSWER_MS = 30_000;

/** A client of one API server, which is given `answerMs` to begin an answer, and to end a watch whose time is over. */
export function makeKubeClient(cluster: Cluster, answerMs: number = ANSWER_MS): KubeClient {
  const transport = makeTransport(cluster, answerMs);

  async function write<T>(call: Call, query: WriteQuery): Promise<T> {
    const { value, warnings } = await transport.call(call);
    if (warnings.length > 0) query.warnings?.(warnings);
    return asObject<T>(value, call);
  }

  function put<T extends KubeObject>(resource: ResourceRef, object: T, below: string, query: WriteQuery): Promise<T> {
    const path = objectPath(resource, object.metadata) + below + writeParameters(query);
    return write<T>({ method: "PUT", path, body: object }, query);
  }

  function patch<T>(
    resource: ResourceRef,
    ref: ObjectRef,
    below: string,
    type: PatchType,
    body: unknown,
    query: WriteQuery,
  ): Promise<T> {
    const path = objectPath(resource, ref) + below + writeParameters(query);
    return write<T>({ method: "PATCH", path, body, contentType: PATCH_TYPES[type] }, query);
  }

  /** The server ends a watch when its time is over: where it does not, the connection has died without a word. */
  function endOverdue(response: IncomingMessage, timeoutSeconds: number | undefined): NodeJS.Timeout | undefined {
    if (timeoutSeconds === undefined) return undefined;
    return setTimeout(
      () => response.destroy(new Error(`its time of ${timeoutSeconds} s is over, and the server is silent`)),
      timeoutSeconds * 1_000 + answerMs,
    );
  }

  async function* watch<T>(resource: ResourceRef, query: WatchQuery): AsyncIterable<WatchEvent<T>> {
    const path =
      collectionPath(resource, query.namespace) +
      parameters({
        watch: "true",
        allowWatchBookmarks: "true",
        resourceVersion: query.resourceVersion,
        labelSelector: query.labelSelector,
        fieldSelector: query.fieldSelector,
        timeoutSeconds: query.timeoutSeconds?.toString(),
      });
    const signal = query.signal === undefined ? {} : { signal: query.signal };
    let response: IncomingMessage;
    try {
      response = await transport.open({ method: "GET", path, ...signal });
    } catch (thrown) {
      if (query.signal?.aborted === true) return;
      throw thrown;
    }
    const overdue = endOverdue(response, query.timeoutSeconds);
    try {
      for await (const line of readLines(response)) yield readEvent<T>(line);
    } catch (thrown) {
      if (query.signal?.aborted === true) return;
      if (thrown instanceof Fault) throw thrown;
      const why = thrown instanceof Error ? thrown.message : String(thrown);
      throw new Fault("PB6012", `the watch of ${resource.plural} broke off: ${why}`, {
        place: cluster.server,
        cause: thrown,
      });
    } finally {
      clearTimeout(overdue);
      response.destroy();
    }
  }

  return {
    async get<T>(resource: ResourceRef, ref: ObjectRef) {
      const call: Call = { method: "GET", path: objectPath(resource, ref) };
      return asObject<T>((await transport.call(call)).value, call);
    },
    async list<T>(resource: ResourceRef, query: ListQuery = {}) {
      const items: T[] = [];
      let token: string | undefined;
      for (;;) {
        const path =
          collectionPath(resource, query.namespace) +
          parameters({
            labelSelector: query.labelSelector,
            fieldSelector: query.fieldSelector,
            limit: String(query.limit ?? PAGE),
            continue: token,
          });
        const page = readListPage<T>((await transport.call({ method: "GET", path })).value, path);
        items.push(...page.items);
        if (page.continue === undefined) return { resourceVersion: page.resourceVersion, items };
        token = page.continue;
      }
    },
    create<T extends KubeObject>(resource: ResourceRef, object: T, query: WriteQuery = {}) {
      const path = collectionPath(resource, namespaceOf(resource, object.metadata)) + writeParameters(query);
      return write<T>({ method: "POST", path, body: object }, query);
    },
    update: (resource, object, query = {}) => put(resource, object, "", query),
    updateStatus: (resource, object, query = {}) => put(resource, object, "/status", query),
    patch: (resource, ref, type, body, query = {}) => patch(resource, ref, "", type, body, query),
    patchStatus: (resource, ref, type, body, query = {}) => patch(resource, ref, "/status", type, body, query),
    async delete(resource, ref, query = {}) {
      const preconditions = {
        ...(query.uid === undefined ? {} : { uid: query.uid }),
        ...(query.resourceVersion === undefined ? {} : { resourceVersion: query.resourceVersion }),
      };
      const body = {
        kind: "DeleteOptions",
        apiVersion: "v1",
        ...(Object.keys(preconditions).length === 0 ? {} : { preconditions }),
        ...(query.propagationPolicy === undefined ? {} : { propagationPolicy: query.propagationPolicy }),
        ...(query.gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds: query.gracePeriodSeconds }),
        ...(query.dryRun === true ? { dryRun: ["All"] } : {}),
      };
      await transport.call({ method: "DELETE", path: objectPath(resource, ref), body });
    },
    watch,
    raw: async (path) => (await transport.call({ method: "GET", path })).value,
    close: () => transport.close(),
  };
}

function collectionPath({ group, version, plural, namespaced }: ResourceRef, namespace: string | undefined): string {
  const root = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
  return namespaced && namespace !== undefined
    ? `${root}/namespaces/${encodeURIComponent(namespace)}/${plural}`
    : `${root}/${plural}`;
}

function objectPath(resource: ResourceRef, ref: ObjectRef): string {
  return `${collectionPath(resource, namespaceOf(resource, ref))}/${encodeURIComponent(ref.name)}`;
}

function namespaceOf(resource: ResourceRef, { namespace }: { readonly namespace?: string }): string | undefined {
  if (!resource.namespaced) return undefined;
  if (namespace === undefined) throw new Error(`a call about one of the ${resource.plural} names no namespace`);
  return namespace;
}

function parameters(values: Readonly<Record<string, string | undefined>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== undefined) query.set(name, value);
  return query.size === 0 ? "" : `?${query.toString()}`;
}

function writeParameters({ dryRun, fieldValidation }: WriteQuery): string {
  return parameters({ dryRun: dryRun === true ? "All" : undefined, fieldValidation, fieldManager: "patchbay" });
}

function isObject<T>(value: unknown): value is T {
  return isJsonObject(value) && isJsonObject(value["metadata"]) && typeof value["kind"] === "string";
}

function asObject<T>(value: unknown, call: Call): T {
  if (isObject<T>(value)) return value;
  throw new Fault("PB6012", `the answer to ${call.method} ${call.path} is no object of the API`);
}

interface ListPage<T> extends KubeList<T> {
  readonly continue: string | undefined;
}

/** Items of a list carry neither apiVersion nor kind on every server; they are taken from the list's own. */
function readListPage<T>(value: unknown, path: string): ListPage<T> {
  const metadata = isJsonObject(value) ? value["metadata"] : undefined;
  const items = isJsonObject(value) ? (value["items"] ?? []) : undefined;
  if (!isJsonObject(value) || !isJsonObject(metadata) || !Array.isArray(items)) {
    throw new Fault("PB6012", `the answer to GET ${path} is no list of the API`);
  }
  const kind = String(value["kind"]).replace(/List$/, "");
  const whole: unknown[] = items.map((item: unknown) => ({
    apiVersion: value["apiVersion"],
    kind,
    ...(isJsonObject(item) ? item : {}),
  }));
  const token = metadata["continue"];
  return {
    resourceVersion: String(metadata["resourceVersion"] ?? ""),
    items: whole.filter(isObject<T>),
    continue: typeof token === "string" && token !== "" ? token : undefined,
  };
}

async function* readLines(response: AsyncIterable<unknown>): AsyncIterable<string> {
  const decoder = new TextDecoder();
  let pieces: string[] = [];
  for await (const chunk of response) {
    if (!(chunk instanceof Uint8Array)) continue;
    const parts = decoder.decode(chunk, { stream: true }).split("\n");
    const last = parts.pop() ?? "";
    for (const part of parts) {
      const line = pieces.join("") + part;
      pieces = [];
      if (line !== "") yield line;
    }
    if (last !== "") pieces.push(last);
  }
}

function readEvent<T>(line: string): WatchEvent<T> {
  const event: unknown = JSON.parse(line);
  if (isJsonObject(event)) {
    const { type, object } = event;
    if (type === "ERROR") {
      const status = isStatus(object) ? object : failure(500, "InternalError", "the watch ended with an error");
      throw new ApiError("PB6010", status);
    }
    const known = type === "ADDED" || type === "MODIFIED" || type === "DELETED" || type === "BOOKMARK";
    if (known && isObject<T>(object)) return { type, object };
  }
  throw new Fault("PB6012", "the watch sent something that is no event");
}
