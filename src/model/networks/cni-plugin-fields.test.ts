import assert from "node:assert/strict";
import { test } from "node:test";
import { ipamFields, isRead, pluginFields } from "./cni-plugin-fields.ts";

test("what plugins read is known by their type, capitals alike, and nothing of others", () => {
  const bridge = pluginFields("bridge");
  assert.ok(bridge);
  assert.equal(isRead(bridge, "hairpinMode"), true);
  assert.equal(isRead(bridge, "HAIRPINMODE"), true);
  assert.equal(isRead(bridge, "ipam"), true);
  assert.equal(isRead(bridge, "master"), false);
  assert.equal(isRead(bridge, "disableContainerInterface"), false);
  assert.ok(bridge.later.includes("disableContainerInterface"));
  const local = ipamFields("host-local");
  assert.ok(local);
  assert.equal(isRead(local, "rangeStart"), true);
  assert.equal(isRead(local, "range"), false);
  for (const type of ["elsewhere", "constructor", "__proto__", ""]) {
    assert.equal(pluginFields(type), undefined);
    assert.equal(ipamFields(type), undefined);
  }
});
