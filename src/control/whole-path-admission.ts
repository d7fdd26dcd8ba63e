import type { Admission, AdmissionRequest } from "../model/api/admission.ts";
import { isApiError } from "../model/api/status.ts";
import type { Instance } from "../model/whole-path/run.ts";
import { wholePathFindings } from "../model/whole-path/whole-path.ts";
import { documentOf, instanceFrom, type Surroundings } from "./surroundings.ts";

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
  surroundings: Pick<Surroundings, "around" | "expect">,
  configuration: () => Promise<unknown>,
): Admission {
  return async (request) => {
    const answer = await next(request);
    if (!answer.allowed || !isInstance(request)) return answer;
    const instance = instanceFrom(answer.object);
    if (instance === undefined || !leavesThePod(instance)) return answer;
    try {
      const settings = await configuration();
      const stored = await surroundings.around(instance, settings);
      const written = documentOf(answer.object, WRITTEN);
      const findings = wholePathFindings([...stored, ...written], settings, { complete: true });
      const warnings = findings
        .filter(({ file, severity }) => file === WRITTEN && severity !== "info")
        .map(({ code, path, message, hint }) => `${code}: ${path}: ${message}${hint === "" ? "" : ` ${hint}`}`);
      if (!request.dryRun) surroundings.expect(answer.object);
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
function leavesThePod({ networks, nics }: Instance): boolean {
  return (
    networks.some(({ kind }) => kind === "multus" || kind === "genie") ||
    nics.some(({ mac, plugin }) => mac !== undefined || plugin !== undefined)
  );
}
