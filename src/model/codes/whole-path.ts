/** What several objects of one run make of each other. */
export const wholePathCodes = {
  PB2701: "a NetworkAttachmentDefinition is not among the files",
  PB2702: "a NetworkAttachmentDefinition has no configuration of its own",
  PB2703: "two networks of a VMI use one definition",
  PB2704: "Genie's configuration is not the first",
  PB2705: "there is no Genie configuration among the files",
  PB2706: "no CNI configuration has the type that a genie network names",
  PB2707: "Genie stands beside Multus",
  PB2708: "a default network gets no address",
  PB2709: "bridge is used on a link that has one MAC",
  PB2710: "an MTU is above that of the link below",
  PB2711: "an MTU cannot be that",
  PB2712: "a MAC is used by two VMs on one network",
  PB2713: "a CNI plugin does not know a field",
  PB2714: "a network names no device resource",
  PB2715: "a binding does not go with the CNI plugin",
} as const;
