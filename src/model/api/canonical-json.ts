/** JSON with keys in order, so that equal values have equal texts; empty for undefined. */
export function canonicalJson(value: unknown): string {
  return (
    JSON.stringify(value, (_, field: unknown) =>
      typeof field === "object" && field !== null && !Array.isArray(field)
        ? Object.fromEntries(Object.entries(field).toSorted(([one], [other]) => (one < other ? -1 : 1)))
        : field,
    ) ?? ""
  );
}
