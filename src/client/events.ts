import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import type { Logger } from "pino";
import { eventResource } from "../model/api/references.ts";
import type { KubeObject } from "../model/api/resource.ts";
import { isApiError } from "../model/api/status.ts";
import { now } from "./change-status.ts";
import type { KubeClient } from "./client.ts";

/** Tells of an object in Events, which `kubectl describe` shows. Never fails: what cannot be written is logged. */
export interface EventRecorder {
  event(object: KubeObject, type: "Normal" | "Warning", reason: string, message: string): void;
  /** Settles when what was told so far is written. */
  flush(): Promise<void>;
}

interface Recorded {
  readonly name: string;
  readonly namespace: string;
  count: number;
}

/** Kubernetes' limit on an event's message. */
const MESSAGE_LENGTH = 1024;
/** Of an event's name, before a dot and 16 digits; a name has at most 253 characters. */
const LONGEST_START = 236;
/** Older ones start anew with a count of one. */
const REMEMBERED = 1000;
/** So many wait for an API that does not answer; what comes then is only logged. */
const MOST_WAITING = 500;

/** A recorder that counts what it says again in one Event instead of writing another. `component` is who speaks. */
export function makeEventRecorder(client: KubeClient, component: string, log: Logger): EventRecorder {
  const recorded = new Map<string, Recorded>();
  let writing: Promise<void> = Promise.resolve();
  let waiting = 0;

  async function write(object: KubeObject, type: string, reason: string, message: string): Promise<void> {
    const namespace = object.metadata.namespace ?? "default";
    const key = [object.metadata.uid, type, reason, message].join("\n");
    const earlier = recorded.get(key);
    if (earlier !== undefined) {
      earlier.count += 1;
      try {
        await client.patch(eventResource, earlier, "merge", { count: earlier.count, lastTimestamp: now() });
        return;
      } catch (thrown) {
        // Events go after a while.
        if (!isApiError(thrown, "NotFound")) throw thrown;
      }
    }
    const at = now();
    const about = object.metadata.name.slice(0, LONGEST_START).replace(/[-.]+$/, "");
    const name = `${about}.${randomBytes(8).toString("hex")}`;
    await client.create(eventResource, {
      apiVersion: "v1",
      kind: "Event",
      metadata: { name, namespace },
      involvedObject: {
        apiVersion: object.apiVersion,
        kind: object.kind,
        namespace,
        name: object.metadata.name,
        uid: object.metadata.uid,
        resourceVersion: object.metadata.resourceVersion,
      },
      type,
      reason,
      message: message.slice(0, MESSAGE_LENGTH),
      source: { component, host: hostname() },
      count: 1,
      firstTimestamp: at,
      lastTimestamp: at,
    });
    recorded.set(key, { name, namespace, count: 1 });
    const [oldest] = recorded.keys();
    if (recorded.size > REMEMBERED && oldest !== undefined) recorded.delete(oldest);
  }

  return {
    event(object, type, reason, message) {
      if (waiting >= MOST_WAITING) {
        log.warn({ reason, message }, "an event is left out: too many wait for the API");
        return;
      }
      waiting += 1;
      writing = writing
        .then(() => write(object, type, reason, message))
        .catch((error: unknown) => log.warn({ error, reason, message }, "an event could not be written"))
        .finally(() => {
          waiting -= 1;
        });
    },
    flush: () => writing,
  };
}
