import { findingJson } from "../model/manifest/finding.ts";
import { type Plan, planVmi } from "../model/wiring/plan.ts";
import { type OfInstances, ofInstances } from "./instances.ts";
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
  const { results: plans, refusals } = isSound(judged) ? planAll(judged) : { results: [], refusals: judged.findings };
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

/** Plans the VMIs and VMs among sound manifests. */
export function planAll(judged: JudgedManifests): OfInstances<Plan> {
  return ofInstances(judged, (request) => planVmi(request));
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
