import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { ResourceRef } from "../../src/client/client.ts";
import { definitions } from "../../src/model/api/kinds.ts";
import type { KubeObject } from "../../src/model/api/resource.ts";
import { isApiError } from "../../src/model/api/status.ts";
import { kubectlVersions } from "../kubectls.ts";
import { needs } from "../needs.ts";
import { configMaps, makeFolder, namespaces, type Sample, startSample, until } from "./apiserver-sample.ts";
import { makeKubectl } from "./kubectl-run.ts";

const crds: ResourceRef = {
  group: "apiextensions.k8s.io",
  version: "v1",
  plural: "customresourcedefinitions",
  namespaced: false,
};

const text = { type: "string" };

interface Shape {
  readonly group?: string;
  readonly plural?: string;
  readonly kind?: string;
  readonly shortNames?: readonly string[];
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly version?: Readonly<Record<string, unknown>>;
  readonly properties?: Readonly<Record<string, unknown>>;
}

/** A definition whose parts a test can change. */
function crd({ group = "shop.test", plural = "orders", kind = "Order", ...more }: Shape = {}): KubeObject {
  const properties = more.properties ?? {
    spec: {
      type: "object",
      required: ["customer"],
      properties: {
        customer: { ...text, minLength: 2 },
        parcels: { type: "integer", default: 1, minimum: 1 },
        note: text,
        extra: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
      },
    },
    status: { type: "object", properties: { phase: text } },
  };
  const names = { plural, kind, ...(more.shortNames === undefined ? {} : { shortNames: more.shortNames }) };
  const version = {
    name: "v1",
    served: true,
    storage: true,
    subresources: { status: {} },
    schema: { openAPIV3Schema: { type: "object", description: "What a customer wants.", properties } },
    additionalPrinterColumns: [
      { name: "Customer", type: "string", jsonPath: ".spec.customer" },
      { name: "Parcels", type: "integer", jsonPath: ".spec.parcels", priority: 1 },
    ],
    ...more.version,
  };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: { group, scope: "Namespaced", names, versions: [version], ...more.spec },
  };
}

const orders: ResourceRef = { group: "shop.test", version: "v1", plural: "orders", namespaced: true };

function order(name: string, spec: Readonly<Record<string, unknown>> = { customer: "Ann" }): KubeObject {
  return { apiVersion: "shop.test/v1", kind: "Order", metadata: { name, namespace: "default" }, spec };
}

const conditionOf = (object: KubeObject, type: string) => {
  const { conditions = [] } = (object["status"] ?? {}) as {
    conditions?: { type: string; status: string; reason: string; message: string }[];
  };
  return conditions.find((condition) => condition.type === type);
};

const { folder, remove } = makeFolder();
let sample: Sample;

before(async () => {
  sample = await startSample(join(folder, "data"), { definitions });
});

after(async () => {
  await sample.stop();
  remove();
});

async function drop(name: string): Promise<void> {
  await sample.client.delete(crds, { name });
  await until(`the end of ${name}`, async () => !(await isThere(name)));
}

async function isThere(name: string): Promise<boolean> {
  try {
    await sample.client.get(crds, { name });
    return true;
  } catch (thrown) {
    if (isApiError(thrown, "NotFound")) return false;
    throw thrown;
  }
}

/** The causes of a refusal, as `field: message`. */
async function causesOf(call: Promise<unknown>): Promise<string[]> {
  try {
    await call;
  } catch (thrown) {
    if (isApiError(thrown)) {
      return (thrown.status.details?.causes ?? []).map(({ field, message }) => `${field}: ${message}`);
    }
    throw thrown;
  }
  assert.fail("the call was not refused");
}

