import { canonicalMac } from "../addresses/mac.ts";
import { marker } from "../api/schema.ts";
import type { Problem } from "../rules/problem.ts";
import { type Nic, nicProblem } from "../rules/subject.ts";
import type { BindingRules } from "./binding-rules.ts";

/** `masquerade: {}` of an interface. */
export const masqueradeSchema = marker(
  "Puts the guest behind NAT of the pod's addresses, IPv4 and IPv6. Pod network only. No fields of its own: `ports` of the interface choose what is let in.",
);

/** MAC of the guest's gateway. */
const RESERVED_MAC = "02:00:00:00:00:00";

export const masqueradeRules: BindingRules = {
  field: "masquerade",
  rules: (nic) => [...onPodNetwork(nic), ...macIsFree(nic)],
};

function onPodNetwork(nic: Nic): Problem[] {
  if (nic.network === undefined || nic.network.pod !== undefined) return [];
  return [
    nicProblem(nic, ["name"], {
      code: "PB2020",
      type: "FieldValueInvalid",
      message: `The interface "${nic.nic.name}" uses masquerade, and its network is not the pod network.`,
      cure: "Use bridge on this network, or make the network a pod network.",
    }),
  ];
}

function macIsFree(nic: Nic): Problem[] {
  const { macAddress } = nic.nic;
  if (macAddress === undefined || canonicalMac(macAddress) !== RESERVED_MAC) return [];
  return [
    nicProblem(nic, ["macAddress"], {
      code: "PB2021",
      type: "FieldValueInvalid",
      message: `The MAC ${macAddress} of the interface "${nic.nic.name}" is that of its gateway.`,
      cure: "Take any other MAC, or leave macAddress out.",
      // KubeVirt compares letter by letter.
      ...(macAddress === RESERVED_MAC ? {} : { stricter: true as const }),
    }),
  ];
}
