import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { KubeObject, ResourceDefinition } from "../model/api/resource.ts";
import { asSet, keyed, list, map, object, text, whole } from "../model/api/schema.ts";
import { isApiError } from "../model/api/status.ts";
import { intersection, isEmptySet, pathsOf } from "./field-set.ts";
import { sameJson } from "./json.ts";
import { ownershipsOf, type Writer } from "./managed-fields.ts";
import { withMetadata } from "./object-meta.ts";
import { applyToObject, ownersAfterUpdate, ownersAtCreation, ownersByApply, readConfig } from "./server-side-apply.ts";

const element = object("", {}, { name: text(""), image: text(""), port: whole("") });
const definition: ResourceDefinition = {
  group: "example.io",
  version: "v1",
  kind: "Widget",
  plural: "widgets",
  singular: "widget",
  shortNames: [],
  categories: [],
  namespaced: true,
  statusSubresource: true,
  columns: [],
  schema: object(
    "",
    {},
    {
      spec: object(
        "",
        {},
        {
          size: text(""),
          colour: text(""),
          parts: keyed(list("", element), "name"),
          tags: asSet(list("", text(""))),
          words: list("", text("")),
          free: map("", text("")),
        },
      ),
      status: map("", text("")),
    },
  ),
};

type Spec = Readonly<Record<string, unknown>>;

const config = (spec: Spec | undefined, labels?: Readonly<Record<string, string>>): KubeObject => ({
  apiVersion: "example.io/v1",
  kind: "Widget",
  metadata: { name: "w", ...(labels === undefined ? {} : { labels }) },
  ...(spec === undefined ? {} : { spec }),
});

const applier = (manager: string): Writer => ({ manager, operation: "Apply", apiVersion: "example.io/v1" });
const updater = (manager: string): Writer => ({ manager, operation: "Update", apiVersion: "example.io/v1" });
const by = (manager: string, force = false, time = "2026-01-01T00:00:00Z") => ({
  writer: applier(manager),
  force,
  time,
});

function created(manager: string, given: KubeObject): KubeObject {
  return withMetadata(given, { uid: "u", managedFields: ownersByApply(definition, given, by(manager)) });
}

function updated(current: KubeObject, spec: Spec, manager = "editor"): KubeObject {
  const next = { ...current, spec };
  const managed = current.metadata.managedFields;
  const owners = ownersAfterUpdate(definition, current, next, managed, updater(manager), "2026-01-02T00:00:00Z");
  return withMetadata(next, { managedFields: owners });
}

const apply = (current: KubeObject, manager: string, given: KubeObject, force = false) =>
  applyToObject(definition, current, given, by(manager, force));

function ownedBy(object: KubeObject, manager: string): string[] {
  return ownershipsOf(object.metadata.managedFields)
    .filter((entry) => entry.manager === manager)
    .flatMap(({ fieldsV1 }) => pathsOf(fieldsV1));
}

function refusal(work: () => unknown) {
  try {
    work();
  } catch (thrown) {
    if (isApiError(thrown)) return thrown.status;
    throw thrown;
  }
  return undefined;
}

const small = fc.constantFrom("a", "b", "c");
const specs: fc.Arbitrary<Spec> = fc.record(
  {
    size: small,
    colour: small,
    parts: fc.uniqueArray(
      fc.record({ name: small, image: small, port: fc.nat(3) }, { requiredKeys: ["name"], noNullPrototype: true }),
      {
        selector: ({ name }) => name,
      },
    ),
    tags: fc.uniqueArray(small),
    words: fc.array(small, { maxLength: 2 }),
    free: fc.dictionary(small, small, { noNullPrototype: true }),
  },
  { requiredKeys: [], noNullPrototype: true },
);
const configs = fc
  .tuple(specs, fc.option(fc.dictionary(small, small, { noNullPrototype: true }), { nil: undefined }))
  .map(([spec, labels]) => config(spec, labels));

