import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { judgeManifests } from "../src/cli/judged-manifests.ts";
import { planAll } from "../src/cli/plan.ts";
import { planSvg } from "../src/model/picture/svg.ts";

const root = join(import.meta.dirname, "..");

/** The manifest that each picture of the guides is drawn of. */
const pictures: Readonly<Record<string, string>> = {
  "bridge.svg": "examples/documents/bridge-pod.yaml",
  "masquerade.svg": "examples/masquerade.yaml",
  "several-networks.svg": "examples/several-networks.yaml",
};

test("the guides' pictures are what plan -o svg draws of the examples", () => {
  const folder = join(root, "docs/pictures");
  assert.deepEqual(readdirSync(folder).sort(), Object.keys(pictures));
  for (const [picture, manifest] of Object.entries(pictures)) {
    const { results, refusals } = planAll(judgeManifests([join(root, manifest)], undefined));
    assert.deepEqual(refusals, []);
    const drawn = readFileSync(join(folder, picture), "utf8");
    assert.ok(
      drawn === planSvg(results),
      `draw it anew: ./patchbay plan -f ${manifest} -o svg > docs/pictures/${picture}`,
    );
  }
});
