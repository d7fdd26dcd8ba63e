/** The host: namespaces, links, rules, and the wiring made of them. */
export const wiringCodes = {
  PB4000: "a step of the wiring failed",
  PB4001: "the wiring of two NICs conflicts",
  PB4002: "the pod lacks the link that a network names",
  PB4003: "a network CIDR cannot be used",
  PB4004: "what was built differs from what was asked",
} as const;
