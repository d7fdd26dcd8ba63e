import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ResourceDefinition } from "../model/api/resource.ts";
import { isApiError } from "../model/api/status.ts";
import { makeCatalog } from "./catalog.ts";
import { readRoute } from "./route.ts";

function definition(
  group: string,
  plural: string,
  namespaced: boolean,
  statusSubresource: boolean,
): ResourceDefinition {
  const names = { kind: plural, plural, singular: plural, shortNames: [], categories: [] };
  return { group, version: "v1", ...names, namespaced, statusSubresource, columns: [] };
}

const catalog = makeCatalog([
  definition("", "namespaces", false, true),
  definition("", "pods", true, true),
  definition("", "configmaps", true, false),
  definition("example.io", "widgets", true, true),
]);

describe("a path", () => {
  const routes: readonly [string, string][] = [
    ["/", "document "],
    ["/api", "document api"],
    ["/api/v1", "document api v1"],
    ["/apis/example.io/v1/", "document apis example.io v1"],
    ["/openapi/v2", "document openapi v2"],
    ["/api/v1/pods", "pods * *"],
    ["/api/v1/namespaces/a/pods", "pods a *"],
    ["/api/v1/namespaces/a/pods/b", "pods a b"],
    ["/api/v1/namespaces/a/pods/b/status", "pods a b status"],
    ["/api/v1/namespaces", "namespaces * *"],
    ["/api/v1/namespaces/a", "namespaces * a"],
    ["/api/v1/namespaces/a/status", "namespaces * a status"],
    ["/apis/example.io/v1/namespaces/a/widgets/b%2Fc", "widgets a b/c"],
  ];
  for (const [path, wanted] of routes) {
    test(path, () => {
      const route = readRoute(catalog, path);
      const found =
        route.to === "document"
          ? `document ${route.path.join(" ")}`
          : [
              route.definition.plural,
              route.namespace ?? "*",
              route.name ?? "*",
              ...(route.subresource ? [route.subresource] : []),
            ].join(" ");
      assert.equal(found, wanted);
    });
  }

  for (const path of [
    "/api/v1/nothings",
    "/api/v2/pods",
    "/api/v1/pods/a",
    "/api/v1/namespaces/a/nothings",
    "/api/v1/namespaces/a/configmaps/b/status",
    "/api/v1/namespaces/a/pods/b/log",
    "/api/v1/namespaces/a/pods/b/status/c",
    "/apis/example.io/v1/pods",
  ]) {
    test(`${path} leads nowhere`, () => {
      assert.throws(
        () => readRoute(catalog, path),
        (thrown) => isApiError(thrown, "NotFound"),
      );
    });
  }
});
