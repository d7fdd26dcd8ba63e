import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Finding, findingJson } from "./finding.ts";
import { readManifests } from "./read.ts";
import { renderFinding, renderSummary } from "./render.ts";
import { checkDocument } from "./shape-findings.ts";

/** Everything to say about a text, as `line:column code message`. */
function findingsOf(text: string): Finding[] {
  const { documents, findings } = readManifests(text, "a.yaml");
  return [...findings, ...documents.flatMap((document) => checkDocument(document).findings)];
}

const brief = (findings: readonly Finding[]): string[] =>
  findings.map(
    ({ line, column, code, path, hint }) => `${line}:${column} ${code} ${path}${hint === "" ? "" : ` (${hint})`}`,
  );

const NIC = `apiVersion: kubevirt.io/v1
kind: VirtualMachineInstance
metadata:
  name: a
spec:
  domain:
    devices:
      interfaces:
        - name: default
`;

test("several documents, JSON and lists are read", () => {
  const { documents, findings } = readManifests(
    '---\n# nothing\n---\nkind: A\n---\n{"kind": "List", "items": [{"kind": "B", "x": [1]}, {"kind": "C"}]}\n',
    "a.yaml",
  );
  assert.deepEqual(findings, []);
  assert.deepEqual(
    documents.map(({ value }) => value["kind"]),
    ["A", "B", "C"],
  );
  assert.deepEqual(documents[1]?.position(["x", 0], "value"), { line: 6, column: 48, length: 1 });
});

test("words mean what kubectl takes them for", () => {
  const { documents } = readManifests("a: yes\nb: 010\nc: 52:54:00:12:34:56\nd: 2001-01-01\ne: off\nf: ~\n", "a.yaml");
  assert.deepEqual(documents[0]?.value, { a: true, b: 8, c: "52:54:00:12:34:56", d: "2001-01-01", e: false, f: null });
});

test("numbers are those that kubectl takes for numbers", () => {
  const numbers = { "0": 0, "-7": -7, "+7": 7, "1_000": 1000, "0x1F": 31, "0o17": 15, "017": 15, "08": 8, "0b11": 3 };
  const floats = { "1.5": 1.5, "1.": 1, ".5": 0.5, "1e3": 1000, "-1.5E-1": -0.15 };
  const words = [
    "e1000",
    "e1000e",
    "1e",
    "0x",
    "1:30",
    "52:54:00:12:34:56",
    ".",
    "+",
    "1.2.3",
    "64Mi",
    ".inf",
    "_1",
    "0x1G",
    "0x_",
  ];
  const lines = [...Object.keys(numbers), ...Object.keys(floats), ...words];
  const { documents } = readManifests(`a:\n${lines.map((line) => `  - ${line}\n`).join("")}`, "a.yaml");
  assert.deepEqual(documents[0]?.value["a"], [...Object.values(numbers), ...Object.values(floats), ...words]);
});

test("anchors and merge keys are followed, to their own lines", () => {
  const text = `${NIC}          <<: &more\n            masqurade: {}\n        - name: b\n          <<: *more\n`;
  assert.deepEqual(brief(findingsOf(text)), [
    '11:13 PB1002 spec.domain.devices.interfaces[0].masqurade (did you mean "masquerade"?)',
    '11:13 PB1002 spec.domain.devices.interfaces[1].masqurade (did you mean "masquerade"?)',
  ]);
});

test("a finding points at the key, the value, or the object that lacks the field", () => {
  assert.deepEqual(
    brief(findingsOf(`${NIC}          model: 5\n          ports:\n            - protocol: TCP\n          mtu: 1\n`)),
    [
      '10:18 PB1003 spec.domain.devices.interfaces[0].model (write it in quotes: "5")',
      "12:15 PB1004 spec.domain.devices.interfaces[0].ports[0].port",
      "13:11 PB1002 spec.domain.devices.interfaces[0].mtu",
    ],
  );
  assert.deepEqual(brief(findingsOf("apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\n")), [
    "1:1 PB1004 spec",
  ]);
  assert.deepEqual(brief(findingsOf(`${NIC}          masquerade:\n`)), [
    "10:11 PB1003 spec.domain.devices.interfaces[0].masquerade",
  ]);
});

