import assert from "node:assert/strict";
import { test } from "node:test";
import { crdOf } from "./crd.ts";
import { definitions } from "./kinds.ts";

test("custom kinds have a CustomResourceDefinition of plain JSON, metadata left to Kubernetes", () => {
  const custom = definitions.filter(({ group }) => group !== "" && !group.endsWith(".k8s.io"));
  assert.ok(custom.some(({ kind }) => kind === "VirtualMachineInstance"));
  for (const definition of custom) {
    const crd = crdOf(definition);
    assert.deepEqual(JSON.parse(JSON.stringify(crd)), crd);
    const text = JSON.stringify(crd);
    assert.ok(text.includes('"metadata":{"type":"object"}'));
    assert.ok(text.includes(`"name":"${definition.plural}.${definition.group}"`));
  }
});
