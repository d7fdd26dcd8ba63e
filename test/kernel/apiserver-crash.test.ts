import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { makeKubeClient } from "../../src/client/client.ts";
import { loadKubeconfig } from "../../src/client/kubeconfig.ts";
import type { KubeObject } from "../../src/model/api/resource.ts";
import { isApiError } from "../../src/model/api/status.ts";
import { needs } from "../needs.ts";
import { configMap, configMaps, makeFolder, startSample } from "./apiserver-sample.ts";

const WRITERS = 32;
const ROUNDS = 20;

describe("a store that is killed with -9 under many writers", () => {
  test("has every write that was acknowledged, and is whole", async () => {
    const { folder, remove } = makeFolder();
    /** The newest acknowledged value of each object. */
    const acknowledged = new Map<string, number>();
    for (let round = 0; round < ROUNDS; round += 1) {
      const victim = spawn(process.execPath, [join(import.meta.dirname, "apiserver-victim.ts"), folder], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      await once(victim.stdout, "data");
      const client = makeKubeClient(loadKubeconfig(join(folder, "kubeconfig")));
      let writes = 0;
      const enough = 100 + 60 * round;
      const write = async (writer: number) => {
        const name = `writer-${writer}`;
        for (let value = (acknowledged.get(name) ?? 0) + 1; ; value += 1) {
          try {
            const data = { value: String(value) };
            if (acknowledged.has(name)) await client.patch(configMaps, at(name), "merge", { data });
            else await client.create(configMaps, configMap(name, data));
          } catch {
            return;
          }
          acknowledged.set(name, value);
          writes += 1;
          if (writes === enough) victim.kill("SIGKILL");
        }
      };
      await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)));
      if (victim.exitCode === null && victim.signalCode === null) await once(victim, "exit");
      client.close();
      assert.equal(victim.signalCode, "SIGKILL");

      const sample = await startSample(folder);
      const { items } = await sample.client.list<KubeObject & { data: { value: string } }>(configMaps);
      const kept = new Map(items.map(({ metadata, data }) => [metadata.name, Number(data.value)]));
      for (const [name, value] of acknowledged) {
        // One write more may be there: it was kept, and the answer was lost.
        assert.ok([value, value + 1].includes(kept.get(name) ?? 0), `${name}: ${kept.get(name)} of ${value}`);
      }
      for (const [name, value] of kept) acknowledged.set(name, value);
      await sample.stop();
      const database = new DatabaseSync(join(folder, "store.db"));
      assert.deepEqual(
        database
          .prepare("PRAGMA integrity_check")
          .all()
          .map((row) => ({ ...row })),
        [{ integrity_check: "ok" }],
      );
      database.close();
    }
    remove();
  });
});

const at = (name: string) => ({ namespace: "default", name });

describe("a disk that is full", () => {
  test("refuses writes with a sentence, keeps what was, and goes on when there is room", async (t) => {
    if (!needs(t, "root")) return;
    const { folder, remove } = makeFolder();
    const disk = join(folder, "disk");
    mkdirSync(disk);
    assert.equal(spawnSync("mount", ["-t", "tmpfs", "-o", "size=4m,mode=0700", "patchbay-test", disk]).status, 0);
    try {
      const sample = await startSample(join(disk, "data"));
      await sample.client.create(configMaps, configMap("kept", { a: "1" }));
      writeFileSync(join(disk, "ballast"), Buffer.alloc(2_000_000));
      const bulk = "x".repeat(400_000);
      let refusal: unknown;
      for (let index = 0; index < 20 && refusal === undefined; index += 1) {
        try {
          await sample.client.create(configMaps, configMap(`bulk-${index}`, { bulk }));
        } catch (thrown) {
          refusal = thrown;
        }
      }
      assert.ok(isApiError(refusal, "InsufficientStorage"), String(refusal));
      assert.equal(refusal.httpStatus, 507);
      assert.match(refusal.message, /the disk that holds .*data is full; nothing was changed.*Free some space/);
      const before = await sample.client.list(configMaps);
      assert.equal((await sample.client.get(configMaps, at("kept"))).metadata.generation, 1);
      rmSync(join(disk, "ballast"));
      await sample.client.create(configMaps, configMap("after", { bulk }));
      const now = await sample.client.list(configMaps);
      assert.equal(now.items.length, before.items.length + 1);
      await sample.stop();
    } finally {
      spawnSync("umount", [disk]);
      remove();
    }
  });
});