test("a document that does not say what it is, or is nearly one of ours", () => {
  assert.deepEqual(brief(findingsOf("spec: {}\n")), ["1:1 PB1008 kind"]);
  assert.deepEqual(brief(findingsOf("just words\n")), ['1:1 PB1008  (Begin it with "apiVersion:" and "kind:".)']);
  assert.deepEqual(brief(findingsOf("apiVersion: kubevirt.io/v1\nkind: Kubevirt\n")), [
    '2:7 PB1009 kind (did you mean "KubeVirt"?)',
  ]);
  assert.deepEqual(brief(findingsOf("apiVersion: v1\nkind: VirtualMachine\n")), [
    '1:13 PB1009 apiVersion (did you mean "kubevirt.io/v1"?)',
  ]);
  assert.deepEqual(
    findingsOf("apiVersion: apps/v1\nkind: Deployment\n").map(({ severity }) => severity),
    ["warning"],
  );
});

test("what is no YAML is refused where it goes wrong, and the other documents are read", () => {
  const { documents, findings } = readManifests("a: 1\na: 2\n---\nb: {\n---\nkind: C\n", "a.yaml");
  assert.deepEqual(brief(findings).slice(0, 2), [
    "2:1 PB1007  (Keep one of them.)",
    "5:1 PB1001  (Indent it as what belongs beside it.)",
  ]);
  assert.equal(documents.length, 1);
  assert.deepEqual(brief(findingsOf("a:\n\tb: 1\n")), ["2:1 PB1001  (Indent with blanks.)"]);
  assert.deepEqual(brief(findingsOf("a: \u0000\n")), ["1:1 PB1001 "]);
});

test("bombs are refused", () => {
  const bomb = `a: &a [x, x, x, x, x, x, x, x, x]\n${[..."bcdefghi"]
    .map((name, index) => `${name}: &${name} [${Array.from({ length: 9 }, () => `*${"abcdefghi"[index]}`).join(", ")}]`)
    .join("\n")}\n`;
  assert.deepEqual(
    findingsOf(bomb).map(({ code }) => code),
    ["PB1006"],
  );
  assert.deepEqual(
    findingsOf("[".repeat(100_000)).map(({ code }) => code),
    ["PB1006"],
  );
  assert.deepEqual(
    findingsOf(`${"- ".repeat(5000)}a`).map(({ code }) => code),
    ["PB1006"],
  );
  assert.deepEqual(
    findingsOf("x".repeat(4 * 1024 * 1024)).map(({ code }) => code),
    ["PB1006"],
  );
});

test("no text makes it throw, and every place is in the text", () => {
  const letters = fc.constantFrom(
    "a",
    "kind",
    ":",
    " ",
    "\n",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "*a",
    "&a ",
    "'",
    '"',
    "|",
    "#",
    "<<",
    "\t",
    "1",
  );
  fc.assert(
    fc.property(fc.array(letters, { maxLength: 40 }), (parts) => {
      const text = parts.join("");
      for (const finding of findingsOf(text)) {
        assert.ok(finding.line >= 1 && finding.line <= text.split("\n").length + 1);
        assert.ok(finding.column >= 1 && finding.length >= 1);
        renderFinding(finding, { source: text, colour: true });
      }
    }),
    { numRuns: 500 },
  );
});

test("a finding as text, with the line and a caret", () => {
  const source = `${NIC}          masqurade: {}\n`;
  const [finding] = findingsOf(source);
  assert.ok(finding !== undefined);
  const lines = renderFinding(finding, { source }).split("\n");
  assert.deepEqual(lines.slice(0, 5), [
    "error PB1002: a field is not known",
    "  --> a.yaml:10:11",
    "  10 |           masqurade: {}",
    "     |           ^^^^^^^^^",
    "  spec.domain.devices.interfaces[0].masqurade is not a known field.",
  ]);
  assert.equal(lines[6], '  hint: did you mean "masquerade"?');
  assert.ok(renderFinding(finding, { source, colour: true }).includes("\u001b[1;31merror PB1002\u001b[0m"));
  assert.equal(renderSummary([finding, finding]), "2 errors");
  assert.equal("length" in findingJson(finding), false);
});

