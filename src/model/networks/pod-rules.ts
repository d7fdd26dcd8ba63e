import { object, text } from "../api/schema.ts";

/** `pod: {}` of a network. */
export const podNetworkSchema = object(
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
);
