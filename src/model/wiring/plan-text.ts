import { listenedText } from "../explain/ports.ts";
import type { Plan, PlannedLink, PlannedNic } from "./plan.ts";

/** A plan as lines to read; what there is none of is left out. */
export function planText({ vmi, pod, nics }: Plan): string {
  return [
    `${vmi.namespace}/${vmi.name}`,
    ...section("links in the pod", pod.links.map(linkText)),
    ...section(
      "addresses",
      pod.addresses.map(({ link, cidr }) => `${link} ${cidr}`),
    ),
    ...section(
      "routes",
      pod.routes.map(({ destination, gateway, device }) =>
        [destination, ...(gateway === undefined ? [] : [`via ${gateway}`]), `dev ${device}`].join(" "),
      ),
    ),
    ...section(
      "sysctls",
      pod.sysctls.map(({ key, value }) => `${key.replaceAll("/", ".")} = ${value}`),
    ),
    ...pod.nft.map((table) => `  ${table.replaceAll("\n", "\n  ").replaceAll("\t", "  ")}`),
    ...nics.flatMap(nicText),
    "",
  ].join("\n");
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`  ${title}:`, ...lines.map((line) => `    ${line}`)];
}

function linkText({ kind, name, mac, mtu, from, master }: PlannedLink): string {
  return [
    `${name} (${kind || "device"})`,
    ...(from === undefined ? [] : [`called ${from} before,`]),
    `mac ${mac} mtu ${mtu}`,
    ...(master === undefined ? [] : [`in bridge ${master}`]),
  ].join(" ");
}

function nicText(nic: PlannedNic): string[] {
  const { guest, serve } = nic;
  return [
    `  NIC ${nic.name}: ${nic.binding} on ${nic.podInterface}`,
    `    guest: ${guest.model} ${guest.mac} mtu ${guest.mtu} queues ${guest.queues} pci ${guest.pci}`,
    `    QEMU: ${attachmentText(nic.attachment)}`,
    ...(serve.dhcp4 === undefined
      ? []
      : [
          `    DHCPv4: ${[`${serve.dhcp4.clientAddress}/${serve.dhcp4.prefixLength}`, ...some("router", serve.dhcp4.routers), ...some("DNS", serve.dhcp4.dnsServers)].join(" ")}`,
        ]),
    ...(serve.dhcp6 === undefined
      ? []
      : [`    DHCPv6: ${[serve.dhcp6.clientAddress, ...some("DNS", serve.dhcp6.dnsServers)].join(" ")}`]),
    ...(serve.ra === undefined
      ? []
      : [`    router advertisements: from ${serve.ra.linkLocal}, prefix ${serve.ra.prefix}`]),
  ];
}

function some(what: string, values: readonly string[]): string[] {
  return values.length === 0 ? [] : [`${what} ${values.join(", ")}`];
}

function attachmentText(attachment: PlannedNic["attachment"]): string {
  switch (attachment.kind) {
    case "tap":
    case "macvtap":
      return `${attachment.kind} ${attachment.device}`;
    case "user": {
      const forwards = attachment.forwards.map(({ protocol, port }) => `${protocol} ${port}`);
      return `user network ${attachment.cidr}, ${forwards.length === 0 ? "nothing" : forwards.join(", ")} let in`;
    }
    case "stream":
      return `socket of ${attachment.process} on ${attachment.device}, ${listenedText(attachment.ports)} let in`;
    case "vfio":
      return `device ${attachment.pci} of the host`;
    case "plugin":
      return `plugged by the plugin ${attachment.plugin}`;
  }
}
