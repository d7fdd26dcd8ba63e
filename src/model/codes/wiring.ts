/** The host: namespaces, links, rules, and the wiring made of them. */
export const wiringCodes = {
  PB4000: "a step of the wiring failed",
  PB4001: "the wiring of two NICs conflicts",
  PB4002: "the pod lacks the link that a network names",
  PB4003: "a network CIDR cannot be used",
  PB4004: "what was built differs from what was asked",
  PB4010: "a system call failed",
  PB4011: "a shared library cannot be loaded",
  PB4012: "a network namespace is not there",
  PB4013: "a name of a network namespace is not allowed",
  PB4014: "a network namespace cannot be made",
  PB4015: "the kernel refused a link, an address or a route",
  PB4016: "a sysctl cannot be set",
  PB4017: "a key is no sysctl of the network",
  PB4018: "a tap cannot be made",
  PB4019: "nftables refused the rules",
  PB4005: "the pod's link has no address",
} as const;
