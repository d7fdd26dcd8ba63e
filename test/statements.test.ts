import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { blank } from "./source-text.ts";
import {
  editions,
  idsOf,
  plainName,
  type Ran,
  rowsOf,
  statementIds,
  unshownOf,
  wrongRows,
  wrongRuns,
} from "./statements.ts";

const root = join(import.meta.dirname, "..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const files = globSync(["src/**/*.test.ts", "test/*.test.ts", "test/*/*.test.ts"], { cwd: root });
const rows = rowsOf(read("docs/documents.md"));
const unshown = unshownOf(read("test/statements-unshown.txt"));
/** How many statements may be without a test that will have one. May only get less. */
const MOST_UNSHOWN = 0;

test("each statement of the documents has one row, with a test or with why it has none", () => {
  assert.equal(statementIds.length, 219);
  assert.deepEqual(wrongRows(rows, unshown), []);
});

test("the statements that no test shows yet only get fewer", () => {
  assert.ok(unshown.size <= MOST_UNSHOWN, `${unshown.size} of ${MOST_UNSHOWN}`);
});

/** Files whose tests' names are made of data: what a row says of those is seen by the run alone. */
const composed = [
  "src/model/explain/explain.test.ts",
  "test/documents.test.ts",
  "test/guest/masquerade.test.ts",
  "test/guest/mtu.test.ts",
  "test/guest/networks.test.ts",
];

test("a row's test stands in a file that is there and runs", () => {
  const texts = new Map(files.map((file) => [file, plainName(blank(read(file), true))]));
  const wrong = rows.flatMap(({ id, tests }) =>
    tests
      .filter(({ file, name }) => !(texts.get(file)?.includes(name) || (composed.includes(file) && texts.has(file))))
      .map(({ file, name }) => `${id}: ${file} > ${name}`),
  );
  assert.deepEqual(wrong, []);
});

test("an id in a test's name is that of a statement, and its row is one with a test", () => {
  const shown = new Set(rows.flatMap(({ id, tests }) => (tests.length > 0 ? [id] : [])));
  // This file's own names are examples.
  const wrong = files
    .filter((file) => file !== "test/statements.test.ts")
    .flatMap((file) =>
      headIds(read(file))
        .filter((id) => !shown.has(id))
        .map((id) => `${id}: ${file}`),
    );
  assert.deepEqual(wrong, []);
});

test("the document says how many statements each edition has", () => {
  const text = read("docs/documents.md");
  for (const { id, about, statements } of editions)
    assert.ok(text.includes(`## ${id}: edition ${about}, ${statements} statements`), id);
});

/** The ids at the heads of the strings of a source. */
function headIds(source: string): readonly string[] {
  const heads = blank(source, true).matchAll(/["'`](?:[a-z]+\.[a-z0-9-]+: )?((?:S\d+\.\d+[ ,]*)+):? /g);
  return [...heads].flatMap(([, head]) => idsOf(head ?? ""));
}

const first: Ran = { file: "test/a.test.ts", names: ["S0.1 S1.2: one", "x.in: S0.2: two"], skippedNames: [] };
const row = (id: string, shown: string): string => `| ${id} | words | ${shown} |`;
const a = "[a](../test/a.test.ts)";

test("ids are read from a test's name, and taken off it", () => {
  assert.deepEqual(idsOf("S0.1 S3.56: row 61: VLAN 1.2"), ["S0.1", "S3.56"]);
  assert.equal(plainName("S0.1 S3.56: row 61: x"), "row 61: x");
  assert.equal(plainName("S0.1, row 61: x"), "row 61: x");
  assert.equal(plainName("masquerade.in: S0.1: x"), "masquerade.in: x");
  assert.equal(plainName("plain"), "plain");
});

test("rows are read with one test, several, or what stands in their place", () => {
  const text = ["| id | statement | shown by |", "| --- | --- | --- |", row("S0.1", `${a} one<br>${a} two`)].join("\n");
  assert.deepEqual(rowsOf(text), [
    {
      id: "S0.1",
      line: 3,
      tests: [
        { file: "test/a.test.ts", name: "one" },
        { file: "test/a.test.ts", name: "two" },
      ],
      instead: "",
    },
  ]);
  assert.deepEqual(rowsOf(row("S0.1", "documentation"))[0]?.instead, "documentation");
  assert.deepEqual(rowsOf(row("S0.1", `${a} one<br>nothing`))[0]?.instead, `${a} one<br>nothing`);
});

test("rows that lack, repeat or invent a statement, or say why where they may not, are told", () => {
  const whole = statementIds.map((id) => row(id, `${a} one`));
  assert.deepEqual(wrongRows(rowsOf(whole.join("\n")), new Map()), []);
  const told = (change: (lines: string[]) => void, listed: readonly (readonly [string, string])[] = []): string => {
    const lines = [...whole];
    change(lines);
    return wrongRows(rowsOf(lines.join("\n")), new Map(listed)).join("\n");
  };
  assert.match(
    told((lines) => lines.pop()),
    /S3\.104 has no row/,
  );
  assert.match(
    told((lines) => lines.push(whole[0] ?? "")),
    /:220: S0\.1 has a row already/,
  );
  assert.match(
    told((lines) => lines.push(row("S3.105", `${a} one`))),
    /S3\.105 is no statement/,
  );
  const instead = (id: string, reason: string) => (lines: string[]) => {
    lines[statementIds.indexOf(id)] = row(id, reason);
  };
  assert.match(told(instead("S0.1", "documentation")), /:1: S0\.1 needs a test; "documentation"/);
  assert.match(told(instead("S0.1", "")), /S0\.1 needs a test/);
  assert.equal(told(instead("S3.94", "another product's")), "");
  assert.match(told(instead("S3.94", "documentation")), /S3\.94 needs a test/);
  assert.match(told(instead("S0.1", "not yet shown: late")), /S0\.1 needs a test/);
  assert.equal(told(instead("S0.1", "not yet shown: late"), [["S0.1", "late"]]), "");
  assert.match(told(instead("S0.1", "not yet shown: other"), [["S0.1", "late"]]), /S0\.1 needs a test/);
  assert.match(
    told(() => {}, [["S0.1", "late"]]),
    /S0\.1 has a test: take it off/,
  );
});

test("a list of what is not shown yet gives a reason for each", () => {
  assert.deepEqual([...unshownOf("# comment\nS0.1 # late\n")], [["S0.1", "late"]]);
  assert.throws(() => unshownOf("S0.1\n"), /gives no reason/);
});

test("a row whose test did not run, failed, was skipped or carries another id is told", () => {
  const told = (line: string, ran: readonly Ran[] = [first], everything = true): string =>
    wrongRuns(rowsOf(line), ran, everything).join("\n");
  assert.equal(told(row("S0.1", `${a} one`)), "");
  assert.equal(told(row("S0.2", `${a} x.in: two`)), "");
  assert.match(told(row("S0.3", `${a} one`)), /the test "one" of test\/a\.test\.ts does not carry S0\.3/);
  assert.match(told(row("S0.1", `${a} three`)), /S0\.1: no test "three" of test\/a\.test\.ts ran and passed/);
  assert.match(told(row("S0.1", `${a} one<br>${a} three`)), /no test "three"/);
  assert.match(told(row("S0.1", "documentation")), /S0\.1 has a test: test\/a\.test\.ts > S0\.1 S1\.2: one/);
  const skipped = [{ ...first, names: [], skippedNames: ["S0.1: one"] }];
  assert.match(told(row("S0.1", `${a} one`), skipped), /ran and passed/);
  assert.equal(told(row("S0.1", `${a} one`), skipped, false), "");
  assert.match(told("", [{ ...first, names: ["S3.105: x"] }]), /S3\.105 is no statement/);
});

test("a row whose file is of a part that did not run is passed over", () => {
  assert.deepEqual(wrongRuns(rowsOf(row("S0.1", "[b](../test/b.test.ts) three")), [first], true), []);
});
