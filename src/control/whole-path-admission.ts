import { isDeepStrictEqual } from "node:util";
import type { Admission, AdmissionRequest } from "../model/api/admission.ts";
import type { KubeObject } from "../model/api/resource.ts";
import { isApiError } from "../model/api/status.ts";
import type { ManifestDocument } from "../model/manifest/document.ts";
import type { Instance } from "../model/whole-path/run.ts";
import { wholePathFindings } from "../model/whole-path/whole-path.ts";
import { documentOf, instanceFrom, type Surroundings } from "./surroundings.ts";

/** What stands in for the file of an object that is written. */
const WRITTEN = "written";

/**
 * What this host lacks for a VMI or VM that is written, a sentence each; `stored` are the definitions that it names.
 * Only looks at what is at hand, and never rejects.
 */
export type HostWarnings = (
  object: KubeObject,
  stored: readonly ManifestDocument[],
  configuration: unknown,
) => Promise<readonly string[]>;

/** No write waits longer for what is told of the host. */
const HOST_MS = 500;

/**
 * Adds warnings to what `next` admits, for VMIs and VMs whose spec is new: a definition that is not there, a MAC that is
 * in use, a binding that does not go with its definition, what else several objects make of each other, and what the
 * host lacks.
 *
 * Such an object is stored all the same: what it lacks may come later.
 */
export function withWholePath(
  next: Admission,
  surroundings: Pick<Surroundings, "around" | "expect">,
  configuration: () => Promise<unknown>,
  hostWarnings?: HostWarnings,
): Admission {
  return async (request) => {
    const answer = await next(request);
    if (!answer.allowed || !hasNewSpec(request)) return answer;
    const { object } = answer;
    const instance = instanceFrom(object);
    if (instance === undefined) return answer;
    try {
      const settings = await configuration();
      const isWide = leavesThePod(instance);
      const stored = isWide ? await surroundings.around(instance, settings) : [];
      const warnings = isWide ? wholePathWarnings(object, stored, settings) : [];
      const host = hostWarnings === undefined ? [] : await inTime(hostWarnings(object, stored, settings));
      // Of one that is there already the watch tells what became of it.
      if (isWide && !request.dryRun && request.operation === "CREATE") surroundings.expect(object);
      return { ...answer, warnings: [...answer.warnings, ...warnings, ...host] };
    } catch (thrown) {
      // A warning that cannot be had is no reason to refuse.
      if (!isApiError(thrown)) throw thrown;
      return answer;
    }
  };
}

function wholePathWarnings(
  object: KubeObject,
  stored: readonly ManifestDocument[],
  settings: unknown,
): readonly string[] {
  const findings = wholePathFindings([...stored, ...documentOf(object, WRITTEN)], settings, { complete: true });
  return findings
    .filter(({ file, severity }) => file === WRITTEN && severity !== "info")
    .map(({ code, path, message, hint }) => `${code}: ${path}: ${message}${hint === "" ? "" : ` ${hint}`}`);
}

/** What comes too late is not told. */
async function inTime(asked: Promise<readonly string[]>): Promise<readonly string[]> {
  const { promise, resolve } = Promise.withResolvers<readonly string[]>();
  const timer = setTimeout(resolve, HOST_MS, []);
  try {
    return await Promise.race([asked, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** An update of metadata alone, as finalizers are, says nothing new. */
function hasNewSpec(request: AdmissionRequest): boolean {
  const { operation, object, oldObject } = request;
  if (!isInstance(request) || object.metadata.deletionTimestamp !== undefined) return false;
  return operation === "CREATE" || (operation === "UPDATE" && !isDeepStrictEqual(object["spec"], oldObject?.["spec"]));
}

function isInstance({ group, kind, subresource }: AdmissionRequest): boolean {
  return (
    group === "kubevirt.io" &&
    (kind === "VirtualMachineInstance" || kind === "VirtualMachine") &&
    subresource === undefined
  );
}

/** Only networks beside the pod's have to do with other objects, and MACs. */
function leavesThePod({ networks, nics }: Instance): boolean {
  return (
    networks.some(({ kind }) => kind === "multus" || kind === "genie") ||
    nics.some(({ mac, plugin }) => mac !== undefined || plugin !== undefined)
  );
}
