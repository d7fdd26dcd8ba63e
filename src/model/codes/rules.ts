/** What a whole manifest must satisfy. */
export const rulesCodes = {
  PB2000: "a binding is not supported by this version",
} as const;
