/** The primary link's name in every pod that Patchbay makes (reference 4.1). */
export const PRIMARY_INTERFACE = "eth0";

/** Defaults of a pod network (reference 1.1). */
export const DEFAULT_VM_NETWORK_CIDR = "10.0.2.0/24";
export const DEFAULT_VM_IPV6_NETWORK_CIDR = "fd10:0:2::/120";
