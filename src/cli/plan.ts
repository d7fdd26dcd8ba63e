import { readFileSync } from "node:fs";
import { parse } from "yaml";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import { Fault } from "../model/fault.ts";
import { hostNameOf } from "../model/pods/launcher-pod.ts";
import { withDefaults } from "../model/rules/defaults.ts";
import { settingsOf } from "../model/rules/settings.ts";
import { type Plan, planVmi } from "../model/wiring/plan.ts";
import { typicalFacts } from "../model/wiring/typical-facts.ts";
import { soundDocuments } from "./apply.ts";
import { manifestTexts } from "./manifest-files.ts";

/** Options of `patchbay plan`. */
export interface PlanOptions {
  readonly filename: readonly string[];
  readonly config?: string;
  readonly output?: "text" | "json";
}

/** Prints what would be built for each VMI of the files; does nothing, needs no root and no daemon. */
export function plan(options: PlanOptions): number {
  const documents = soundDocuments(manifestTexts(options.filename));
  if (documents === undefined) return 1;
  const settings = settingsOf(options.config === undefined ? {} : configurationIn(options.config));
  const plans = documents
    .filter(({ value }) => value["kind"] === "VirtualMachineInstance")
    .map(({ value }): Plan => {
      const vmi = value as unknown as Stored<VirtualMachineInstance>;
      const defaulted = withDefaults(vmi.spec, settings);
      if (!defaulted.done)
        throw new Fault(
          defaulted.problem.code,
          defaulted.problem.message,
          defaulted.problem.cure === undefined ? {} : { cure: defaulted.problem.cure },
        );
      const { namespace = "default", name } = vmi.metadata;
      return planVmi({ namespace, name, hostName: hostNameOf(vmi), spec: defaulted.spec }, typicalFacts);
    });
  const [only, ...more] = plans;
  if (options.output === "json")
    process.stdout.write(`${JSON.stringify(more.length === 0 ? only : plans, undefined, 2)}\n`);
  else process.stdout.write(plans.map(inWords).join("\n"));
  return 0;
}

function configurationIn(file: string): unknown {
  const value: unknown = parse(readFileSync(file, "utf8"));
  if (typeof value !== "object" || value === null || !("spec" in value)) return {};
  const { spec } = value;
  return typeof spec === "object" && spec !== null && "configuration" in spec ? spec.configuration : {};
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
