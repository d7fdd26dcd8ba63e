import { isDnsLabel, isDnsSubdomain } from "../api/names.ts";

/** Why a reference to a NetworkAttachmentDefinition finds none, whatever there is. */
export interface BadReference {
  /** As the end of a sentence that begins with the reference: `has capitals`. */
  readonly why: string;
  /** What it was probably meant to be. */
  readonly meant?: string;
}

/** What a reference may be, as a phrase. */
export const DEFINITION_REFERENCE = "name, or namespace/name, in small letters, digits and dashes";

/** What is wrong with a reference `name` or `namespace/name`; undefined where an object can be called so. */
export function badReference(text: string): BadReference | undefined {
  if (isReference(text)) return undefined;
  const parts = text.split("/");
  const [name = "", namespace, ...more] = parts.toReversed();
  const meant = (candidate: string): { readonly meant?: string } =>
    isReference(candidate) ? { meant: candidate } : {};
  if (text.includes(",")) {
    const [first = ""] = text.split(",");
    return { why: "names several definitions, and a network has one", ...meant(first.trim()) };
  }
  if (text.includes("@")) {
    const [first = ""] = text.split("@");
    return { why: "names a link as well, which the VMI's interface does by itself", ...meant(first.trim()) };
  }
  if (more.length > 0) {
    return {
      why: "has more than one slash",
      ...meant(
        parts
          .filter((part) => part !== "")
          .slice(0, 2)
          .join("/"),
      ),
    };
  }
  if (namespace === "") return { why: "has no namespace before its slash", ...meant(name) };
  if (name === "") return { why: "has no name after its slash" };
  if (/\s/.test(text)) return { why: "has a blank in it", ...meant(text.replace(/\s+/g, "")) };
  if (/[A-Z]/.test(text)) return { why: "has capitals", ...meant(text.toLowerCase().replaceAll("_", "-")) };
  if (name.length > 253) return { why: `has a name of ${name.length} characters, more than 253` };
  return { why: "has letters that no name has", ...meant(text.replaceAll("_", "-")) };
}

function isReference(text: string): boolean {
  const [name = "", namespace, ...more] = text.split("/").toReversed();
  return more.length === 0 && isDnsSubdomain(name) && (namespace === undefined || isDnsLabel(namespace));
}
