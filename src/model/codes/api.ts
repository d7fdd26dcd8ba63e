/** The API, the daemon and the command line. */
export const apiCodes = {
  PB6000: "the daemon failed",
} as const;
