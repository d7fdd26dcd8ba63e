import type { Plan, PlannedNic } from "../wiring/plan.ts";

/** One thing on a packet's way, with what there is to know of it. */
export interface Box {
  readonly title: string;
  readonly lines: readonly string[];
  /** What is served here, in a word each. */
  readonly serves?: readonly string[];
}

/** What Patchbay answers for a NIC. */
export function servesOf({ serve }: PlannedNic): readonly string[] {
  return [
    ...(serve.dhcp4 === undefined ? [] : ["DHCPv4"]),
    ...(serve.dhcp6 === undefined ? [] : ["DHCPv6"]),
    ...(serve.ra === undefined ? [] : ["RA"]),
  ];
}

/** The addresses of a device. */
export function addressesOn({ pod }: Plan, device: string): string[] {
  return pod.addresses.filter(({ link }) => link === device).map(({ cidr }) => cidr);
}
