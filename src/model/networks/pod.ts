import { parseCidr } from "../addresses/cidr.ts";
import type { Family } from "../addresses/ip.ts";
import type { Problem } from "../rules/problem.ts";
import { interfacesOf, problemAt, type Subject } from "../rules/subject.ts";
import { type NetworkKind, networkPath, type Placed } from "./network.ts";
import { DEFAULT_VM_IPV6_NETWORK_CIDR, DEFAULT_VM_NETWORK_CIDR, PRIMARY_INTERFACE } from "./pod-interface.ts";

/** Gateway and guest need an address each, beside the first and the last one. */
const LONGEST_PREFIX: Readonly<Record<Family, number>> = { 4: 30, 6: 126 };

export const pod: NetworkKind = {
  field: "pod",
  needs: () => [],
  connect: (network) =>
    network.pod === undefined
      ? undefined
      : {
          network: {
            kind: "pod",
            vmNetworkCIDR: network.pod.vmNetworkCIDR || DEFAULT_VM_NETWORK_CIDR,
            vmIPv6NetworkCIDR: network.pod.vmIPv6NetworkCIDR || DEFAULT_VM_IPV6_NETWORK_CIDR,
          },
          podInterface: PRIMARY_INTERFACE,
        },
  rules: (subject, own) => [
    ...onlyOne(subject, own),
    ...own.flatMap((placed) => [
      ...usableCidr(subject, placed, "vmNetworkCIDR", 4),
      ...usableCidr(subject, placed, "vmIPv6NetworkCIDR", 6),
    ]),
  ],
};

function onlyOne(subject: Subject, own: readonly Placed[]): Problem[] {
  const names = new Set(interfacesOf(subject.spec).map((nic) => nic.name));
  // KubeVirt 1.1 counted the networks that an interface uses, later ones count all.
  const counted = subject.profile === "v1.1" ? own.filter(({ network }) => names.has(network.name)) : own;
  const second = counted[1];
  if (second === undefined) return [];
  return [
    {
      ...problemAt(subject, networkPath(second.index), {
        code: "PB2003",
        type: "FieldValueDuplicate",
        message: `There are ${counted.length} pod networks, and a pod has one.`,
        cure: "Keep one pod network; connect the other interfaces by multus.",
      }),
      // KubeVirt names a field that does not exist.
      field: problemAt(subject, ["interfaces"], { code: "PB2003", type: "FieldValueDuplicate", message: "" }).field,
    },
  ];
}

function usableCidr(
  subject: Subject,
  { network, index }: Placed,
  key: "vmNetworkCIDR" | "vmIPv6NetworkCIDR",
  family: Family,
): Problem[] {
  const value = network.pod?.[key];
  if (value === undefined) return [];
  const cidr = parseCidr(value);
  if (cidr !== undefined && cidr.family === family && cidr.prefixLength <= LONGEST_PREFIX[family]) return [];
  const fault = cidr?.family === family ? "has no room for a gateway and a guest" : `is no IPv${family} CIDR`;
  const example = family === 4 ? "10.0.2.0/24" : "fd10:0:2::/120";
  return [
    problemAt(subject, [...networkPath(index), "pod", key], {
      code: "PB2302",
      type: "FieldValueInvalid",
      message: `${key} "${value}" of the network "${network.name}" ${fault}.`,
      expected: `an IPv${family} network, at most /${LONGEST_PREFIX[family]} long`,
      cure: `Write a network such as ${example}, at most /${LONGEST_PREFIX[family]} long, or leave the field out.`,
      stricter: true,
    }),
  ];
}
