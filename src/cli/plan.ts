import type { KubeObject } from "../model/api/resource.ts";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachine } from "../model/api/vm.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import { Fault } from "../model/fault.ts";
import type { ManifestDocument } from "../model/manifest/read.ts";
import { hostNameOf } from "../model/pods/launcher-pod.ts";
import { admitVmi } from "../model/rules/admit.ts";
import { type Plan, planVmi } from "../model/wiring/plan.ts";
import { typicalFacts } from "../model/wiring/typical-facts.ts";
import { isSound, judgeManifests, printFindings } from "./judged-manifests.ts";

/** Options of `patchbay plan`. */
export interface PlanOptions {
  readonly filename: readonly string[];
  readonly config?: string;
  readonly output?: "text" | "json";
}

/** Prints what would be built for each VMI and VM of the files; does nothing, needs no root and no daemon. */
export function plan(options: PlanOptions): number {
  const judged = judgeManifests(options.filename, options.config);
  printFindings(judged, process.stderr);
  if (!isSound(judged)) return 1;
  const plans = judged.documents.flatMap(({ value }) => planned(instanceOf(value), judged.configuration));
  if (options.output === "json") {
    const [only, ...more] = plans;
    process.stdout.write(`${JSON.stringify(only !== undefined && more.length === 0 ? only : plans, undefined, 2)}\n`);
  } else process.stdout.write(plans.map(inWords).join("\n"));
  return 0;
}

/** The instance that a document is, or that its VirtualMachine's template makes. */
function instanceOf(value: ManifestDocument["value"]): KubeObject | undefined {
  const object = value as KubeObject;
  if (object.kind === "VirtualMachineInstance") return object;
  if (object.kind !== "VirtualMachine") return undefined;
  const { template } = (value as unknown as VirtualMachine).spec;
  const { metadata } = object;
  return { apiVersion: object.apiVersion, kind: "VirtualMachineInstance", metadata, spec: template.spec };
}

function planned(instance: KubeObject | undefined, configuration: unknown): readonly Plan[] {
  if (instance === undefined) return [];
  const answer = admitVmi(instance, configuration);
  if (!answer.allowed) throw new Fault("PB1000", answer.message, { place: instance.metadata.name });
  const vmi = answer.object as unknown as Stored<VirtualMachineInstance>;
  const { namespace = "default", name } = instance.metadata;
  return [planVmi({ namespace, name, hostName: hostNameOf(vmi), spec: vmi.spec }, typicalFacts)];
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
