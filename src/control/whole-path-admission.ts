import type { KubeClient } from "../client/client.ts";
import type { Admission, AdmissionRequest } from "../model/api/admission.ts";
import { definitionResource, vmiResource, vmResource } from "../model/api/references.ts";
import type { KubeObject } from "../model/api/resource.ts";
import { isApiError } from "../model/api/status.ts";
import { type ManifestDocument, readManifests } from "../model/manifest/read.ts";
import { wholePathFindings } from "../model/whole-path/whole-path.ts";

/** What stands in for the file of an object that is written. */
const WRITTEN = "written";

/**
 * Adds warnings to what `next` admits, for VMIs and VMs: a definition that is not there, a MAC that is in use, a binding
 * that does not go with its definition, and what else several objects make of each other.
 *
 * Such an object is stored all the same: what it lacks may come later.
 */
export function withWholePath(
  next: Admission,
  client: () => Pick<KubeClient, "list">,
  configuration: () => Promise<unknown>,
): Admission {
  return async (request) => {
    const answer = await next(request);
    if (!answer.allowed || !isInstance(request) || !leavesThePod(answer.object)) return answer;
    try {
      const stored = await around(client(), answer.object);
      const written = documentOf(answer.object, WRITTEN);
      const findings = wholePathFindings([...stored, ...written], await configuration(), { complete: true });
      const warnings = findings
        .filter(({ file, severity }) => file === WRITTEN && severity !== "info")
        .map(({ code, path, message, hint }) => `${code}: ${path}: ${message}${hint === "" ? "" : ` ${hint}`}`);
      return { ...answer, warnings: [...answer.warnings, ...warnings] };
    } catch (thrown) {
      // A warning that cannot be had is no reason to refuse.
      if (!isApiError(thrown)) throw thrown;
      return answer;
    }
  };
}

function isInstance({ group, kind, operation, subresource }: AdmissionRequest): boolean {
  return (
    group === "kubevirt.io" &&
    (kind === "VirtualMachineInstance" || kind === "VirtualMachine") &&
    operation === "CREATE" &&
    subresource === undefined
  );
}

/** Only networks beside the pod's have to do with other objects, and MACs. */
function leavesThePod(object: KubeObject): boolean {
  return /"(?:multus|genie|macAddress|binding)":/.test(JSON.stringify(object["spec"] ?? {}));
}

async function around(client: Pick<KubeClient, "list">, object: KubeObject): Promise<readonly ManifestDocument[]> {
  const hasMac = JSON.stringify(object["spec"]).includes('"macAddress":');
  const kinds = [definitionResource, ...(hasMac ? [vmiResource, vmResource] : [])];
  const lists = await Promise.all(kinds.map((kind) => client.list<KubeObject>(kind)));
  return lists.flatMap(({ items }) => items.flatMap((item) => documentOf(item, "stored")));
}

function documentOf(object: KubeObject, file: string): readonly ManifestDocument[] {
  return readManifests(JSON.stringify(object), file).documents;
}
