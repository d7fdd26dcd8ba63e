import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { VmiSpec } from "../api/vmi.ts";
import { nicContexts } from "../wiring/nics.ts";
import { KEPT_INTERFACES_ANNOTATION, keptInterfaces, readKeptInterfaces } from "./kept-interfaces.ts";

const kept = [{ name: "default", mac: "02:00:00:00:00:01", ips: ["10.0.0.2", "fd00::2"] }, { name: "blue" }];

test("what was written is read", () => {
  assert.deepEqual(readKeptInterfaces(JSON.stringify(kept)), kept);
  assert.deepEqual(readKeptInterfaces('[{"name":"a","mac":"02-00-00-00-00-0A"}]'), [
    { name: "a", mac: "02:00:00:00:00:0a" },
  ]);
});

test("whatever else stands there is told from it, without a throw", () => {
  const others = [
    "",
    "{}",
    "[1]",
    '[{"mac":"02:00:00:00:00:01"}]',
    '[{"name":"a","mac":"x"}]',
    '[{"name":"a","ips":"10.0.0.2"}]',
    '[{"name":"a","ips":["10.0.0.2/24"]}]',
  ];
  for (const text of others) assert.equal(readKeptInterfaces(text), undefined, text);
  fc.assert(fc.property(fc.json(), (text) => void readKeptInterfaces(text)));
  assert.deepEqual(keptInterfaces({ [KEPT_INTERFACES_ANNOTATION]: "[1]" }), []);
});

test("a kept MAC stands in for one that the manifest does not name", () => {
  const spec = (first?: string): VmiSpec => ({
    domain: {
      devices: { interfaces: [{ name: "default", bridge: {}, ...(first === undefined ? {} : { macAddress: first }) }] },
    },
    networks: [{ name: "default", pod: {} }],
  });
  const annotations = { [KEPT_INTERFACES_ANNOTATION]: JSON.stringify(kept) };
  const macOf = (given: VmiSpec, said: Readonly<Record<string, string>> = annotations) =>
    nicContexts({ spec: given, hostName: "h", annotations: said }).map(({ mac, keepsMac }) => [mac, keepsMac])[0];
  assert.deepEqual(macOf(spec()), ["02:00:00:00:00:01", true]);
  assert.deepEqual(macOf(spec("")), ["02:00:00:00:00:01", true]);
  assert.deepEqual(macOf(spec("02:00:00:00:00:02")), ["02:00:00:00:00:02", undefined]);
  assert.deepEqual(macOf(spec(), {}), [undefined, undefined]);
});
