import type { TestHost } from "../daemon.ts";
import { definitions, hostLocal } from "./attachments.ts";

/** What addresses the networks of a run have. */
export const stacks = { "IPv4-only": [4], "dual-stack": [4, 6], "IPv6-only": [6] } as const;
export type Families = (typeof stacks)[keyof typeof stacks];

/** One NIC of a row. */
export interface NicRow {
  readonly name: string;
  readonly binding: "masquerade" | "bridge";
  /** As the manifest names it, below `networks[].`. */
  readonly network: Readonly<Record<string, unknown>>;
  readonly podInterface: string;
  /** Subnets of the network without their ends, one a family; absent: the embedded pod network, which chooses them. */
  readonly subnets?: (typeof subnets)[keyof typeof subnets];
  /** Where its addresses are of other families than the run's. */
  readonly families?: Families;
  /** Whether the network leads out of the host. */
  readonly leadsOut: boolean;
}

/** A VMI with every NIC that is said of it, and nothing else. */
export interface Row {
  /** Of the VMI. */
  readonly name: string;
  readonly title: string;
  readonly nics: readonly NicRow[];
}

/** Each one's addresses are `${4}…/24` and `${6}…/64`. */
const subnets = {
  lan: { 4: "10.50.0.", 6: "fd50::" },
  main: { 4: "10.60.0.", 6: "fd60::" },
  first: { 4: "10.70.0.", 6: "fd70::" },
  second: { 4: "10.71.0.", 6: "fd71::" },
  four: { 4: "10.72.0.", 6: "fd72::" },
  six: { 4: "10.73.0.", 6: "fd73::" },
} as const;

const pod = { name: "default", network: { pod: {} }, podInterface: "eth0", leadsOut: true } as const;
/** `red` is in the reference's table of hashed names. */
const lan = {
  name: "red",
  binding: "bridge",
  network: { multus: { networkName: "nets/lan" } },
  podInterface: "podb1f51a511f1",
  subnets: subnets.lan,
  leadsOut: false,
} as const;

/** The row of a guest that is on no other network than the one that guests share. */
export const ALONE = "only";

/** Every combination that the rules allow: masquerade is for the pod network alone (R20). */
export const multusRows: readonly Row[] = [
  {
    name: "both",
    title: "pod × masquerade and multus of another namespace × bridge (rows 51, 53, 60, 67)",
    nics: [{ ...pod, binding: "masquerade" }, lan],
  },
  { name: ALONE, title: "multus × bridge alone (rows 53, 54)", nics: [lan] },
  { name: "bridged", title: "pod × bridge (rows 59, 60, 63)", nics: [{ ...pod, binding: "bridge" }] },
  {
    name: "instead",
    title: "multus default × bridge (row 52)",
    nics: [
      {
        name: "main",
        binding: "bridge",
        network: { multus: { networkName: "main", default: true } },
        podInterface: "eth0",
        subnets: subnets.main,
        leadsOut: true,
      },
    ],
  },
];

/** Genie finds configurations by their type: further names of the plugin bridge, each with a family of its own. */
export const genieTypes = { "bridge-four": [4], "bridge-six": [6] } as const;

export const genieRows: readonly Row[] = [
  {
    name: "genie",
    title: "S2.20: genie × bridge, twice with both families, and with each alone",
    nics: [
      {
        name: "first",
        binding: "bridge",
        network: { genie: { networkName: "bridge" } },
        podInterface: "eth0",
        subnets: subnets.first,
        leadsOut: true,
      },
      {
        name: "second",
        binding: "bridge",
        network: { genie: { networkName: "ptp" } },
        podInterface: "eth1",
        subnets: subnets.second,
        leadsOut: false,
      },
      {
        name: "four",
        binding: "bridge",
        network: { genie: { networkName: "bridge-four" } },
        podInterface: "eth2",
        subnets: subnets.four,
        families: [4],
        leadsOut: false,
      },
      {
        name: "six",
        binding: "bridge",
        network: { genie: { networkName: "bridge-six" } },
        podInterface: "eth3",
        subnets: subnets.six,
        families: [6],
        leadsOut: false,
      },
    ],
  },
];

function ipam(host: TestHost, name: keyof typeof subnets, families: Families, leadsOut: boolean): object {
  const routes = { 4: "0.0.0.0/0", 6: "::/0" };
  return hostLocal(
    host,
    families.map((family) => (family === 4 ? `${subnets[name][4]}0/24` : `${subnets[name][6]}/64`)),
    leadsOut ? families.map((family) => routes[family]) : [],
  );
}

/** What {@link multusRows} name. */
export function multusDefinitions(host: TestHost, families: Families): string {
  const bridge = { cniVersion: "0.4.0", type: "bridge", isGateway: true, mtu: 1400 };
  return definitions(
    ["nets", "lan", { ...bridge, name: "lan", bridge: "lan0", ipam: ipam(host, "lan", families, false) }],
    ["default", "main", { ...bridge, bridge: "main0", ipMasq: true, ipam: ipam(host, "main", families, true) }],
  );
}

/** What {@link genieRows} name: files of a CNI configuration folder. */
export function genieConfigurations(host: TestHost, families: Families): Readonly<Record<string, object>> {
  const version = { cniVersion: "0.3.1" };
  return {
    "00-genie.conf": { ...version, name: "k8s-pod-network", type: "genie" },
    "10-first.conf": {
      ...{ ...version, name: "first", type: "bridge", bridge: "first0", isGateway: true, ipMasq: true, mtu: 1400 },
      ipam: ipam(host, "first", families, true),
    },
    "20-second.conf": {
      ...{ ...version, name: "second", type: "ptp", mtu: 1400 },
      ipam: ipam(host, "second", families, false),
    },
    "30-four.conf": {
      ...{ ...version, name: "four", type: "bridge-four", bridge: "four0", isGateway: true, mtu: 1400 },
      ipam: ipam(host, "four", genieTypes["bridge-four"], false),
    },
    "40-six.conf": {
      ...{ ...version, name: "six", type: "bridge-six", bridge: "six0", isGateway: true, mtu: 1400 },
      ipam: ipam(host, "six", genieTypes["bridge-six"], false),
    },
  };
}
