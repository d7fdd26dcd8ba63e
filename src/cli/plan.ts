import { fieldPath, indexed, parseFieldPath } from "../model/api/field-path.ts";
import type { KubeObject } from "../model/api/resource.ts";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachine } from "../model/api/vm.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import { Fault, isFault } from "../model/fault.ts";
import { type Finding, findingAt, findingJson } from "../model/manifest/finding.ts";
import type { ManifestDocument } from "../model/manifest/read.ts";
import { hostNameOf } from "../model/pods/launcher-pod.ts";
import { judge } from "../model/rules/judge.ts";
import { settingsOf } from "../model/rules/settings.ts";
import { type Plan, planVmi } from "../model/wiring/plan.ts";
import { isSound, type JudgedManifests, judgeManifests, printFindings } from "./judged-manifests.ts";

/** Options of `patchbay plan`. */
export interface PlanOptions {
  readonly filename: readonly string[];
  readonly config?: string;
  readonly output?: "text" | "json";
}

/**
 * Prints what would be built for each VMI and VM of the files; does nothing, needs no root and no daemon.
 *
 * What cannot be built is told as findings, beside the plans of the others.
 */
export function plan(options: PlanOptions): number {
  const judged = judgeManifests(options.filename, options.config);
  printFindings(judged, process.stderr);
  const { plans, refusals } = isSound(judged) ? planAll(judged) : { plans: [], refusals: judged.findings };
  if (isSound(judged)) printFindings({ ...judged, findings: refusals }, process.stderr);
  if (plans.length === 0 && refusals.length > 0) {
    if (options.output === "json") {
      process.stdout.write(`${JSON.stringify({ findings: refusals.map(findingJson) }, undefined, 2)}\n`);
    }
    return 1;
  }
  if (options.output === "json") {
    const [only, ...more] = plans;
    process.stdout.write(`${JSON.stringify(only !== undefined && more.length === 0 ? only : plans, undefined, 2)}\n`);
  } else process.stdout.write(plans.map(inWords).join("\n"));
  return refusals.length === 0 ? 0 : 1;
}

export interface Plans {
  readonly plans: readonly Plan[];
  /** Why VMIs and VMs are missing above. */
  readonly refusals: readonly Finding[];
}

/** Plans the VMIs and VMs among sound manifests. */
export function planAll({ documents, configuration }: JudgedManifests): Plans {
  const plans: Plan[] = [];
  const refusals: Finding[] = [];
  for (const document of documents) {
    try {
      plans.push(...planned(instanceOf(document.value), configuration));
    } catch (thrown) {
      if (!isFault(thrown)) throw thrown;
      refusals.push(refusal(document, thrown));
    }
  }
  return { plans, refusals };
}

/** A fault at the place in the manifest that it names; at its `spec` where it names another. */
function refusal(document: ManifestDocument, { code, message, place = "", cure = "" }: Fault): Finding {
  const at = place.startsWith("spec.") ? parseFieldPath(place) : ["spec"];
  const whole = document.value["kind"] === "VirtualMachine" ? ["spec", "template", ...at] : at;
  return findingAt(
    document,
    indexed(document.value, whole),
    { code, severity: "error", message, hint: cure },
    { part: "key" },
  );
}

/** What KubeVirt makes of a template without a spec. */
const EMPTY_SPEC = { domain: { devices: {} } };

/** The instance that a document is, or that its VirtualMachine's template makes. */
function instanceOf(value: ManifestDocument["value"]): KubeObject | undefined {
  const object = value as KubeObject;
  if (object.kind === "VirtualMachineInstance") return object;
  if (object.kind !== "VirtualMachine") return undefined;
  const { template } = (value as unknown as VirtualMachine).spec;
  const { metadata } = object;
  return { apiVersion: object.apiVersion, kind: "VirtualMachineInstance", metadata, spec: template.spec ?? EMPTY_SPEC };
}

function planned(instance: KubeObject | undefined, configuration: unknown): readonly Plan[] {
  if (instance === undefined) return [];
  const { problems, defaulted } = judge("VirtualMachineInstance", named(instance), configuration);
  // A template may lack what its instance needs.
  for (const { code, message, at, cure } of problems) {
    throw new Fault(code, message, { place: fieldPath(at), ...(cure === undefined ? {} : { cure }) });
  }
  if (defaulted === undefined) return [];
  const vmi = defaulted as Stored<VirtualMachineInstance>;
  const { namespace = "default", name, annotations = {} } = vmi.metadata;
  const { plugins } = settingsOf(configuration);
  return [planVmi({ namespace, name, hostName: hostNameOf(vmi), spec: vmi.spec, annotations, plugins })];
}

/** With a name in place of the one that the API would make of `generateName`. */
function named(instance: KubeObject): KubeObject {
  return { ...instance, metadata: { ...instance.metadata, name: nameOf(instance) } };
}

function nameOf({ metadata }: KubeObject): string {
  return metadata.name || `${metadata.generateName ?? ""}xxxxx`;
}

function inWords({ vmi, pod, nics }: Plan): string {
  return [
    `${vmi.namespace}/${vmi.name}`,
    "  links in the pod:",
    ...pod.links.map((link) => `    ${link.name} (${link.kind}) mac ${link.mac} mtu ${link.mtu}`),
    "  addresses:",
    ...pod.addresses.map(({ link, cidr }) => `    ${link} ${cidr}`),
    "  sysctls:",
    ...pod.sysctls.map(({ key, value }) => `    ${key.replaceAll("/", ".")} = ${value}`),
    ...pod.nft.map((table) => `  ${table.replaceAll("\n", "\n  ").replaceAll("\t", "  ")}`),
    ...nics.flatMap(({ name, binding, podInterface, guest, serve }) => [
      `  NIC ${name}: ${binding} on ${podInterface}`,
      `    guest: ${guest.model} ${guest.mac} mtu ${guest.mtu} queues ${guest.queues} pci ${guest.pci}`,
      ...(serve.dhcp4 === undefined
        ? []
        : [
            `    DHCPv4: ${serve.dhcp4.clientAddress}/${serve.dhcp4.prefixLength} router ${serve.dhcp4.routers.join(", ")} DNS ${serve.dhcp4.dnsServers.join(", ")}`,
          ]),
      ...(serve.dhcp6 === undefined
        ? []
        : [`    DHCPv6: ${serve.dhcp6.clientAddress} DNS ${serve.dhcp6.dnsServers.join(", ")}`]),
      ...(serve.ra === undefined
        ? []
        : [`    router advertisements: from ${serve.ra.linkLocal}, prefix ${serve.ra.prefix}`]),
    ]),
    "",
  ].join("\n");
}
