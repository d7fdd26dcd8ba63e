import { flagParameter, parameter, wholeParameter } from "../apiserver/query.ts";
import type { TextCall } from "../apiserver/subresources.ts";
import type { KubeClient } from "../client/client.ts";
import { readLogs } from "../host/guest/log-reader.ts";
import type { Pod } from "../model/api/pod.ts";
import { podResource } from "../model/api/references.ts";
import { ApiError, failure } from "../model/api/status.ts";
import type { Stored } from "../model/api/stored.ts";
import { LAUNCHER_LABEL, LAUNCHER_LABEL_VALUE } from "../model/pods/launcher-pod.ts";
import { type PodLogParts, podLog } from "../node/pod-logs.ts";

/** `PodLogOptions` of core/v1, as far as they can be kept. */
interface LogOptions {
  /** Empty: the pod's only one. */
  readonly container: string;
  readonly follow: boolean;
  readonly previous: boolean;
  readonly tailLines?: number;
  /** Bytes. */
  readonly limitBytes?: number;
  /** Milliseconds of the epoch. */
  readonly since?: number;
}

/**
 * What a container of a pod has printed, as `kubectl logs` asks for it, in Kubernetes' words where it cannot be told. When
 * a line was printed is not known: options that need it are refused.
 *
 * @throws ApiError 400, 404
 */
export async function textOfPodLog(
  client: KubeClient,
  parts: PodLogParts,
  { namespace, name, query, signal }: TextCall,
): Promise<AsyncIterable<Uint8Array>> {
  const options = readOptions(query, Date.now());
  const pod = await client.get<Stored<Pod>>(podResource, { namespace, name });
  const container = containerOf(pod, options.container);
  if (options.previous) throw badRequest(`previous terminated container "${container}" in pod "${name}" not found`);
  const { since, tailLines, limitBytes } = options;
  if (since !== undefined && since > Date.parse(pod.metadata.creationTimestamp ?? "")) {
    throw untimed(
      query.has("sinceTime") ? "sinceTime" : "sinceSeconds",
      "only a time before the pod's beginning can be",
    );
  }
  const log = podLog(parts, pod.metadata.uid, container);
  if (log === undefined) throw badRequest(whyNothing(pod, container));
  const text = readLogs(log.sources, {
    ...(tailLines === undefined ? {} : { tailLines }),
    ...(options.follow ? { follow: { over: log.over, signal } } : {}),
  });
  return limitBytes === undefined ? text : firstBytes(text, limitBytes);
}

function readOptions(query: URLSearchParams, now: number): LogOptions {
  if (flagParameter(query, "timestamps")) throw untimed("timestamps");
  const stream = parameter(query, "stream") ?? "All";
  if (stream !== "All") throw badRequest(`stream: Unsupported value: "${stream}": supported values: "All"`);
  const tailLines = wholeParameter(query, "tailLines");
  const limitBytes = positive(query, "limitBytes");
  const since = sinceOf(query, now);
  return {
    container: parameter(query, "container") ?? "",
    follow: flagParameter(query, "follow"),
    previous: flagParameter(query, "previous"),
    ...(tailLines === undefined ? {} : { tailLines }),
    ...(limitBytes === undefined ? {} : { limitBytes }),
    ...(since === undefined ? {} : { since }),
  };
}

function sinceOf(query: URLSearchParams, now: number): number | undefined {
  const [seconds, time] = [positive(query, "sinceSeconds"), parameter(query, "sinceTime")];
  if (seconds !== undefined && time !== undefined) {
    throw badRequest("at most one of `sinceTime` or `sinceSeconds` may be specified");
  }
  if (time === undefined) return seconds === undefined ? undefined : now - seconds * 1_000;
  const since = /^\d{4}-\d\d-\d\dT/.test(time) ? Date.parse(time) : Number.NaN;
  if (Number.isNaN(since)) throw badRequest(`sinceTime: Invalid value: "${time}": must be a time of RFC 3339`);
  return since;
}

function positive(query: URLSearchParams, name: string): number | undefined {
  const value = wholeParameter(query, name);
  if (value === 0) throw badRequest(`${name}: Invalid value: 0: must be greater than 0`);
  return value;
}

function containerOf(pod: Stored<Pod>, asked: string): string {
  const { containers = [], initContainers = [], ephemeralContainers = [] } = pod.spec ?? {};
  const { name } = pod.metadata;
  const names = (all: readonly { readonly name?: string }[]): string[] => all.flatMap((each) => each.name ?? []);
  if (asked !== "") {
    if (names([...containers, ...initContainers, ...ephemeralContainers]).includes(asked)) return asked;
    throw badRequest(`container ${asked} is not valid for pod ${name}`);
  }
  const [only, ...others] = names(containers);
  if (only !== undefined && others.length === 0) return only;
  const choice = only === undefined ? "" : `, choose one of: [${[only, ...others].join(" ")}]`;
  throw badRequest(`a container name must be specified for pod ${name}${choice}`);
}

function whyNothing({ metadata: { name, labels }, status }: Stored<Pod>, container: string): string {
  const which = `container "${container}" in pod "${name}"`;
  if (status?.phase === "Succeeded" || status?.phase === "Failed") {
    return `the guest of ${which} has ended, and what was printed is not kept; the VMI's conditions and events have QEMU's last words`;
  }
  const isRun = labels?.[LAUNCHER_LABEL] === LAUNCHER_LABEL_VALUE;
  const why = isRun ? "ContainerCreating" : "this version of Patchbay runs the pods of VMIs only";
  return `${which} is waiting to start: ${why}`;
}

async function* firstBytes(text: AsyncIterable<Uint8Array>, limit: number): AsyncGenerator<Uint8Array> {
  let left = limit;
  for await (const piece of text) {
    yield piece.subarray(0, left);
    left -= piece.length;
    if (left <= 0) return;
  }
}

function untimed(option: string, more?: string): ApiError {
  return badRequest(
    `${option}: Forbidden: when a line was printed is not recorded${more === undefined ? "" : `: ${more}`}; leave it out`,
  );
}

function badRequest(message: string): ApiError {
  return new ApiError("PB6010", failure(400, "BadRequest", message));
}
