import assert from "node:assert/strict";
import { test } from "node:test";
import { checkManifest } from "./check.ts";
import { readManifests } from "./read.ts";

const found = (data: string, name = "macvtap-deviceplugin-config"): string[] => {
  const text = `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}}\ndata: {${data}}\n`;
  return readManifests(text, "a.yaml").documents.flatMap((document) =>
    checkManifest(document, undefined).map(
      ({ severity, code, line, message, hint }) => `${severity} ${code} ${line}: ${message} ${hint}`,
    ),
  );
};

test("S3.95 S3.96: the list of macvtap devices is read, and its faults are findings", () => {
  assert.deepEqual(found("DP_MACVTAP_CONF: '[]'"), []);
  assert.deepEqual(
    found(`DP_MACVTAP_CONF: '[{"name": "a", "lowerDevice": "eth0", "mode": "bridge", "capacity": 50}]'`),
    [],
  );
  assert.deepEqual(found(`DP_MACVTAP_CONF: '[{"name": "a", "lowerDevice": "eth0", "mode": "brigde"}]'`), [
    'error PB6123 4: DP_MACVTAP_CONF: element 1: the mode "brigde" of "a" is not one. Did you mean "bridge"?',
  ]);
  assert.deepEqual(found("other: x"), ['warning PB6123 4: DP_MACVTAP_CONF is not there. Write "[]" for every link.']);
  assert.deepEqual(found("DP_MACVTAP_CONF: '{'", "another"), []);
});
