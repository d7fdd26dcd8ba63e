import { formatMac, isGroupMac, parseMac } from "../addresses/mac.ts";
import type { Problem } from "./problem.ts";
import { interfacesOf, type Nic, nicProblem, problemAt, type Subject } from "./subject.ts";

/** What is allowed and unwise. */
export function advise(subject: Subject, nics: readonly Nic[]): Problem[] {
  return [...macs(nics), ...nics.flatMap(repeatedPorts), ...idleMultiqueue(subject)];
}

function macs(nics: readonly Nic[]): Problem[] {
  const owner = new Map<string, string>();
  return nics.flatMap((nic): Problem[] => {
    const bytes = parseMac(nic.nic.macAddress ?? "");
    if (bytes === undefined) return [];
    const mac = formatMac(bytes);
    const other = owner.get(mac);
    if (other === undefined) owner.set(mac, nic.nic.name);
    return [
      ...(isGroupMac(bytes)
        ? [
            nicProblem(nic, ["macAddress"], {
              code: "PB2502",
              type: "FieldValueInvalid",
              message: `The MAC ${mac} of the interface "${nic.nic.name}" is a group address.`,
              cure: "Take one whose first octet is even, such as 02:….",
            }),
          ]
        : []),
      ...(other === undefined
        ? []
        : [
            nicProblem(nic, ["macAddress"], {
              code: "PB2501",
              type: "FieldValueDuplicate",
              message: `The interfaces "${other}" and "${nic.nic.name}" have the same MAC ${mac}.`,
              cure: "Give each its own, unless they are on networks that never meet.",
            }),
          ]),
    ];
  });
}

function repeatedPorts(nic: Nic): Problem[] {
  const seen = new Set<string>();
  return (nic.nic.ports ?? []).flatMap(({ port, protocol = "TCP" }, index) => {
    const key = `${protocol} ${port}`;
    const again = seen.has(key);
    seen.add(key);
    if (!again || port === 0) return [];
    return [
      nicProblem(nic, ["ports", index], {
        code: "PB2503",
        type: "FieldValueDuplicate",
        message: `The interface "${nic.nic.name}" lists ${protocol} port ${port} twice.`,
        cure: "Remove one of them.",
      }),
    ];
  });
}

function idleMultiqueue(subject: Subject): Problem[] {
  const { networkInterfaceMultiqueue } = subject.spec.domain.devices;
  const nics = interfacesOf(subject.spec);
  const virtio = nics.some(({ model = "virtio", sriov }) => model === "virtio" && sriov === undefined);
  if (networkInterfaceMultiqueue !== true || virtio || nics.length === 0) return [];
  return [
    problemAt(subject, ["domain", "devices", "networkInterfaceMultiqueue"], {
      code: "PB2504",
      type: "FieldValueInvalid",
      message: "networkInterfaceMultiqueue is on, and no interface is a virtio NIC.",
      cure: "Remove it, or leave out the model of an interface.",
    }),
  ];
}
