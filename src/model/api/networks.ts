import { flag, object, type Static, text } from "./schema.ts";

/** The fields of a network that say what it is, of which it has exactly one. */
const networkFields = {
  pod: object(
    "The pod's own network, as the cluster's default CNI configuration makes it. At most one network of a VMI.",
    {},
    {
      vmNetworkCIDR: text(
        "IPv4 network behind the NAT of masquerade and slirp: the first address is the gateway, the second the guest's. Default 10.0.2.0/24; refused where it is no IPv4 CIDR or longer than /30.",
      ),
      vmIPv6NetworkCIDR: text(
        "IPv6 network behind the NAT of masquerade: the first address is the gateway, the second the guest's. Default fd10:0:2::/120; refused where it is no IPv6 CIDR or longer than /126.",
      ),
    },
  ),
  multus: object(
    "A network that a NetworkAttachmentDefinition describes.",
    {
      networkName: text(
        "Name of the NetworkAttachmentDefinition, with its namespace before a slash where it is not the VMI's own. Refused when empty.",
      ),
    },
    {
      default: flag(
        "True makes this network the pod's primary one, in place of the cluster's. Default false; refused on two networks, and beside a `pod` network.",
      ),
    },
  ),
  /** KubeVirt had it from 0.9.2 to 0.28. */
  genie: object(
    "A network that CNI-Genie attaches. Every network of the VMI must then be a genie one; the first is the pod's eth0.",
    { networkName: text("CNI type of the configuration file to use, such as `flannel`. Refused when empty.") },
    {},
  ),
  /** KubeVirt 1.9, alpha. */
  resourceClaim: object(
    "A device that dynamic resource allocation hands out. Only with the feature gate `NetworkDevicesWithDRA`, and not beside multus networks.",
    {},
    {
      claimName: text("Name of an element of `spec.resourceClaims`. Required; any other is refused."),
      requestName: text(
        "Name of a request of that claim. Required; refused where a network or device uses it already.",
      ),
    },
  ),
};

/** Every field that says what a network is. */
export type NetworkField = keyof typeof networkFields;

/** An element of `spec.networks`. */
export const network = object(
  "What one interface is connected to: exactly one of `pod`, `multus`, `genie` and `resourceClaim`.",
  {
    name: text(
      "The interface of the same name uses this network; refused without one, and where another network has it.",
    ),
  },
  networkFields,
);

export type Network = Static<typeof network>;
