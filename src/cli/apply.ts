import type { KubeClient, ResourceRef } from "../client/client.ts";
import { definitionOf } from "../model/api/kinds.ts";
import type { KubeObject } from "../model/api/resource.ts";
import { isApiError } from "../model/api/status.ts";
import { Fault } from "../model/fault.ts";
import type { ManifestDocument } from "../model/manifest/document.ts";

/** Creates the object, or merges it into the one there is; gives what is stored. */
export async function apply(client: KubeClient, document: ManifestDocument): Promise<KubeObject> {
  const { resource, object } = addressed(document);
  const query = {
    warnings: (warnings: readonly string[]) =>
      process.stderr.write(warnings.map((warning) => `warning: ${warning}\n`).join("")),
  };
  try {
    return await client.create(resource, object, query);
  } catch (thrown) {
    if (!isApiError(thrown, "AlreadyExists")) throw thrown;
    return client.patch(resource, object.metadata, "merge", object, query);
  }
}

/** True for a kind that the API serves. */
export function isServed({ value }: ManifestDocument): boolean {
  return definitionOf(String(value["apiVersion"]), String(value["kind"])) !== undefined;
}

/** An object, and where the API keeps it; PB1000 where it has no name or the API no such kind. */
export function addressed(document: ManifestDocument): { readonly resource: ResourceRef; readonly object: KubeObject } {
  const { value } = document;
  const { apiVersion, kind, metadata } = value;
  const definition = definitionOf(String(apiVersion), String(kind));
  if (
    definition === undefined ||
    typeof metadata !== "object" ||
    metadata === null ||
    !("name" in metadata) ||
    typeof metadata.name !== "string"
  ) {
    throw new Fault(
      "PB1000",
      `${document.file}: the ${String(kind)} has no kind that this API serves, or no metadata.name.`,
      {
        place: document.file,
        cure: "Give it a name, and a kind that `kubectl api-resources` lists.",
      },
    );
  }
  const namespace = "namespace" in metadata && typeof metadata.namespace === "string" ? metadata.namespace : "default";
  const { group, version, plural, namespaced } = definition;
  return {
    resource: { group, version, plural, namespaced },
    object: {
      ...value,
      apiVersion: String(apiVersion),
      kind: String(kind),
      metadata: { ...metadata, name: metadata.name, ...(namespaced ? { namespace } : {}) },
    },
  };
}
