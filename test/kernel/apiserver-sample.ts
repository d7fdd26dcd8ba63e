import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { type ApiServer, type ApiServerOptions, startApiServer } from "../../src/apiserver/server.ts";
import { type KubeClient, makeKubeClient, type ResourceRef } from "../../src/client/client.ts";
import { loadKubeconfig } from "../../src/client/kubeconfig.ts";
import type { Admission } from "../../src/model/api/admission.ts";
import { pod } from "../../src/model/api/pod.ts";
import type { KubeObject, PrinterColumn, ResourceDefinition } from "../../src/model/api/resource.ts";

const column = (name: string, jsonPath: string, priority = 0): PrinterColumn => ({
  name,
  jsonPath,
  type: "string",
  description: `${name} of the object.`,
  priority,
});

const core = {
  group: "",
  version: "v1",
  shortNames: [],
  categories: [],
  namespaced: true,
  statusSubresource: false,
  unconditionalUpdate: true,
  columns: [],
} as const;

const text = { type: "string" };
const anything = { type: "object", "x-kubernetes-preserve-unknown-fields": true };

/** Core kinds and one like a custom resource's, for tests of the machinery alone. */
export const sampleDefinitions: readonly ResourceDefinition[] = [
  {
    ...core,
    kind: "Namespace",
    plural: "namespaces",
    singular: "namespace",
    shortNames: ["ns"],
    namespaced: false,
    statusSubresource: true,
    columns: [column("Status", ".status.phase")],
  },
  { ...core, kind: "ConfigMap", plural: "configmaps", singular: "configmap", shortNames: ["cm"] },
  { ...core, kind: "Secret", plural: "secrets", singular: "secret" },
  { ...core, kind: "Event", plural: "events", singular: "event", shortNames: ["ev"] },
  { ...core, kind: "Pod", plural: "pods", singular: "pod", shortNames: ["po"], statusSubresource: true, schema: pod },
  {
    group: "example.io",
    version: "v1",
    kind: "Widget",
    plural: "widgets",
    singular: "widget",
    shortNames: ["wd"],
    categories: ["all"],
    namespaced: true,
    statusSubresource: true,
    columns: [column("Size", ".spec.size"), column("Colour", ".spec.colour", 1)],
    schema: {
      type: "object",
      properties: {
        apiVersion: text,
        kind: text,
        metadata: anything,
        spec: {
          type: "object",
          required: ["size"],
          properties: {
            size: text,
            colour: text,
            parts: { type: "array", items: text },
            ports: {
              type: "array",
              items: {
                type: "object",
                required: ["name"],
                properties: { name: text, port: { type: "integer" }, note: text },
              },
              "x-kubernetes-list-type": "map",
              "x-kubernetes-list-map-keys": ["name"],
            },
          },
        },
        status: anything,
      },
    },
  },
];

export const widgets: ResourceRef = { group: "example.io", version: "v1", plural: "widgets", namespaced: true };
export const configMaps: ResourceRef = { group: "", version: "v1", plural: "configmaps", namespaced: true };
export const pods: ResourceRef = { group: "", version: "v1", plural: "pods", namespaced: true };
export const events: ResourceRef = { group: "", version: "v1", plural: "events", namespaced: true };
export const namespaces: ResourceRef = { group: "", version: "v1", plural: "namespaces", namespaced: false };

export const allowAll: Admission = async ({ object }) => ({ allowed: true, object, warnings: [] });

export function widget(name: string, size = "large", extra: Partial<KubeObject["metadata"]> = {}): KubeObject {
  return {
    apiVersion: "example.io/v1",
    kind: "Widget",
    metadata: { name, namespace: "default", ...extra },
    spec: { size },
  };
}

export function configMap(name: string, data: Readonly<Record<string, string>> = {}): KubeObject {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: "default" }, data };
}

/** A server of a test's own with a client to it. */
export interface Sample {
  readonly folder: string;
  readonly kubeconfig: string;
  readonly server: ApiServer;
  readonly client: KubeClient;
  /** Stops the server; the folder stays for the next one. */
  stop(): Promise<void>;
}

export async function startSample(folder: string, options: Partial<ApiServerOptions> = {}): Promise<Sample> {
  const server = await startApiServer({
    dataDir: folder,
    port: 0,
    definitions: sampleDefinitions,
    admission: allowAll,
    log: pino({ level: "silent" }),
    ...options,
  });
  const kubeconfig = join(folder, "kubeconfig");
  const client = makeKubeClient(loadKubeconfig(kubeconfig));
  return {
    folder,
    kubeconfig,
    server,
    client,
    async stop() {
      client.close();
      await server.close();
    },
  };
}

/** A folder of a test's own, and how to be rid of it. */
export function makeFolder(): { readonly folder: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-api-"));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Waits until `done` holds; looks every few milliseconds and gives up with `what` after two minutes. */
export async function until(what: string, done: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 120_000;
  while (!(await done())) {
    if (performance.now() > deadline) throw new Error(`${what} did not come within 120 s`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
