import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { parseQuantity } from "../../src/model/guest/quantity.ts";
import { blankManifest, makeBlankImage } from "../blank-guest.ts";
import { eventually, TestHost } from "../daemon.ts";
import { needs } from "../needs.ts";

const POOL = "/sys/kernel/mm/hugepages/hugepages-2048kB";
/** As many as the smallest guest of the tests has memory. */
const PAGES = 32;

function pages(file: "nr_hugepages" | "free_hugepages" | "resv_hugepages"): number {
  return Number(readFileSync(join(POOL, file), "latin1"));
}

/** Has the kernel keep so many; the test's end gives the machine its own number again. */
async function keepPages(count: number): Promise<void> {
  // The kernel makes room as far as it can at the moment, and gives pages back that are in use when they are free.
  await eventually(`${count} huge pages: so much memory in one piece`, () => {
    writeFileSync(join(POOL, "nr_hugepages"), String(count));
    return Promise.resolve(pages("nr_hugepages") === count);
  });
}

/** KiB of a process on huge pages of 2 MiB (proc_pid_smaps(5)). */
function hugeKibOf(pid: number): number {
  const mappings = readFileSync(`/proc/${pid}/smaps`, "latin1").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  return mappings
    .filter((mapping) => /^KernelPageSize: +2048 kB$/m.test(mapping))
    .flatMap((mapping) => [...mapping.matchAll(/^(?:Shared|Private)_Hugetlb: +(\d+) kB$/gm)])
    .reduce((sum, [, kib]) => sum + Number(kib), 0);
}

test("hugepages: the guest's memory lies on them, its node counts them, and where too few are free it waits for more", async (t) => {
  if (!needs(t, "daemon", "kubectl", "hugepages")) return;
  const former = pages("nr_hugepages");
  const host = await TestHost.make(t);
  t.after(() => keepPages(former));
  await makeBlankImage(join(host.dataDir, "images"));
  await keepPages(former + PAGES - 1);
  await host.up();
  await host.explained<TestContext>(async () => {
    const counted = await host.kubectlOk(["get", "nodes", "-o", "jsonpath={.items[0].status.capacity.hugepages-2Mi}"]);
    assert.equal(parseQuantity(counted), BigInt(former + PAGES - 1) << 21n);

    // The machine's own may be in use, or free for guests.
    const free = pages("free_hugepages") - pages("resv_hugepages");
    const wanted = free + 1;
    const memory = { guest: `${2 * wanted}Mi`, hugepages: { pageSize: "2Mi" } };
    await host.kubectlOk(["apply", "-f", "-"], blankManifest({ name: "huge", domain: { memory, resources: {} } }));
    await eventually("the want of pages", async () => {
      const message = await host.value("vmi", "huge", '.status.conditions[?(@.reason=="PB5076")].message');
      return message.includes(`needs ${wanted} huge pages of 2097152 bytes; ${free} are free`);
    });

    await keepPages(former + PAGES);
    await host.kubectlOk(["wait", "--for=condition=Ready", "vmi/huge", "--timeout=120s"]);
    const { qemuPid } = await host.guest("huge");
    assert.equal(hugeKibOf(qemuPid), wanted * 2048);
    assert.equal(pages("free_hugepages"), 0);

    await host.kubectlOk(["delete", "vmi", "huge"]);
    await eventually("the pages to be free again", () => Promise.resolve(pages("free_hugepages") === wanted));
  })(t);
});
