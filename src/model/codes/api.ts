/** The API, the daemon and the command line. PB6000–PB6099 are the API server's and its client's. */
export const apiCodes = {
  PB6000: "the daemon failed",
  PB6001: "the data folder cannot be used",
  PB6002: "the data folder is in use by another daemon",
  PB6003: "the API server cannot listen",
  PB6004: "the store cannot be opened",
  PB6005: "the store could not keep a write",
  PB6006: "a key, certificate or token cannot be used",
  PB6010: "the API refused a call",
  PB6011: "a kubeconfig cannot be used",
  PB6012: "the API server does not answer",
} as const;
