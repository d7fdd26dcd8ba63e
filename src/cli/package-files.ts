import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Code } from "../model/codes/codes.ts";
import { isJsonObject, textAt } from "../model/json.ts";

/** The package's folder, which lies two up both in the sources and in a package. */
const PACKAGE = join(import.meta.dirname, "../..");

/** The version in package.json. */
export function packageVersion(): string {
  const data: unknown = JSON.parse(readFileSync(join(PACKAGE, "package.json"), "utf8"));
  return (isJsonObject(data) ? textAt(data, "version") : undefined) ?? "unknown";
}

/** The page of a code, as Markdown. */
export function pageOf(code: Code): string {
  return readFileSync(join(PACKAGE, "docs/findings", `${code}.md`), "utf8");
}
