import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { checkManifest } from "../src/model/manifest/check.ts";
import { readManifests } from "../src/model/manifest/read.ts";
import { readCase } from "../src/model/rules/case-line.ts";
import { answerCase, type CaseAnswer } from "../src/model/rules/conformance.ts";

interface Expected {
  readonly id: string;
  readonly expect: {
    readonly version: string;
    readonly allowed: boolean;
    readonly causes: readonly { readonly type: string; readonly field: string }[];
  };
  readonly defaulted: unknown;
}

/** What Patchbay may refuse though KubeVirt's webhooks do not. */
const STRICTER = {
  PB2021: "the reserved MAC in another spelling",
  PB2039: "a port above 65535",
  PB2070: "an interface without a binding, or with several",
  PB2301: "sriov on the pod network",
  PB2302: "a network CIDR that cannot serve a guest",
  PB2303: "a binding plugin that is not registered",
};

const lines = readFileSync(join(import.meta.dirname, "conformance/admission-cases.jsonl"), "utf8")
  .trim()
  .split("\n");
const cases = lines.map((line) => {
  const one = readCase(line);
  assert.ok(!("why" in one), "why" in one ? one.why : "");
  return {
    expected: JSON.parse(line) as Expected,
    answer: answerCase(one.id, one.kind, one.object, one.config),
  };
});

const pair = (cause: { readonly type: string; readonly field: string }): string => `${cause.type} ${cause.field}`;

/** Why an answer does not agree; empty when it does. */
function disagreements({ expect, defaulted }: Expected, answer: CaseAnswer): string[] {
  const plain = answer.causes.filter((cause) => cause.stricter !== true);
  const found: string[] = [];
  if ((plain.length === 0) !== expect.allowed) found.push(`allowed should be ${expect.allowed}`);
  if (answer.allowed !== (answer.causes.length === 0)) found.push("allowed contradicts the causes");
  if (expect.causes.length > 0 && expect.causes.every(({ type, field }) => type !== "" && field !== "")) {
    const wanted = new Set(expect.causes.map(pair));
    const given = new Set(plain.map(pair));
    found.push(...[...wanted].filter((cause) => !given.has(cause)).map((cause) => `lacks ${cause}`));
    if (expect.version !== "v1.1.1") {
      found.push(...[...given].filter((cause) => !wanted.has(cause)).map((cause) => `has ${cause}`));
    }
  }
  if (expect.allowed && !isDeepStrictEqual(answer.defaulted, defaulted)) {
    found.push(`defaulted is ${JSON.stringify(answer.defaulted)}, not ${JSON.stringify(defaulted)}`);
  }
  return found;
}

test("every case agrees with KubeVirt's answer", () => {
  assert.equal(cases.length, 688);
  const wrong = cases.flatMap(({ expected, answer }) =>
    disagreements(expected, answer).map((reason) => `${expected.id}: ${reason}`),
  );
  assert.deepEqual(wrong, []);
});

test("stricter causes are of the kinds that may be, and none stands twice at one place", () => {
  for (const { expected, answer } of cases) {
    const stricter = answer.causes.filter((cause) => cause.stricter === true);
    for (const { code } of stricter) assert.ok(Object.hasOwn(STRICTER, code), `${expected.id}: ${code}`);
    assert.equal(new Set(stricter.map(({ code, field }) => `${code} ${field}`)).size, stricter.length, expected.id);
  }
});

test("the comparison notices a changed answer", () => {
  for (const { expected, answer } of cases) {
    const refused = answer.causes.some((cause) => cause.stricter !== true);
    const causes = refused ? [] : [{ type: "FieldValueInvalid", field: "spec", code: "PB2050" }];
    assert.notDeepEqual(disagreements(expected, { ...answer, allowed: !refused, causes }), [], expected.id);
  }
});

test("every refusal, read as a manifest, says what would be taken or what to do", () => {
  const silent = lines.flatMap((line) => {
    const one = readCase(line);
    if ("why" in one) return [];
    return readManifests(JSON.stringify(one.object), `${one.id}.json`).documents.flatMap((document) =>
      checkManifest(document, one.config)
        .filter(({ expected, code }) => expected === "" || !/^PB[12]\d{3}$/.test(code))
        .map(({ code, message }) => `${one.id}: ${code} ${message}`),
    );
  });
  assert.deepEqual(silent, []);
});

/** The value without what stands at each of its places in turn, and with null there. */
function* maimed(value: unknown): Generator {
  if (typeof value !== "object" || value === null) return;
  const build = (entries: readonly (readonly [string, unknown])[]): unknown =>
    Array.isArray(value) ? entries.map(([, item]) => item) : Object.fromEntries(entries);
  const entries = Object.entries(value);
  for (const [index, [key, item]] of entries.entries()) {
    yield build(entries.toSpliced(index, 1));
    yield build(entries.toSpliced(index, 1, [key, null]));
    for (const inner of maimed(item)) yield build(entries.toSpliced(index, 1, [key, inner]));
  }
}

test("whatever is missing from an object, it is answered", () => {
  let answered = 0;
  for (const [index, line] of lines.entries()) {
    // Cases are alike: one in seven has every kind of thing.
    const one = readCase(line);
    if (index % 7 !== 0 || "why" in one) continue;
    for (const object of maimed(one.object)) {
      answerCase(one.id, one.kind, object, one.config);
      answered += 1;
    }
  }
  assert.ok(answered > 3_000, `${answered} answered`);
});
