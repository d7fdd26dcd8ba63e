import { derivedMac } from "../addresses/mac.ts";
import { marker } from "../api/schema.ts";
import { Fault } from "../fault.ts";
import { nicProblem } from "../rules/subject.ts";
import type { PodFacts } from "../wiring/facts.ts";
import type { Binding, NicContext, NicWiring } from "./binding.ts";
import { guestNic, untouched } from "./pod-link.ts";

/** `sriov: {}` of an interface. */
export const sriovSchema = marker(
  "Hands the guest a virtual function of a network card (VFIO). For multus networks whose attachment definition names a device resource.",
);

/** What an Ethernet device has where nobody says otherwise. */
const MTU = 1500;

/** The guest gets a virtual function of a network card: nothing of it is left to the pod or the host. */
export const sriov: Binding = {
  field: "sriov",
  wire: wireSriov,
  // Taken out before, put back after (reference 8.1).
  migration: () => ({ migratable: true }),
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
