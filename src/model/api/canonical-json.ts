/** JSON with keys in order, so that equal values have equal texts; empty for undefined. */
export function canonicalJson(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "";
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item) || "null").join(",")}]`;
  const fields: string[] = [];
  for (const [key, field] of Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1))) {
    if (field !== undefined) fields.push(`${JSON.stringify(key)}:${canonicalJson(field)}`);
  }
  return `{${fields.join(",")}}`;
}
