import assert from "node:assert/strict";
import { test } from "node:test";
import type { Finding } from "./finding.ts";
import { sarifLog } from "./sarif.ts";

const finding: Finding = {
  code: "PB1002",
  severity: "error",
  path: "spec.domain.devices.interfaces[0].masqurade",
  file: "./some folder/vmi.yaml",
  line: 10,
  column: 11,
  message: "masqurade is not a known field.",
  expected: "one of bridge, masquerade",
  hint: 'did you mean "masquerade"?',
  length: 9,
};

const tool = { version: "1.2.3", page: (code: string) => (code === "PB1002" ? "# PB1002" : undefined) };

test("a finding is a result with its rule, its place and its hint", () => {
  assert.deepEqual(sarifLog([finding], tool), {
    $schema: "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: {
            name: "Patchbay",
            semanticVersion: "1.2.3",
            rules: [
              {
                id: "PB1002",
                shortDescription: { text: "A field is not known." },
                help: {
                  text: "A field is not known. See docs/findings/PB1002.md, or run: patchbay validate --explain PB1002",
                  markdown: "# PB1002",
                },
                properties: { page: "docs/findings/PB1002.md" },
              },
            ],
          },
        },
        columnKind: "utf16CodeUnits",
        results: [
          {
            ruleId: "PB1002",
            ruleIndex: 0,
            level: "error",
            message: {
              text: 'masqurade is not a known field. Expected: one of bridge, masquerade. Did you mean "masquerade"?',
            },
            locations: [
              {
                physicalLocation: {
                  artifactLocation: { uri: "some%20folder/vmi.yaml" },
                  region: { startLine: 10, startColumn: 11, endLine: 10, endColumn: 20 },
                },
                logicalLocations: [{ fullyQualifiedName: "spec.domain.devices.interfaces[0].masqurade" }],
              },
            ],
          },
        ],
      },
    ],
  });
});

test("each code is one rule, which its results name by its place", () => {
  const log = sarifLog(
    [finding, { ...finding, code: "PB1001", severity: "info" }, { ...finding, severity: "warning" }],
    tool,
  ) as {
    readonly runs: readonly [
      {
        readonly tool: {
          readonly driver: { readonly rules: readonly { readonly id: string; readonly help: object }[] };
        };
        readonly results: readonly { readonly ruleId: string; readonly ruleIndex: number; readonly level: string }[];
      },
    ];
  };
  const [{ tool: made, results }] = log.runs;
  assert.deepEqual(
    made.driver.rules.map(({ id, help }) => [id, "markdown" in help]),
    [
      ["PB1001", false],
      ["PB1002", true],
    ],
  );
  assert.deepEqual(
    results.map(({ ruleId, ruleIndex, level }) => [ruleId, ruleIndex, level]),
    [
      ["PB1002", 1, "error"],
      ["PB1001", 0, "note"],
      ["PB1002", 1, "warning"],
    ],
  );
});

test("files are URI references", () => {
  const uri = (file: string): unknown =>
    /"uri":("[^"]*")/.exec(JSON.stringify(sarifLog([{ ...finding, file }], tool)))?.[1];
  assert.equal(uri("/a b/ä.yaml"), '"file:///a%20b/%C3%A4.yaml"');
  assert.equal(uri("../c.yaml"), '"../c.yaml"');
  assert.equal(uri("stdin"), '"stdin"');
  assert.equal(uri("a:b#c?.yaml"), '"a%3Ab%23c%3F.yaml"');
  assert.equal(uri("\ud800.yaml"), '"%EF%BF%BD.yaml"');
});

test("nothing found is a run without results", () => {
  assert.deepEqual(JSON.parse(JSON.stringify(sarifLog([], tool))).runs[0].results, []);
});