describe("a kind of a user's own", () => {
  test("is served from the moment its definition is answered", async () => {
    const made = await sample.client.create(crds, crd());
    assert.equal(conditionOf(made, "Established")?.status, "True");
    assert.equal(conditionOf(made, "NamesAccepted")?.reason, "NoConflicts");
    assert.deepEqual(made.metadata.finalizers, ["customresourcecleanup.apiextensions.k8s.io"]);
    const stored = await sample.client.create(orders, order("first"));
    assert.deepEqual(stored["spec"], { customer: "Ann", parcels: 1 });
    assert.equal(stored.metadata.generation, 1);
    await drop("orders.shop.test");
  });

  test("has what its schema says: unknown fields go, defaults come, wrong values are refused", async () => {
    await sample.client.create(crds, crd());
    const extra = { any: { deep: [1] } };
    const made = await sample.client.create(orders, order("a", { customer: "Ann", colour: "red", parcels: 3, extra }));
    assert.deepEqual(made["spec"], { customer: "Ann", parcels: 3, extra });
    const wrong = { customer: "A", parcels: 0 };
    assert.deepEqual(await causesOf(sample.client.create(orders, order("b", wrong))), [
      "spec.parcels: Invalid value: expected a whole number from 1, found the number 0",
    ]);
    assert.deepEqual(await causesOf(sample.client.create(orders, order("b", { customer: "A" }))), [
      "spec.customer: Invalid value: expected at least 2 characters, found 1",
    ]);
    assert.deepEqual(await causesOf(sample.client.create(orders, order("b", {}))), [
      "spec.customer: Required value: expected text",
    ]);
    const changed = await sample.client.patch(orders, { namespace: "default", name: "a" }, "merge", {
      spec: { note: "soon", other: 1 },
      status: { phase: "ignored" },
    });
    assert.deepEqual(changed["spec"], { customer: "Ann", parcels: 3, extra, note: "soon" });
    assert.equal(changed["status"], undefined);
    const reported = await sample.client.patchStatus(orders, { namespace: "default", name: "a" }, "merge", {
      status: { phase: "Packed", other: 1 },
      spec: { customer: "Bob" },
    });
    assert.deepEqual([reported["status"], reported.metadata.generation], [{ phase: "Packed" }, 2]);
    await drop("orders.shop.test");
  });

  test("keeps null where its schema takes it or says nothing of it, and nowhere else", async () => {
    const field = (more: object) => ({ ...text, default: "none", ...more });
    const fields = { given: field({ nullable: true }), unset: field({ nullable: true }), closed: field({}) };
    const open = { type: "object", "x-kubernetes-preserve-unknown-fields": true };
    const item = { type: "object", properties: { note: { ...text, nullable: true }, other: text } };
    const list = { type: "array", items: item };
    const any = { "x-kubernetes-preserve-unknown-fields": true };
    const spec = { type: "object", properties: { ...fields, open, list, any } };
    await sample.client.create(crds, crd({ properties: { spec } }));
    const nulls = {
      given: null,
      closed: null,
      open: { a: null, b: { c: null } },
      list: [{ note: null, other: null }],
      any: null,
    };
    const made = order("nulls", nulls);
    const metadata = { ...made.metadata, creationTimestamp: null, labels: null };
    await sample.client.create<KubeObject>(orders, { ...made, metadata } as unknown as KubeObject);
    const read = await sample.client.get(orders, { namespace: "default", name: "nulls" });
    assert.deepEqual(read["spec"], { ...nulls, list: [{ note: null }], closed: "none", unset: "none" });
    assert.deepEqual([typeof read.metadata.creationTimestamp, read.metadata.labels], ["string", undefined]);
    await drop("orders.shop.test");
  });

  test("has patterns that no value can make the server stand still with", { timeout: 60_000 }, async () => {
    const properties = { spec: { type: "object", properties: { customer: { ...text, pattern: "^(a+)+$" } } } };
    await sample.client.create(crds, crd({ properties }));
    const told = await causesOf(sample.client.create(orders, order("a", { customer: `${"a".repeat(10_000)}b` })));
    assert.match(told.join(), /expected text that matches \^\(a\+\)\+\$/);
    await sample.client.create(orders, order("b", { customer: "a".repeat(10_000) }));
    await drop("orders.shop.test");
  });

  test("takes its objects with it, those with finalizers when they are free, and takes no new ones meanwhile", async () => {
    await sample.client.create(crds, crd());
    await sample.client.create(orders, order("plain"));
    const held = order("held");
    await sample.client.create(orders, { ...held, metadata: { ...held.metadata, finalizers: ["shop.test/ship"] } });
    await sample.client.delete(crds, { name: "orders.shop.test" });
    await until("the condition", async () => {
      const now = await sample.client.get(crds, { name: "orders.shop.test" });
      return conditionOf(now, "Terminating")?.status === "True";
    });
    await until("the end of the plain one", async () => (await sample.client.list(orders)).items.length === 1);
    await assert.rejects(sample.client.create(orders, order("late")), (thrown) =>
      isApiError(thrown, "MethodNotAllowed"),
    );
    await sample.client.patch(orders, { namespace: "default", name: "held" }, "merge", {
      metadata: { finalizers: null },
    });
    await until("the definition's end", async () => !(await isThere("orders.shop.test")));
    await assert.rejects(sample.client.list(orders), (thrown) => isApiError(thrown, "NotFound"));
    // Nothing of the former kind comes back with a new definition of it.
    await sample.client.create(crds, crd());
    assert.deepEqual((await sample.client.list(orders)).items, []);
    await drop("orders.shop.test");
  });

  test("on its way out is judged when it changes as before, and keeps no other from being served", async () => {
    await sample.client.create(crds, crd());
    const held = order("held");
    await sample.client.create(orders, { ...held, metadata: { ...held.metadata, finalizers: ["shop.test/ship"] } });
    await sample.client.delete(crds, { name: "orders.shop.test" });
    const { spec } = crd({ version: { storage: false } });
    for (const change of [{ spec }, { spec: { names: { plural: "others" } } }]) {
      const patch = sample.client.patch(crds, { name: "orders.shop.test" }, "merge", change);
      await assert.rejects(patch, (thrown) => isApiError(thrown, "Invalid"));
    }
    const labels = { metadata: { labels: { leaves: "soon" } } };
    await sample.client.patch(crds, { name: "orders.shop.test" }, "merge", labels);
    await sample.client.create(crds, crd({ plural: "parcels", kind: "Parcel" }));
    await sample.client.list({ ...orders, plural: "parcels" });
    await drop("parcels.shop.test");
    const place = { namespace: "default", name: "held" };
    await sample.client.patch(orders, place, "merge", { metadata: { finalizers: null } });
    await until("the end of the definition", async () => !(await isThere("orders.shop.test")));
  });

  test("is watched from its beginning to its end", async () => {
    await sample.client.create(crds, crd());
    const seen: string[] = [];
    const watching = (async () => {
      for await (const { type, object } of sample.client.watch(orders, { resourceVersion: "0", timeoutSeconds: 60 })) {
        seen.push(`${type} ${object.metadata.name}`);
      }
    })();
    await sample.client.create(orders, order("one"));
    await until("the first event", () => seen.length > 0);
    await sample.client.delete(crds, { name: "orders.shop.test" });
    await watching;
    assert.deepEqual(seen, ["ADDED one", "DELETED one"]);
  });

  test("in several versions shows each object in each, and may store another one later", async () => {
    const schema = crd()["spec"] as { versions: [Record<string, unknown>] };
    const versions = [
      { ...schema.versions[0], name: "v1alpha1", storage: true },
      { ...schema.versions[0], name: "v1", storage: false },
      { ...schema.versions[0], name: "v1beta1", storage: false, served: false },
    ];
    await sample.client.create(crds, crd({ spec: { versions } }));
    const alpha: ResourceRef = { ...orders, version: "v1alpha1" };
    await sample.client.create(orders, order("old"));
    assert.equal(
      (await sample.client.get(alpha, { namespace: "default", name: "old" })).apiVersion,
      "shop.test/v1alpha1",
    );
    const beta: ResourceRef = { ...orders, version: "v1beta1" };
    await assert.rejects(sample.client.list(beta), (thrown) => isApiError(thrown, "NotFound"));
    const turned = versions.map((version) => ({ ...version, storage: version.name === "v1" }));
    await sample.client.patch(crds, { name: "orders.shop.test" }, "merge", { spec: { versions: turned } });
    await sample.client.create(orders, order("new"));
    for (const ref of [orders, alpha]) {
      const { items } = await sample.client.list(ref);
      assert.deepEqual(
        items.map(({ apiVersion, metadata }) => `${apiVersion} ${metadata.name}`),
        [`shop.test/${ref.version} new`, `shop.test/${ref.version} old`],
      );
    }
    await until("the status", async () => {
      const { status } = (await sample.client.get(crds, { name: "orders.shop.test" })) as {
        status?: { storedVersions?: string[] };
      };
      return status?.storedVersions?.join() === "v1alpha1,v1";
    });
    const without = turned.filter(({ name }) => name !== "v1alpha1");
    const patch = sample.client.patch(crds, { name: "orders.shop.test" }, "merge", { spec: { versions: without } });
    assert.deepEqual(await causesOf(patch), [
      'status.storedVersions[0]: Invalid value: "v1alpha1": must appear in spec.versions: objects may be stored in it',
    ]);
    await drop("orders.shop.test");
  });

  test("owns objects of other kinds: they go with its objects, also when the kind itself goes", async () => {
    await sample.client.create(crds, crd());
    for (const [name, end] of [
      ["with-object", () => sample.client.delete(orders, { namespace: "default", name: "with-object" })],
      ["with-kind", () => sample.client.delete(crds, { name: "orders.shop.test" })],
    ] as const) {
      const owner = await sample.client.create(orders, order(name));
      const reference = { apiVersion: "shop.test/v1", kind: "Order", name, uid: owner.metadata.uid ?? "" };
      // More than are collected before the kind is gone.
      for (let index = 0; index < 20; index += 1) {
        const metadata = { name: `${name}-${index}`, namespace: "default", ownerReferences: [reference] };
        await sample.client.create(configMaps, { apiVersion: "v1", kind: "ConfigMap", metadata });
      }
      await end();
      await until(`the end of what ${name} owns`, async () => {
        const { items } = await sample.client.list(configMaps, { namespace: "default" });
        return items.length === 0;
      });
    }
    await until("the definition's end", async () => !(await isThere("orders.shop.test")));
  });

  test("goes with its namespace", async () => {
    await sample.client.create(crds, crd());
    await sample.client.create(namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } });
    const inShop = order("one");
    await sample.client.create(orders, { ...inShop, metadata: { name: "one", namespace: "shop" } });
    await sample.client.delete(namespaces, { name: "shop" });
    await until("the namespace's end", async () => {
      const { items } = await sample.client.list(namespaces);
      return items.every(({ metadata }) => metadata.name !== "shop");
    });
    assert.deepEqual((await sample.client.list(orders)).items, []);
    await drop("orders.shop.test");
  });

  test("lies in no namespace where its scope says so", async () => {
    await sample.client.create(crds, crd({ spec: { scope: "Cluster" } }));
    const everywhere = { ...orders, namespaced: false };
    await sample.client.create(everywhere, { ...order("one"), metadata: { name: "one" } });
    assert.equal((await sample.client.get(everywhere, { name: "one" })).metadata.namespace, undefined);
    await drop("orders.shop.test");
  });

  test("survives a restart with its objects, and a deletion that a restart interrupts goes on", async () => {
    const own = makeFolder();
    try {
      let mine = await startSample(own.folder, { definitions });
      await mine.client.create(crds, crd());
      const held = order("held");
      await mine.client.create(orders, { ...held, metadata: { ...held.metadata, finalizers: ["shop.test/ship"] } });
      await mine.stop();
      mine = await startSample(own.folder, { definitions });
      assert.deepEqual((await mine.client.get(orders, { namespace: "default", name: "held" }))["spec"], {
        customer: "Ann",
        parcels: 1,
      });
      await mine.client.delete(crds, { name: "orders.shop.test" });
      await mine.stop();
      mine = await startSample(own.folder, { definitions });
      const free = { metadata: { finalizers: null } };
      await mine.client.patch(orders, { namespace: "default", name: "held" }, "merge", free);
      await until("the end", async () =>
        (await mine.client.list(crds)).items.every(({ metadata }) => metadata.name !== "orders.shop.test"),
      );
      await mine.stop();
    } finally {
      own.remove();
    }
  });
});

