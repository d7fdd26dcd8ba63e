import type { JsonObject } from "../json.ts";
import { type CniConfigReading, parseCniFile } from "../networks/cni-config.ts";
import type { ManifestDocument } from "./document.ts";
import type { Finding } from "./finding.ts";

/** A file of a CNI configuration folder. */
export interface CniFile {
  readonly file: string;
  readonly reading: CniConfigReading;
  /** The file as a document, for the places of its fields; absent where it cannot be read so. */
  readonly document?: ManifestDocument;
}

/** What was read of a file as a manifest. */
interface ReadDocuments {
  readonly documents: readonly ManifestDocument[];
  /** Why documents are missing above. */
  readonly findings: readonly Finding[];
}

/** True for a `.conf` or `.conflist`, and for other JSON that has no kind and looks like a CNI configuration. */
export function isCniFile(file: string, text: string, { documents, findings }: ReadDocuments): boolean {
  if (/\.conf(list)?$/.test(file)) return true;
  const [only, ...more] = documents;
  if (only === undefined || more.length > 0 || findings.length > 0 || /\.ya?ml$/.test(file)) return false;
  return /^\uFEFF?\s*\{/.test(text) && !Object.hasOwn(only.value, "kind") && looksLikeCni(only.value);
}

/** True for an object that has what a CNI configuration has. */
export function looksLikeCni(value: JsonObject): boolean {
  // A package of npm has a name and a type as well.
  const named = Object.hasOwn(value, "name") && !Object.hasOwn(value, "version");
  const typed = typeof value["type"] === "string" && (Object.hasOwn(value, "cniVersion") || named);
  return typed || (Array.isArray(value["plugins"]) && !Object.hasOwn(value, "apiVersion"));
}

/** A file read as a CNI configuration. One without a name is called as the file is, with a warning (PB1015). */
export function cniFileOf(file: string, text: string, document: ManifestDocument | undefined): CniFile {
  return { file, reading: parseCniFile(file, text), ...(document === undefined ? {} : { document }) };
}
