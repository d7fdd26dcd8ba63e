/** The pod's network: CNI configuration, plugins, addresses. */
export const cniCodes = {
  PB3000: "a CNI plugin failed",
} as const;