describe("a definition", () => {
  test("that cannot be is refused with every cause", async () => {
    const cases: readonly (readonly [Shape, RegExp])[] = [
      [{ group: "shop" }, /^spec\.group: .*at least one dot/],
      [{ group: "shop.k8s.io" }, /^metadata\.annotations\[api-approved\.kubernetes\.io\]: Required/],
      [{ plural: "Orders" }, /^(?:metadata\.name|spec\.names\.plural): /],
      [
        { properties: { spec: { description: "?" } } },
        /^spec\.versions\[0\]\.schema\.openAPIV3Schema\.properties\[spec\]\.type: Required/,
      ],
      [{ version: { schema: undefined } }, /^spec\.versions\[0\]\.schema\.openAPIV3Schema: Required/],
      [{ version: { storage: false } }, /^spec\.versions: .*exactly one/],
      [{ spec: { conversion: { strategy: "Webhook" } } }, /^spec\.conversion\.strategy: Unsupported value: "Webhook"/],
      [{ spec: { preserveUnknownFields: true } }, /^spec\.preserveUnknownFields: /],
      [{ spec: { scope: "Everywhere" } }, /^spec\.scope: Invalid value: expected one of Cluster, Namespaced/],
    ];
    for (const [shape, wanted] of cases) {
      const [first = ""] = await causesOf(sample.client.create(crds, crd(shape)));
      assert.match(first, wanted);
    }
    const misnamed = { ...crd(), metadata: { name: "others.shop.test" } };
    const [cause] = await causesOf(sample.client.create(crds, misnamed));
    assert.match(cause ?? "", /^metadata\.name: .*must be spec\.names\.plural/);
  });

  test("may not change what its objects are found by", async () => {
    await sample.client.create(crds, crd());
    const patch = { spec: { scope: "Cluster", names: { kind: "Ordre" } } };
    assert.deepEqual(await causesOf(sample.client.patch(crds, { name: "orders.shop.test" }, "merge", patch)), [
      'spec.names.kind: Invalid value: "Ordre": field is immutable',
      'spec.scope: Invalid value: "Cluster": field is immutable',
    ]);
    await drop("orders.shop.test");
  });

  test("whose names another one has waits for them, and says whose they are", async () => {
    await sample.client.create(crds, crd({ shortNames: ["ord"] }));
    const second = await sample.client.create(crds, crd({ plural: "purchases", kind: "Order", shortNames: ["ord"] }));
    assert.deepEqual(
      ["NamesAccepted", "Established"].map((type) => conditionOf(second, type)?.status),
      ["False", "False"],
    );
    assert.match(
      conditionOf(second, "NamesAccepted")?.message ?? "",
      /"ord" is already in use.*"Order" is already in use/,
    );
    const purchases = { ...orders, plural: "purchases" };
    await assert.rejects(sample.client.list(purchases), (thrown) => isApiError(thrown, "NotFound"));
    await sample.client.create(orders, order("one"));
    await drop("orders.shop.test");
    await until("the names", async () => {
      const now = await sample.client.get(crds, { name: "purchases.shop.test" });
      return conditionOf(now, "Established")?.status === "True";
    });
    assert.deepEqual((await sample.client.list(purchases)).items, []);
    await drop("purchases.shop.test");
  });

  test("of a built-in kind is there to be read, and refuses every change", async () => {
    const { items } = await sample.client.list(crds);
    const names = items.map(({ metadata }) => metadata.name);
    assert.ok(
      names.includes("virtualmachineinstances.kubevirt.io") &&
        names.includes("network-attachment-definitions.k8s.cni.cncf.io"),
    );
    const at = { name: "virtualmachineinstances.kubevirt.io" };
    const isRefused = (thrown: unknown) =>
      isApiError(thrown, "Forbidden") && /comes with Patchbay/.test(thrown.message);
    await assert.rejects(sample.client.delete(crds, at), isRefused);
    await assert.rejects(sample.client.patch(crds, at, "merge", { metadata: { labels: { a: "b" } } }), isRefused);
    const [builtIn] = items.filter(({ metadata }) => metadata.name === at.name);
    assert.equal(conditionOf(builtIn ?? crd(), "Established")?.status, "True");
  });

  test("in the name of a kind that is there without one gets no name of it, and takes nothing of it when it goes", async () => {
    const leases = { ...crd({ group: "kubevirt.io", plural: "kvs", kind: "Kvs" }) };
    const made = await sample.client.create(crds, leases);
    assert.match(conditionOf(made, "NamesAccepted")?.message ?? "", /"kvs" is already in use/);
    await drop("kvs.kubevirt.io");
    assert.ok(await isThere("kubevirts.kubevirt.io"));
  });
});

