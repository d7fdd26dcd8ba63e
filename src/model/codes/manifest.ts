/** Reading a manifest: syntax, shape, unknown fields. */
export const manifestCodes = {
  PB1000: "a manifest cannot be read",
  PB1001: "a file is not valid YAML or JSON",
} as const;
