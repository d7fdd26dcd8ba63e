import type { Catalog } from "./catalog.ts";
import { aggregatedDiscovery, apiGroup, apiGroupList, apiResourceList, apiVersions } from "./discovery.ts";
import { serveOpenApi } from "./openapi-documents.ts";
import { noSuchResource } from "./refusals.ts";
import { chooseRepresentation, type MediaRange } from "./representation.ts";
import type { DocumentRequest, ServedDocument } from "./served-document.ts";

/** The version that clients are told; kubectl asks it for what it may use. */
const KUBERNETES = { major: "1", minor: "32", gitVersion: "v1.32.0+patchbay" };

/** What there is beside the groups; health and metrics are answered elsewhere. */
const PATHS = ["/api", "/apis", "/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/readyz", "/version"];

/**
 * Answers discovery, versions and OpenAPI.
 *
 * @throws ApiError 404 for other paths.
 */
export function serveDocument(catalog: Catalog, request: DocumentRequest): ServedDocument {
  const { path, accept } = request;
  const [root, group, version] = path;
  switch (path.length === 0 ? "" : root) {
    case "":
      return json({ paths: PATHS });
    case "api":
      if (group !== undefined) return json(found(apiResourceList(catalog, "", group)));
      return aggregated(catalog, true, accept) ?? json(apiVersions());
    case "apis":
      if (group === undefined) return aggregated(catalog, false, accept) ?? json(apiGroupList(catalog));
      if (version === undefined) return json(found(apiGroup(catalog, group)));
      return json(found(apiResourceList(catalog, group, version)));
    case "version":
      return json({
        ...KUBERNETES,
        gitCommit: "",
        gitTreeState: "clean",
        buildDate: "1970-01-01T00:00:00Z",
        goVersion: "",
        compiler: "node",
        platform: "linux/amd64",
      });
    case "openapi":
      return serveOpenApi(catalog, request, KUBERNETES.gitVersion);
  }
  throw noSuchResource();
}

function json(value: object): ServedDocument {
  return { type: "application/json", content: JSON.stringify(value) };
}

function found(document: object | undefined): object {
  if (document === undefined) throw noSuchResource();
  return document;
}

function aggregated(catalog: Catalog, core: boolean, accept: readonly MediaRange[]): ServedDocument | undefined {
  const form = chooseRepresentation(accept);
  if (form.as !== "APIGroupDiscoveryList") return undefined;
  return {
    type: `application/json;g=apidiscovery.k8s.io;v=${form.version};as=APIGroupDiscoveryList`,
    content: JSON.stringify(aggregatedDiscovery(catalog, core, form.version)),
  };
}
