/** Reading a manifest: syntax, shape, unknown fields. */
export const manifestCodes = {
  PB1000: "a manifest cannot be read",
  PB1001: "a file is not valid YAML or JSON",
  PB1002: "a field is not known",
  PB1003: "a value has the wrong type",
  PB1004: "a required field is missing",
  PB1005: "a value is not among those that are taken",
  PB1006: "a manifest is too large or too deep",
  PB1007: "a key stands twice in one object",
  PB1008: "a document does not say what it is",
  PB1009: "a kind of resource is not known",
  PB1010: "an apiVersion is an older one",
} as const;