test("text of a manifest does not reach the terminal raw", () => {
  const source = 'kind: "\u001b[2J"\napiVersion: v1\n';
  for (const finding of findingsOf(source)) assert.ok(!renderFinding(finding, { source }).includes("\u001b"));
});

test("what is missing at the end of a file is shown after its last letter", () => {
  const shown = (text: string): string[] =>
    findingsOf(text).map((finding) => renderFinding(finding, { source: text }).split("\n").slice(2, 4).join("\n"));
  for (const text of ["a: {b: 1\n\n", "a: [1, 2", 'a: "b\n  c\n\n \n', "a:\n  - {b: {c: d}\n# the end\n"]) {
    const lines = text.trimEnd().split("\n");
    for (const excerpt of shown(text)) {
      const [source = "", caret = ""] = excerpt.split("\n");
      assert.ok(lines.includes(source.slice("   1 | ".length)), `${JSON.stringify(text)}: ${excerpt}`);
      assert.ok(caret.includes("^") && caret.indexOf("^") <= source.length, `${JSON.stringify(text)}: ${excerpt}`);
    }
    assert.ok(shown(text).length > 0, text);
  }
  assert.deepEqual(shown("a: {b: 1\n\n"), ["   1 | a: {b: 1\n     |         ^"]);
});

test("KubeVirt's kinds that are not served are named as such, and near misses of them are not", () => {
  const told = (apiVersion: string, kind: string): string =>
    findingsOf(`apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: a}\n`)
      .map(({ code, severity, hint }) => `${severity} ${code} ${hint}`)
      .join("; ");
  const foreign = [
    ["kubevirt.io/v1", "VirtualMachineInstanceReplicaSet"],
    ["pool.kubevirt.io/v1beta1", "VirtualMachinePool"],
    ["instancetype.kubevirt.io/v1beta1", "VirtualMachineClusterPreference"],
    ["instancetype.kubevirt.io/v1", "VirtualMachineInstancetype"],
    ["clone.kubevirt.io/v1alpha1", "VirtualMachineClone"],
    ["snapshot.kubevirt.io/v1beta1", "VirtualMachineSnapshot"],
    ["v1", "Endpoints"],
  ] as const;
  for (const [apiVersion, kind] of foreign) assert.match(told(apiVersion, kind), /^warning PB1009 [A-Z].*\.$/, kind);
  assert.equal(told("kubevirt.io/v1", "VirtualMachineInstnace"), 'error PB1009 did you mean "VirtualMachineInstance"?');
  // The group tells whose a kind is.
  assert.equal(told("kubevirt.io/v1", "VirtualMachinePool"), 'error PB1009 did you mean "VirtualMachine"?');
});

test("nothing behind a key of the metadata is nothing, and elsewhere it is null", () => {
  const text = `${NIC}          bridge:\n  networks: [{name: default, pod: {}}]\n`;
  assert.deepEqual(brief(findingsOf(text.replace("  name: a\n", "  name: a\n  labels:\n  annotations:\n"))), [
    "12:11 PB1003 spec.domain.devices.interfaces[0].bridge",
  ]);
});

test("a hundred thousand keys in one map are read, and the one that stands twice is found", { timeout: 60_000 }, () => {
  const keys = Array.from({ length: 100_000 }, (_, index) => `  k${index}: v\n`).join("");
  const text = `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n${keys}`;
  assert.deepEqual(readManifests(text, "a.yaml").findings, []);
  const [twice, ...more] = readManifests(`${text}  k7: w\n`, "a.yaml").findings;
  assert.deepEqual([twice?.code, twice?.line, more.length], ["PB1007", 100_005, 0]);
});
