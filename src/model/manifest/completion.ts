import { isJsonObject } from "../json.ts";
import { completeAttachment } from "./complete-attachment.ts";
import { completeFields } from "./complete-fields.ts";
import { completeFragment } from "./complete-fragment.ts";
import type { ManifestDocument } from "./document.ts";
import { type Finding, findingAt } from "./finding.ts";
import { type Completed, rewritten, withField } from "./rewritten.ts";

export interface CompletedManifests {
  readonly documents: readonly ManifestDocument[];
  readonly findings: readonly Finding[];
}

/**
 * Completes what examples of manifests commonly leave out or get wrong, and tells of each change at its line.
 *
 * Only what has one meaning: an older apiVersion (PB1010), a fragment of a VMI (PB1011), the kind `Kubevirt` (PB1012),
 * fields one level off (PB1013), a volume without a name (PB1014), a CNI configuration without name or version (PB1015),
 * a fragment without memory (PB1016). Everything else is left for the checks to refuse. The API takes no part in this. Never throws.
 */
export function completeManifests(documents: readonly ManifestDocument[]): CompletedManifests {
  const names = new Set(documents.flatMap(({ value }) => nameOf(value) ?? []));
  const completed = documents.map((document) =>
    inTurn(document, [
      (one) => completeFragment(one, names),
      completeVersion,
      completeKind,
      completeFields,
      completeAttachment,
    ]),
  );
  return {
    documents: completed.map(({ document }) => document),
    findings: completed.flatMap(({ findings }) => findings),
  };
}

/** One step after the other, each on what the one before made. */
function inTurn(document: ManifestDocument, steps: readonly ((document: ManifestDocument) => Completed)[]): Completed {
  return steps.reduce<Completed>(
    (before, step) => {
      const after = step(before.document);
      return { document: after.document, findings: [...before.findings, ...after.findings] };
    },
    { document, findings: [] },
  );
}

/** Versions with the same fields as the one that is served. */
const OLDER_VERSIONS: ReadonlyMap<unknown, string> = new Map([["kubevirt.io/v1alpha3", "kubevirt.io/v1"]]);

function completeVersion(document: ManifestDocument): Completed {
  const version = document.value["apiVersion"];
  const served = OLDER_VERSIONS.get(version);
  if (served === undefined) return { document, findings: [] };
  const warning = findingAt(document, ["apiVersion"], {
    code: "PB1010",
    severity: "warning",
    message: `"${String(version)}" is an older name of "${served}", and was read as that.`,
    expected: served,
    hint: `Write ${served}.`,
  });
  return { document: rewritten(document, withField(document.value, ["apiVersion"], served)), findings: [warning] };
}

/** `Kubevirt`, as a page of KubeVirt's own documentation writes it. */
function completeKind(document: ManifestDocument): Completed {
  if (document.value["kind"] !== "Kubevirt") return { document, findings: [] };
  const warning = findingAt(document, ["kind"], {
    code: "PB1012",
    severity: "warning",
    message: 'The kind "Kubevirt" was read as "KubeVirt".',
    expected: "KubeVirt",
    hint: "Write kind: KubeVirt; a cluster refuses the other.",
  });
  return { document: rewritten(document, withField(document.value, ["kind"], "KubeVirt")), findings: [warning] };
}

function nameOf(value: ManifestDocument["value"]): string | undefined {
  const metadata = value["metadata"];
  const name = isJsonObject(metadata) ? metadata["name"] : undefined;
  return typeof name === "string" ? name : undefined;
}
