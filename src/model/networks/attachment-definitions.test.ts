import assert from "node:assert/strict";
import { test } from "node:test";
import { completeManifests } from "../manifest/completion.ts";
import { readManifests } from "../manifest/read.ts";
import { definitionsAmong } from "./attachment-definitions.ts";

function among(text: string): ReturnType<typeof definitionsAmong> {
  return definitionsAmong(completeManifests(readManifests(text, "a.yaml").documents).documents);
}

const nad = (metadata: string, config: string): string =>
  `---\napiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata: ${metadata}\nspec:\n  config: '${config}'\n`;

test("definitions are found by namespace and name, with their configuration and their resource", () => {
  const found = among(
    nad("{name: a}", '{"type": "bridge", "bridge": "br0"}') +
      nad(
        "{name: a, namespace: b, annotations: {k8s.v1.cni.cncf.io/resourceName: c/d}}",
        '{"cniVersion": "1.0.0", "name": "e", "plugins": [{"type": "macvlan"}, {"type": "tuning"}]}',
      ) +
      "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: f}\n",
  );
  assert.deepEqual([...found.keys()], ["default/a", "b/a"]);
  const [one, two] = found.values();
  assert.equal(one?.network?.name, "a");
  assert.equal(one?.resourceName, undefined);
  assert.equal(two?.resourceName, "c/d");
  assert.deepEqual(
    two?.network?.plugins.map(({ type }) => type),
    ["macvlan", "tuning"],
  );
});

test("an empty configuration is no fault, one that cannot be read tells why and where", () => {
  const found = among(nad("{name: empty}", " ") + nad("{name: torn}", '{"type": }') + nad("{name: list}", "[]"));
  assert.deepEqual(found.get("default/empty")?.problems, []);
  assert.equal(found.get("default/empty")?.network, undefined);
  const [torn] = found.get("default/torn")?.problems ?? [];
  assert.equal(torn?.code, "PB3003");
  assert.equal(torn?.column, 10);
  assert.equal(found.get("default/list")?.problems[0]?.code, "PB3004");
});

test("of two definitions with one name the later counts, and those without a name do not", () => {
  const found = among(
    nad("{name: a}", '{"type": "bridge"}') + nad("{}", '{"type": "ptp"}') + nad("{name: a}", '{"type": "ptp"}'),
  );
  assert.deepEqual(
    [...found].map(([key, { network }]) => [key, network?.plugins[0]?.type]),
    [["default/a", "ptp"]],
  );
});
