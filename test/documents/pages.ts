import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");
const pages = join(root, "../shared/seeds");
const examples = join(root, "examples/documents");

/**
 * The examples of the four pages about KubeVirt's networking, by page and number, both from 0: `3.13`. Undefined where
 * the pages do not lie beside the repository.
 */
export function pageBlocks(): ReadonlyMap<string, string> | undefined {
  if (!existsSync(pages)) return undefined;
  return new Map(
    readdirSync(pages)
      .sort()
      .flatMap((file, page) =>
        yamlBlocks(readFileSync(join(pages, file), "utf8")).map((text, number): [string, string] => [
          `${page}.${number}`,
          text,
        ]),
      ),
  );
}

/** Text of one of our own manifests, which stands for examples of the pages. */
export function twinText(name: string): string {
  return readFileSync(join(examples, `${name}.yaml`), "utf8");
}

/**
 * The YAML in a page: from a line that begins an object on, as long as lines are deeper or go on with it. The pages
 * fence, indent or quote their examples, or give them no mark at all.
 */
export function yamlBlocks(page: string): string[] {
  const blocks: string[] = [];
  let open: { readonly indent: string; readonly lines: string[] } | undefined;
  for (const quoted of [...page.split("\n"), ""]) {
    const line = quoted.replace(/^> ?/, "");
    if (open !== undefined) {
      const rest = line.startsWith(open.indent) ? line.slice(open.indent.length) : "";
      if (/^(?: |- |[\w.-]+:)/.test(rest)) {
        open.lines.push(rest);
        continue;
      }
      blocks.push(`${open.lines.join("\n")}\n`);
      open = undefined;
    }
    const start = /^( *)(?:---|kind:|apiVersion:|networks:)(?: |$)/.exec(line);
    if (start !== null) open = { indent: start[1] ?? "", lines: [line.slice((start[1] ?? "").length)] };
  }
  return blocks;
}
