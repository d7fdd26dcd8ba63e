import { parseHardwareAddress } from "../addresses/mac.ts";
import { nearMiss } from "../near-miss.ts";
import type { Problem } from "./problem.ts";
import { asMac, respelt } from "./respelt.ts";
import { interfacePath, interfacesOf, type Nic, nicProblem, problemAt, type Subject } from "./subject.ts";

const MODELS: Readonly<Record<Subject["profile"], readonly string[]>> = {
  "v1.1": ["e1000", "e1000e", "ne2k_pci", "pcnet", "rtl8139", "virtio"],
  "v1.8": ["e1000", "e1000e", "igb", "ne2k_pci", "pcnet", "rtl8139", "virtio"],
};

const NAME = /^[A-Za-z0-9_-]+$/;
const PCI_ADDRESS = /^[\da-fA-F]{4}:[\da-fA-F]{2}:[\da-fA-F]{2}\.[0-7]$/;

/** What each interface is, by itself. */
export function judgeInterfaces(subject: Subject, nics: readonly Nic[]): Problem[] {
  return [
    ...uniqueNames(subject),
    ...nics.flatMap((nic) => [...nameFormat(nic), ...model(nic), ...macAddress(nic), ...pciAddress(nic)]),
  ];
}

function uniqueNames(subject: Subject): Problem[] {
  const seen = new Set<string>();
  return interfacesOf(subject.spec).flatMap(({ name }, index) => {
    const again = seen.has(name);
    seen.add(name);
    if (!again) return [];
    return [
      problemAt(subject, [...interfacePath(index), "name"], {
        code: "PB2033",
        type: "FieldValueDuplicate",
        message: `An earlier interface is named "${name}" as well, and a network serves one interface.`,
        cure: "Give this interface a network and a name of its own.",
      }),
    ];
  });
}

function nameFormat(nic: Nic): Problem[] {
  const { name } = nic.nic;
  if (NAME.test(name)) return [];
  return [
    nicProblem(nic, ["name"], {
      code: "PB2034",
      type: "FieldValueInvalid",
      message:
        name === ""
          ? `Interface ${nic.index} has no name.`
          : `The interface name "${name}" has letters it may not have.`,
      cure: `${respelt([name.replace(/[^A-Za-z0-9_]+/g, "-").replace(/^-+|-+$/g, "")], (text) => NAME.test(text))}Use letters, digits, dashes and underscores, here and in the network of the same name.`,
    }),
  ];
}

function model(nic: Nic): Problem[] {
  const models = MODELS[nic.subject.profile];
  const wanted = nic.nic.model;
  if (wanted === undefined || models.includes(wanted)) return [];
  const near = nearMiss(wanted, models);
  return [
    nicProblem(nic, ["model"], {
      code: "PB2043",
      type: "FieldValueNotSupported",
      message: `The model "${wanted}" of the interface "${nic.nic.name}" is not known.`,
      expected: `one of ${models.join(", ")}`,
      cure: `${near === undefined ? "" : `Did you mean "${near}"? `}Use one of ${models.join(", ")}.`,
    }),
  ];
}

function macAddress(nic: Nic): Problem[] {
  const mac = nic.nic.macAddress;
  if (mac === undefined) return [];
  const bytes = parseHardwareAddress(mac);
  if (bytes?.length === 6) return [];
  const cure = `${respelt([asMac(mac)], (text) => parseHardwareAddress(text)?.length === 6)}Write six octets, such as 02:00:00:12:34:56.`;
  if (bytes === undefined) {
    const message = `The MAC "${mac}" of the interface "${nic.nic.name}" is malformed.`;
    return [nicProblem(nic, ["macAddress"], { code: "PB2044", type: "FieldValueInvalid", message, cure })];
  }
  const message = `The MAC ${mac} of the interface "${nic.nic.name}" has ${bytes.length} octets.`;
  return [nicProblem(nic, ["macAddress"], { code: "PB2045", type: "FieldValueInvalid", message, cure })];
}

function pciAddress(nic: Nic): Problem[] {
  const address = nic.nic.pciAddress;
  if (address === undefined || PCI_ADDRESS.test(address)) return [];
  return [
    nicProblem(nic, ["pciAddress"], {
      code: "PB2048",
      type: "FieldValueInvalid",
      message: `The PCI address "${address}" of the interface "${nic.nic.name}" is malformed.`,
      cure: `${respelt([`0000:${address}`, address.trim()], (text) => PCI_ADDRESS.test(text))}Write domain, bus, slot and function, such as 0000:81:00.1; a function is 0 to 7.`,
    }),
  ];
}
