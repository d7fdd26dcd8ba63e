import type { KubeClient, ResourceRef } from "../client/client.ts";
import { definitionOf } from "../model/api/kinds.ts";
import type { KubeObject } from "../model/api/resource.ts";
import { isApiError } from "../model/api/status.ts";
import { Fault } from "../model/fault.ts";
import type { Finding } from "../model/manifest/finding.ts";
import type { ManifestDocument } from "../model/manifest/read.ts";
import { renderFinding, renderSummary } from "../model/manifest/render.ts";
import { checkDocument } from "../model/manifest/shape-findings.ts";
import { type ManifestText, readAll } from "./manifest-files.ts";

/** The documents of some files, when nothing in them is an error; else the findings are printed and there are none. PB1000 where the files hold nothing. */
export function soundDocuments(texts: readonly ManifestText[]): readonly ManifestDocument[] | undefined {
  const read = readAll(texts);
  if (read.every(({ documents, findings }) => documents.length === 0 && findings.length === 0)) {
    const place = texts.map(({ file }) => file).join(", ");
    throw new Fault("PB1000", `There is no manifest in ${place === "" ? "the folders named" : place}.`, {
      cure: "Name files that hold at least one resource.",
    });
  }
  const documents = read.flatMap((manifests) => manifests.documents);
  const findings = [
    ...read.flatMap((manifests) => manifests.findings),
    ...documents.flatMap((document) => checkDocument(document).findings),
  ];
  printFindings(findings, texts);
  return findings.some(({ severity }) => severity === "error") ? undefined : documents;
}

/** Findings on stderr, with their source lines; coloured on a terminal. */
export function printFindings(findings: readonly Finding[], texts: readonly ManifestText[]): void {
  if (findings.length === 0) return;
  const colour = process.stderr.isTTY === true;
  for (const finding of findings) {
    const source = texts.find(({ file }) => file === finding.file)?.text ?? "";
    process.stderr.write(`${renderFinding(finding, { source, colour })}\n`);
  }
  process.stderr.write(`${renderSummary(findings)}\n`);
}

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

function addressed(document: ManifestDocument): { readonly resource: ResourceRef; readonly object: KubeObject } {
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
