import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { makeAdmission } from "../../src/control/admission.ts";
import { servedDefinitions } from "../../src/model/api/kinds.ts";
import { isJsonObject, type JsonObject, objectAt } from "../../src/model/json.ts";
import { kubectlVersions } from "../kubectls.ts";
import { needs } from "../needs.ts";
import { makeFolder, type Sample, startSample } from "./apiserver-sample.ts";
import { type Kubectl, makeKubectl } from "./kubectl-run.ts";

const examples = join(import.meta.dirname, "../../examples");

for (const version of kubectlVersions) {
  describe(`kubectl ${version} on the server`, () => {
    const { folder, remove } = makeFolder();
    let sample: Sample;
    let kubectl: Kubectl;

    before(async () => {
      const admission = makeAdmission(async () => undefined);
      sample = await startSample(join(folder, "data"), { definitions: servedDefinitions, admission });
      kubectl = makeKubectl(version, folder, () => sample.kubeconfig);
    });

    after(async () => {
      kubectl.stop();
      await sample.stop();
      remove();
    });

    const on = (...more: string[]) => ["apply", "--server-side", ...more];

    async function stored(file: string, namespace = "default"): Promise<readonly JsonObject[]> {
      const flags = version === "1.20" ? [] : ["--show-managed-fields"];
      const found: unknown = JSON.parse(await kubectl.ok(["get", "-n", namespace, "-f", file, "-o", "json", ...flags]));
      const { items } = isJsonObject(found) ? found : {};
      return Array.isArray(items) ? items.filter(isJsonObject) : isJsonObject(found) ? [found] : [];
    }

    for (const name of ["masquerade", "several-networks", "virtual-machine"]) {
      test(`applies the example ${name} twice, and the second time nothing is written`, async (t) => {
        if (!needs(t, "kubectls")) return;
        const file = join(examples, `${name}.yaml`);
        assert.match(await kubectl.ok(on("-f", file)), /serverside-applied/);
        const first = await stored(file);
        for (const object of first) {
          const [owner] = objectAt(object, "metadata")["managedFields"] as readonly JsonObject[];
          assert.deepEqual([owner?.["manager"], owner?.["operation"]], ["kubectl", "Apply"]);
        }
        await kubectl.ok(on("-f", file));
        assert.deepEqual(await stored(file), first);
        assert.deepEqual(await kubectl.run(["diff", "--server-side", "-f", file]), { code: 0, out: "", err: "" });
      });

      test(`goes on with the example ${name} that it applied as a client`, async (t) => {
        if (!needs(t, "kubectls")) return;
        const file = join(examples, `${name}.yaml`);
        const there = ["-n", name, "-f", file];
        await kubectl.ok(["create", "ns", name]);
        await kubectl.ok(["apply", ...there]);
        await kubectl.ok(["label", ...there, "tier=front"]);
        await kubectl.ok(on(...there));
        assert.match(await kubectl.ok(["apply", ...there]), /configured|unchanged/);
        for (const object of await stored(file, name)) {
          assert.equal(objectAt(objectAt(object, "metadata"), "labels")["tier"], "front");
        }
      });
    }
  });
}
