import { derivedMac } from "../addresses/mac.ts";
import type { BindingSays } from "../explain/claim.ts";
import { Fault } from "../fault.ts";
import { nicProblem } from "../rules/subject.ts";
import type { PodFacts } from "../wiring/facts.ts";
import type { Binding, NicContext, NicWiring } from "./binding.ts";
import { guestNic, untouched } from "./pod-link.ts";

/** What an Ethernet device has where nobody says otherwise. */
const MTU = 1500;

/** The guest gets a virtual function of a network card: nothing of it is left to the pod or the host. */
export const sriov: Binding = {
  field: "sriov",
  wire: wireSriov,
  // Taken out before, put back after (reference 8.1).
  migration: () => ({ migratable: true }),
  explain,
  rules(nic) {
    if (nic.network?.pod === undefined) return [];
    return [
      nicProblem(nic, ["sriov"], {
        code: "PB2301",
        type: "FieldValueInvalid",
        message: `The interface "${nic.nic.name}" uses sriov on the pod network, which has no device to hand over.`,
        cure: "Use a multus network whose NetworkAttachmentDefinition names a device resource.",
        stricter: true,
      }),
    ];
  },
};

function wireSriov(nic: NicContext, facts: PodFacts): NicWiring {
  const device = facts.devices?.find(({ network }) => network === nic.name);
  if (device === undefined) {
    throw new Fault("PB4008", `No device was claimed for the sriov interface "${nic.name}".`, {
      place: nic.name,
      cure: "Give the NetworkAttachmentDefinition the annotation k8s.v1.cni.cncf.io/resourceName of a pool of virtual functions.",
    });
  }
  return {
    kernel: untouched,
    nic: {
      ...guestNic(nic, {
        attachment: { kind: "vfio", pci: device.pci },
        mac: nic.mac ?? device.mac ?? derivedMac(facts.podUid, nic.name),
        mtu: device.mtu ?? MTU,
      }),
      model: "vfio-pci",
      queues: 1,
    },
  };
}

function explain(nic: NicContext, facts: PodFacts, { nic: { attachment } }: NicWiring): BindingSays {
  const known = nic.mac ?? facts.devices?.find(({ network }) => network === nic.name)?.mac;
  const pci = attachment.kind === "vfio" ? attachment.pci : "";
  return {
    in: {
      statement: `Whoever is on the network of the card reaches the guest by the addresses that it has there, on every port, at ${known === undefined ? "the MAC of the device" : `MAC ${known}`}: the virtual function ${pci} is the guest's.${nic.ports.length === 0 ? "" : " The ports that are listed limit nothing."}`,
      addresses: [],
      ports: "all",
      device: pci,
    },
    "in-icmp": { statement: "Echo requests are answered by the guest.", answeredBy: "guest" },
    out: {
      statement:
        "The guest reaches whatever is on the network of the card, as itself; neither the pod nor the host sees its packets.",
      seenAs: [],
    },
    memory: {
      statement:
        "On KubeVirt the pod asks for 1Gi more memory, once for all devices that are handed over, and all of the guest's memory is locked.",
      kubeVirtMebibytes: 1024,
    },
    needs: [
      {
        what: "device",
        name: nic.name,
        phrase: "a device plugin that hands out virtual functions bound to vfio-pci, and the sriov CNI plugin",
      },
    ],
  };
}