for (const version of kubectlVersions) {
  describe(`kubectl ${version}`, () => {
    const kubectl = makeKubectl(version, join(folder, version), () => sample.kubeconfig);
    after(() => kubectl.stop());

    test("adds a kind, waits for it, uses it by all its names, explains it, and deletes it", async (t) => {
      if (!needs(t, "kubectls")) return;
      const definition = crd({ shortNames: ["ord"], spec: {} });
      const spec = definition["spec"] as { names: Record<string, unknown> };
      spec.names["categories"] = ["all"];
      await kubectl.ok(["apply", "-f", "-"], JSON.stringify(definition));
      assert.match(
        await kubectl.ok(["wait", "--for=condition=Established", "crd/orders.shop.test", "--timeout=60s"]),
        /condition met/,
      );
      assert.match(
        await kubectl.ok(["get", "crd", "orders.shop.test"]),
        /^NAME +CREATED AT\norders\.shop\.test +\d{4}-/,
      );
      assert.match(
        await kubectl.ok(["api-resources", "--api-group=shop.test"]),
        /orders +ord +shop\.test\/v1 +true +Order/,
      );
      const manifest = "apiVersion: shop.test/v1\nkind: Order\nmetadata: {name: o1}\nspec: {customer: Ann}\n";
      await kubectl.ok(["apply", "-f", "-"], manifest);
      assert.match(await kubectl.ok(["get", "ord"]), /^NAME +CUSTOMER\no1 +Ann\n$/);
      assert.match(await kubectl.ok(["get", "orders", "-o", "wide"]), /^NAME +CUSTOMER +PARCELS\no1 +Ann +1\n$/);
      assert.match(await kubectl.ok(["get", "all"]), /o1 +Ann/);
      assert.match(await kubectl.ok(["explain", "ord"]), /What a customer wants\./);
      assert.match(await kubectl.ok(["explain", "order.spec.parcels"]), /<integer>/);
      const odd = await kubectl.run(["apply", "-f", "-"], manifest.replace("customer", "custommer"));
      assert.match(odd.err, /unknown field "(?:spec\.)?custommer"/);
      assert.match(await kubectl.ok(["describe", "crd", "orders.shop.test"]), /Accepted Names:/);
      assert.match(await kubectl.ok(["delete", "crd", "orders.shop.test"]), /"orders\.shop\.test" deleted/);
      const gone = await kubectl.run(["get", "orders"]);
      assert.match(gone.err, /the server doesn't have a resource type "orders"|could not find the requested resource/);
    });

    test("is told of versions that are deprecated and of what is kept and not done", async (t) => {
      if (!needs(t, "kubectls")) return;
      const rules = { ...text, "x-kubernetes-validations": [{ rule: "true" }] };
      const definition = crd({ properties: { spec: rules }, version: { deprecated: true } });
      const { err } = await kubectl.run(["apply", "-f", "-"], JSON.stringify(definition));
      assert.match(err, /Warning: .*x-kubernetes-validations are kept and not evaluated/);
      const listed = await kubectl.run(["get", "orders.shop.test"]);
      assert.match(listed.err, /Warning: shop\.test\/v1 Order is deprecated/);
      await kubectl.ok(["delete", "crd", "orders.shop.test"]);
    });
  });
}
