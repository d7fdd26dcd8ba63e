import { formatMac, isGroupMac, parseMac } from "../addresses/mac.ts";
import type { Interface } from "../api/interfaces.ts";
import { isFault } from "../fault.ts";
import { acpiIndexesTold, LARGEST_ACPI_INDEX } from "../guest/hardware-decision.ts";
import { badReference } from "../networks/definition-name.ts";
import { idleFields } from "./idle-fields.ts";
import type { Problem } from "./problem.ts";
import { interfacesOf, type Nic, networksOf, nicProblem, problemAt, type Subject } from "./subject.ts";
import { unmadeParts } from "./unmade.ts";

/** What is allowed and unwise. */
export function advise(subject: Subject, nics: readonly Nic[]): Problem[] {
  return [
    ...macs(nics),
    ...acpiIndexes(nics),
    ...untoldIndexes(subject, nics),
    ...nics.flatMap(repeatedPorts),
    ...idleMultiqueue(subject),
    ...definitionNames(subject),
    ...idleFields(subject),
    ...unmadeParts(subject),
  ];
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
              cure: `Did you mean "${individual(bytes)}"? Take one whose first octet is even.`,
            }),
          ]
        : []),
      ...(bytes.every((octet) => octet === 0)
        ? [
            nicProblem(nic, ["macAddress"], {
              code: "PB2507",
              type: "FieldValueInvalid",
              message: `The MAC of the interface "${nic.nic.name}" is all zeroes, which no NIC can have: the guest sees another one.`,
              cure: "Write a MAC such as 02:00:00:12:34:56, or leave macAddress out.",
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

/** The MAC next to a group's that a NIC can have: a local one. */
function individual(bytes: Uint8Array): string {
  return formatMac(bytes.map((octet, index) => (index === 0 ? (octet & 0xfc) | 0x02 : octet)));
}

function acpiIndexes(nics: readonly Nic[]): Problem[] {
  const owner = new Map<number, string>();
  return nics.flatMap((nic): Problem[] => {
    const { name, acpiIndex } = nic.nic;
    if (acpiIndex === undefined) return [];
    if (acpiIndex < 1 || acpiIndex > LARGEST_ACPI_INDEX) {
      return [
        nicProblem(nic, ["acpiIndex"], {
          code: "PB2505",
          type: "FieldValueInvalid",
          message: `The acpiIndex ${acpiIndex} of the interface "${name}" is none that ${acpiIndex < 1 ? "counts" : "a guest can be started with"}.`,
          cure: `Use 1 to ${LARGEST_ACPI_INDEX}: the guest calls the NIC eno and this number.`,
        }),
      ];
    }
    const other = owner.get(acpiIndex);
    if (other === undefined) {
      owner.set(acpiIndex, name);
      return [];
    }
    return [
      nicProblem(nic, ["acpiIndex"], {
        code: "PB2506",
        type: "FieldValueDuplicate",
        message: `The interfaces "${other}" and "${name}" have the same acpiIndex ${acpiIndex}, and the guest cannot be started.`,
        cure: "Give each its own, or none.",
      }),
    ];
  });
}

/** Indexes of NICs whose places on PCI the guest's ACPI does not describe. */
function untoldIndexes({ spec }: Subject, nics: readonly Nic[]): Problem[] {
  const asked = nics.map(({ nic }) => nic).filter(({ state }) => state !== "absent");
  if (!asked.some(({ acpiIndex = 0, pciAddress }) => acpiIndex > 0 && pciAddress !== undefined)) return [];
  const told = toldIndexes(asked, spec.domain.devices.useVirtioTransitional === true);
  return nics.flatMap((nic): Problem[] => {
    const { name, acpiIndex = 0, pciAddress } = nic.nic;
    if (acpiIndex < 1 || pciAddress === undefined || told.get(nic.nic) !== false) return [];
    return [
      nicProblem(nic, ["acpiIndex"], {
        code: "PB2510",
        type: "FieldValueInvalid",
        message: `The acpiIndex ${acpiIndex} of the interface "${name}" does not reach the guest: QEMU 7.2 tells it of no NIC at ${pciAddress}.`,
        cure: "Leave pciAddress out, or acpiIndex.",
      }),
    ];
  });
}

/** Whether the guest is told the index of each; empty where no guest can be made of them, which is said elsewhere. */
function toldIndexes(interfaces: readonly Interface[], virtioTransitional: boolean): ReadonlyMap<Interface, boolean> {
  try {
    const told = acpiIndexesTold(
      interfaces.map(({ name, model = "virtio", sriov, pciAddress }) => ({
        name,
        model: sriov === undefined ? model : "vfio-pci",
        ...(pciAddress === undefined ? {} : { pciAddress }),
      })),
      { virtioTransitional },
    );
    return new Map(interfaces.map((one, index) => [one, told[index] ?? true]));
  } catch (thrown) {
    if (!isFault(thrown)) throw thrown;
    return new Map();
  }
}

/** What KubeVirt takes for the name of a definition, and no object is called. */
function definitionNames(subject: Subject): Problem[] {
  return networksOf(subject.spec).flatMap(({ name, multus }, index) => {
    const fault = multus === undefined || multus.networkName === "" ? undefined : badReference(multus.networkName);
    if (multus === undefined || fault === undefined) return [];
    return [
      problemAt(subject, ["networks", index, "multus", "networkName"], {
        code: "PB2508",
        type: "FieldValueInvalid",
        message: `The networkName "${multus.networkName}" of the network "${name}" ${fault.why}: no NetworkAttachmentDefinition is called so.`,
        cure:
          fault.meant === undefined
            ? "Write the definition's name, or its namespace, a slash and its name."
            : `Did you mean "${fault.meant}"?`,
      }),
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
