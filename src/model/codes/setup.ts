/** What the machine must have, and bringing it. */
export const setupCodes = {
  PB6900: "setup needs root",
  PB6901: "setup cannot install on this system",
  PB6902: "a package could not be installed",
  PB6903: "another setup is running",
  PB6904: "the machine lacks something that is needed",
} as const;
