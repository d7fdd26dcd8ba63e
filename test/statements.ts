import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { FileResult } from "./file-run.ts";

/** An edition of KubeVirt's documentation of its networks, with the number of statements that were counted in it. */
interface Edition {
  readonly id: string;
  readonly about: string;
  readonly statements: number;
}

/** The four editions, by the number that stands before the dot of a statement's id. */
export const editions: readonly Edition[] = [
  { id: "S0", about: "about v0.8", statements: 24 },
  { id: "S1", about: "about v0.7", statements: 24 },
  { id: "S2", about: "v0.28 to v0.32", statements: 67 },
  { id: "S3", about: "v1.1", statements: 104 },
];

/** Every statement's id, in the order of the editions. */
export const statementIds: readonly string[] = editions.flatMap(({ id, statements }) =>
  Array.from({ length: statements }, (_, index) => `${id}.${index + 1}`),
);

/**
 * What may stand in a test's place, with the statements of which it may be said: what is advice alone, or what another
 * product does. Nothing may be added that KubeVirt itself does.
 */
export const untestable: Readonly<Record<string, readonly string[]>> = {
  documentation: [],
  "another product's": ["S3.94"],
};

/** A test that a row names. */
export interface NamedTest {
  /** Path from the root. */
  readonly file: string;
  /** The test's own name without ids. */
  readonly name: string;
}

/** One row of docs/documents.md. */
export interface StatementRow {
  readonly id: string;
  /** Of the document, from 1. */
  readonly line: number;
  readonly tests: readonly NamedTest[];
  /** What stands in the tests' place; empty where there are tests. */
  readonly instead: string;
}

/** The ids that a name carries. */
export function idsOf(name: string): readonly string[] {
  return name.match(/\bS\d+\.\d+\b/g) ?? [];
}

/** A test's name without the ids that it carries: `x.in: S1.2 S3.4: at home` is `x.in: at home`. */
export function plainName(name: string): string {
  return name.replaceAll(/(?:\bS\d+\.\d+[ ,]*)+:? */g, "").trim();
}

/** The rows of docs/documents.md, `| id | statement | tests |`, each test as `[words](../file) name`, several by `<br>`. */
export function rowsOf(markdown: string): readonly StatementRow[] {
  return markdown.split("\n").flatMap((text, index) => {
    const [, id = "", shown = ""] = /^\| *(S\d+\.\d+) *\|[^|]*\|([^|]*)\|$/.exec(text) ?? [];
    if (id === "") return [];
    const parts = shown.split("<br>").map((part) => /^\[[^\]]*\]\(\.\.\/([^)]+)\) (.+)$/.exec(part.trim()));
    const tests = parts.flatMap((part) => (part === null ? [] : [{ file: part[1] ?? "", name: part[2] ?? "" }]));
    return [{ id, line: index + 1, tests, instead: tests.length === parts.length ? "" : shown.trim() }];
  });
}

/** The statements that no test shows yet, with why, of a text with `id # why` in each line. */
export function unshownOf(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split("\n").flatMap((line): [string, string][] => {
      if (line.trim() === "" || line.startsWith("#")) return [];
      const [id = "", why = ""] = line.split(" # ");
      if (why.trim() === "") throw new Error(`test/statements-unshown.txt: "${line}" gives no reason after " # "`);
      return [[id.trim(), why.trim()]];
    }),
  );
}

/**
 * What is wrong with the rows themselves, as sentences: a statement without a row or with two, a row of none, and one
 * without a test whose reason is neither {@link untestable} nor `unshown`.
 */
export function wrongRows(rows: readonly StatementRow[], unshown: ReadonlyMap<string, string>): readonly string[] {
  const told: string[] = [];
  const seen = new Set<string>();
  for (const { id, line, tests, instead } of rows) {
    const at = `docs/documents.md:${line}`;
    if (!statementIds.includes(id)) told.push(`${at}: ${id} is no statement`);
    if (seen.has(id)) told.push(`${at}: ${id} has a row already`);
    seen.add(id);
    const why = unshown.get(id);
    const wanted = why === undefined ? undefined : `not yet shown: ${why}`;
    if (tests.length > 0 && instead === "") {
      if (wanted !== undefined) told.push(`${at}: ${id} has a test: take it off test/statements-unshown.txt`);
    } else if (instead !== wanted && untestable[instead]?.includes(id) !== true) {
      told.push(`${at}: ${id} needs a test; "${instead}" may not stand in its place`);
    }
  }
  for (const id of statementIds) if (!seen.has(id)) told.push(`docs/documents.md: ${id} has no row`);
  for (const id of unshown.keys())
    if (!seen.has(id)) told.push(`test/statements-unshown.txt: ${id} has no row in docs/documents.md`);
  return told;
}

/** What of a file's result is looked at. */
export type Ran = Pick<FileResult, "file" | "names" | "skippedNames">;

/**
 * What is wrong between the rows and the tests that ran, as sentences: a row's test that is not among those that passed
 * in its file, one that does not carry the row's id, an id that is no statement, and a test of a statement whose row
 * says that there is none. Rows whose file did not run are passed over. A test that was skipped shows nothing; that is
 * told where `everythingHere` says that this machine has all that tests need.
 */
export function wrongRuns(
  rows: readonly StatementRow[],
  results: readonly Ran[],
  everythingHere: boolean,
): readonly string[] {
  const told: string[] = [];
  const carried = new Map<string, string>();
  const ran = new Map(results.map((result) => [result.file, result]));
  for (const { file, names } of results) {
    for (const name of names) {
      for (const id of idsOf(name)) {
        carried.set(id, `${file} > ${name}`);
        if (!statementIds.includes(id)) told.push(`${file} > ${name}: ${id} is no statement`);
      }
    }
  }
  for (const { id, line, tests } of rows) {
    const at = `docs/documents.md:${line}`;
    const other = carried.get(id);
    if (tests.length === 0 && other !== undefined) told.push(`${at}: ${id} has a test: ${other}`);
    for (const { file, name } of tests) {
      const result = ran.get(file);
      if (result === undefined) continue;
      const same = (one: string): boolean => plainName(one) === name;
      const passed = result.names.filter(same);
      if (passed.some((one) => idsOf(one).includes(id))) continue;
      if (passed.length > 0) told.push(`${at}: the test "${name}" of ${file} does not carry ${id}`);
      else if (everythingHere || !result.skippedNames.some(same))
        told.push(`${at}: ${id}: no test "${name}" of ${file} ran and passed`);
    }
  }
  return told;
}

/** What is wrong between docs/documents.md and the tests that ran; see {@link wrongRuns}. */
export function wrongStatements(results: readonly Ran[], everythingHere: boolean): readonly string[] {
  const text = readFileSync(join(import.meta.dirname, "../docs/documents.md"), "utf8");
  return wrongRuns(rowsOf(text), results, everythingHere);
}