describe("server-side apply", () => {
  test("of the same again changes nothing", () => {
    fc.assert(
      fc.property(configs, configs, (first, second) => {
        const object = apply(created("one", first), "two", second, true);
        const again = apply(object, "two", second);
        assert.equal(sameJson(again, object), true);
        assert.equal(sameJson(apply(created("one", first), "one", first), created("one", first)), true);
      }),
    );
  });

  test("gives exactly what was applied where nobody else owns anything", () => {
    fc.assert(
      fc.property(configs, configs, (first, second) => {
        const { spec, metadata } = apply(created("one", first), "one", second);
        const isVoid = (value: unknown) =>
          typeof value === "object" && value !== null && Object.keys(value).length === 0;
        // Whether an object or list without content is there makes no difference to anybody.
        const told = (value: unknown) =>
          Object.fromEntries(Object.entries(value ?? {}).filter(([, field]) => !isVoid(field)));
        assert.deepEqual(told(spec), told(second["spec"]));
        assert.deepEqual(metadata.labels ?? {}, second.metadata.labels ?? {});
      }),
    );
  });

  test("never conflicts between managers of different fields, and never takes the other's", () => {
    fc.assert(
      fc.property(specs, specs, specs, ({ size, tags, free }, { colour, words, parts }, later) => {
        const pick = (fields: Spec) =>
          config(Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)));
        const [one, two] = [pick({ size, tags, free }), pick({ colour, words, parts })];
        const both = apply(created("one", one), "two", two);
        const owned = ownedBy(both, "two");
        const changed = apply(both, "one", pick({ size: later["size"], tags: later["tags"], free: later["free"] }));
        assert.deepEqual(ownedBy(changed, "two"), owned);
        for (const [name, value] of Object.entries(two["spec"] ?? {})) {
          assert.deepEqual((changed["spec"] as Spec)[name], value);
        }
      }),
    );
  });

  test("conflicts exactly where force takes something away, of which the loser then owns nothing", () => {
    fc.assert(
      fc.property(configs, configs, (first, second) => {
        const object = created("one", first);
        const before = ownedBy(object, "one");
        const refused = refusal(() => apply(object, "two", second));
        const forced = apply(object, "two", second, true);
        const causes = refused?.details?.causes ?? [];
        const left = ownedBy(forced, "one");
        assert.deepEqual(
          before.filter((path) => !left.includes(path)),
          before.filter((path) => causes.some(({ field }) => field === path)),
        );
        assert.equal(refused === undefined, left.length === before.length);
        for (const { field } of causes) assert.equal(ownedBy(forced, "two").includes(field), true, field);
      }),
    );
  });

  test("says who owns a field in Kubernetes' words", () => {
    const object = updated(created("one", config({ size: "a", colour: "b" })), { size: "a", colour: "c" });
    const one = refusal(() => apply(object, "two", config({ size: "x" })));
    assert.equal(one?.message, 'Apply failed with 1 conflict: conflict with "one": .spec.size');
    assert.deepEqual([one?.code, one?.reason], [409, "Conflict"]);
    const two = refusal(() => apply(object, "two", config({ size: "x", colour: "x" })));
    assert.equal(
      two?.message,
      'Apply failed with 2 conflicts: conflicts with "editor" using example.io/v1:\n- .spec.colour\nconflicts with "one":\n- .spec.size',
    );
    assert.deepEqual(two?.details?.causes, [
      { reason: "FieldManagerConflict", message: 'conflict with "editor" using example.io/v1', field: ".spec.colour" },
      { reason: "FieldManagerConflict", message: 'conflict with "one"', field: ".spec.size" },
    ]);
  });

  test("shares a field that both want alike, and leaves it as long as one wants it", () => {
    const both = apply(created("one", config({ size: "a" })), "two", config({ size: "a", colour: "b" }));
    assert.deepEqual([ownedBy(both, "one"), ownedBy(both, "two")], [[".spec.size"], [".spec.colour", ".spec.size"]]);
    const left = apply(both, "two", config({ colour: "b" }));
    assert.deepEqual(left["spec"], { size: "a", colour: "b" });
    const none = apply(left, "one", config(undefined));
    assert.deepEqual([none["spec"], ownedBy(none, "one")], [{ colour: "b" }, []]);
  });

  test("leaves what an admission or an editor set", () => {
    const object = created("one", config({ parts: [{ name: "a", image: "1" }] }));
    const edited = updated(object, { parts: [{ name: "a", image: "1", port: 1 }, { name: "b" }], colour: "c" });
    const applied = apply(edited, "one", config({ parts: [{ name: "a" }] }));
    assert.deepEqual(applied["spec"], { parts: [{ name: "a", port: 1 }, { name: "b" }], colour: "c" });
  });

  test("of an object that nobody owned conflicts with what was there before", () => {
    const bare = config({ size: "a", colour: "b" });
    const refused = refusal(() => apply(bare, "one", config({ size: "x" })));
    assert.match(refused?.message ?? "", /conflict with "before-first-apply" using example\.io\/v1: \.spec\.size/);
    const applied = apply(bare, "one", config({ size: "a" }));
    assert.deepEqual(ownedBy(applied, "before-first-apply").includes(".spec.colour"), true);
  });

  test("by kubectl takes over what kubectl applied as a client, and keeps its record true", () => {
    const record = { ...config({ size: "a", colour: "b" }), metadata: { name: "w" } };
    const annotations = { "kubectl.kubernetes.io/last-applied-configuration": JSON.stringify(record) };
    const live = withMetadata({ ...config({ size: "a", colour: "z" }) }, { annotations });
    const owners = ownersAtCreation(
      definition,
      live,
      undefined,
      updater("kubectl-client-side-apply"),
      "2026-01-01T00:00:00Z",
    );
    const object = withMetadata(live, { managedFields: owners });
    const applied = apply(object, "kubectl", config({ size: "x" }));
    assert.equal((applied["spec"] as Spec)["size"], "x");
    assert.match(
      applied.metadata.annotations?.["kubectl.kubernetes.io/last-applied-configuration"] ?? "",
      /"size":"x"/,
    );
    const refused = refusal(() => apply(object, "kubectl", config({ size: "x", colour: "x" })));
    assert.deepEqual(
      refused?.details?.causes?.map(({ field }) => field),
      [".spec.colour"],
    );
    assert.equal(refusal(() => apply(object, "other", config({ size: "x" })))?.code, 409);
  });

  test("takes the status at its own path only", () => {
    const given = { ...config({ size: "a" }), status: { phase: "up" } };
    assert.equal(readConfig(definition, given, undefined)["status"], undefined);
    const status = readConfig(definition, given, "status");
    assert.deepEqual([status["status"], status["spec"]], [{ phase: "up" }, undefined]);
  });

  test("refuses managedFields, and lists whose elements are alike", () => {
    const owners = withMetadata(config({}), { managedFields: [] });
    assert.equal(
      refusal(() => readConfig(definition, owners, undefined))?.details?.causes?.[0]?.field,
      "metadata.managedFields",
    );
    const twice = config({ parts: [{ name: "a" }, { name: "a" }] });
    assert.deepEqual(refusal(() => readConfig(definition, twice, undefined))?.details?.causes, [
      { reason: "FieldValueDuplicate", field: "spec.parts", message: 'Duplicate value: {"name":"a"}' },
    ]);
  });
});

describe("owners of other writes", () => {
  test("never share a field that one changed", () => {
    fc.assert(
      fc.property(configs, specs, specs, (first, second, third) => {
        const object = updated(updated(created("one", first), second, "two"), third, "three");
        const [left, ...others] = ownershipsOf(object.metadata.managedFields);
        for (const other of others) {
          assert.equal(isEmptySet(intersection(left?.fieldsV1 ?? {}, other.fieldsV1)), true);
        }
      }),
    );
  });

  test("can be taken away, and then none are kept until somebody applies", () => {
    const object = created("one", config({ size: "a" }));
    const next = { ...object, spec: { size: "b" } };
    for (const given of [[], [{}]]) {
      assert.deepEqual(ownersAfterUpdate(definition, object, next, given, updater("x"), "t"), []);
    }
    const bare = withMetadata(object, { managedFields: undefined });
    assert.deepEqual(ownersAfterUpdate(definition, bare, next, undefined, updater("x"), "t"), []);
  });
});
