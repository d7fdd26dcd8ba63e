/** `Did you mean "a-b"? ` for the first candidate that would do; nothing where none would. */
export function respelt(candidates: readonly string[], isSound: (text: string) => boolean): string {
  const meant = candidates.find((candidate) => candidate !== "" && isSound(candidate));
  return meant === undefined ? "" : `Did you mean "${meant}"? `;
}

/** Words in the letters that names of Kubernetes have: small ones, with dashes for what is none. */
export function asLabel(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "");
}

/** What a malformed MAC was meant to be: octets of one digit, blanks, or no separators at all. */
export function asMac(text: string): string {
  const groups = text.trim().split(/[^0-9a-fA-F]+/);
  const [only = ""] = groups;
  const octets = groups.length === 1 && only.length === 12 ? (only.match(/../g) ?? []) : groups;
  return octets.length === 6 && octets.every((octet) => octet.length === 1 || octet.length === 2)
    ? octets.map((octet) => octet.toLowerCase().padStart(2, "0")).join(":")
    : "";
}
