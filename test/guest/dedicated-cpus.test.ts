import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseCpuList } from "../../src/model/guest/dedicated-cpus.ts";
import { BLANK_IMAGE, blankManifest, makeBlankImage } from "../blank-guest.ts";
import { eventually, TestHost } from "../daemon.ts";
import { needs } from "../needs.ts";

/** Empty for a thread that has just ended: QEMU's helpers come and go. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** The processors of the threads of a QEMU that are a guest's vCPUs, by QEMU's names for them. */
function vcpusOf(pid: number): readonly (readonly number[])[] {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks).flatMap((task) => {
    const [name, status] = ["comm", "status"].map((file) => textOf(join(tasks, task, file))) as [string, string];
    const allowed = /^Cpus_allowed_list:\s*(.*)$/m.exec(status)?.[1] ?? "";
    return /^CPU \d+\//.test(name) ? [parseCpuList(allowed)] : [];
  });
}

test("dedicatedCpuPlacement: each vCPU has a processor that no other guest's has; where too few are left, it is told", async (t) => {
  if (!needs(t, "daemon", "kubectl")) return;
  const host = await TestHost.make(t);
  await makeBlankImage(join(host.dataDir, "images"));
  await host.up();
  await host.explained(async () => {
    const all = parseCpuList(/^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "");
    const dedicated = (name: string, sockets: number): Promise<string> => {
      const cpu = { sockets, cores: 1, threads: 1, dedicatedCpuPlacement: true };
      return host.kubectlOk(["apply", "-f", "-"], blankManifest({ name, image: BLANK_IMAGE, domain: { cpu } }));
    };
    const ready = (name: string): Promise<string> =>
      host.kubectlOk(["wait", "--for=condition=Ready", `vmi/${name}`, "--timeout=120s"]);

    await dedicated("one", 1);
    await ready("one");
    const [own, ...others] = vcpusOf((await host.guest("one")).qemuPid);
    assert.deepEqual([own?.length, others], [1, []]);

    await dedicated("all", all.length);
    await eventually("the want of processors", async () => {
      const message = await host.value("vmi", "all", '.status.conditions[?(@.reason=="PB5080")].message');
      return message.includes(`${all.length} processors of its own`);
    });
    await host.kubectlOk(["delete", "vmi", "one"]);
    await ready("all");
    const pinned = vcpusOf((await host.guest("all")).qemuPid);
    assert.deepEqual(pinned.toSorted(), all.map((cpu) => [cpu]).toSorted());
  })(t);
});
