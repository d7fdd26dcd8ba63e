import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { comesTo } from "../comes-to.ts";
import { eventually, type Outcome, TestHost } from "../daemon.ts";
import { type KubectlVersion, kubectlBinary, kubectlVersions } from "../kubectls.ts";
import { needs } from "../needs.ts";
import { type ConsoleSocket, openConsoleSocket } from "./console-socket.ts";

const EXAMPLE = new URL("../../examples/masquerade.yaml", import.meta.url).pathname;

/** One version of kubectl, with a home of its own, as a user of the host calls it. */
class Kubectl {
  readonly #host: TestHost;
  readonly #argv: readonly string[];

  private constructor(host: TestHost, argv: readonly string[]) {
    this.#host = host;
    this.#argv = argv;
  }

  static async of(host: TestHost, version: KubectlVersion): Promise<Kubectl> {
    const environment = [
      `HOME=${join(host.dataDir, `home-${version}`)}`,
      `KUBECONFIG=${join(host.dataDir, "kubeconfig")}`,
    ];
    return new Kubectl(host, ["env", ...environment, await kubectlBinary(version)]);
  }

  run(...args: readonly string[]): Promise<Outcome> {
    return this.#host.run([...this.#argv, ...args]);
  }

  /** Its output; fails where it does not succeed. */
  async ok(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(...args);
    assert.equal(code, 0, `kubectl ${args.join(" ")}: ${stderr}${stdout}`);
    return stdout;
  }

  /** Starts one that goes on, and gives what it has printed so far, and its exit code. */
  begin(...args: readonly string[]): { readonly lines: () => readonly string[]; readonly code: Promise<unknown> } {
    const child = this.#host.start([...this.#argv, ...args]);
    const code = once(child, "close").then(([exit]) => exit);
    let text = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (data: string) => {
        text += data;
      });
    }
    return { lines: () => text.split("\n").filter((line) => line !== ""), code };
  }
}

/** What a user would look at to see whether anything was left behind; counters and handles change of themselves. */
async function traces(host: TestHost): Promise<Readonly<Record<string, unknown>>> {
  const listing = async (...argv: readonly string[]): Promise<readonly string[]> => {
    const { code, stdout, stderr } = await host.run(argv);
    assert.equal(code, 0, stderr);
    return stdout.split("\n").map((line) => line.replace(/counter packets \d+ bytes \d+/, "counter"));
  };
  return {
    links: await listing("ip", "-o", "link"),
    addresses: await listing("ip", "-o", "address"),
    "namespaces that a link leads to": await listing("ip", "netns", "list-id"),
    rules: await listing("nft", "list", "ruleset"),
    processes: processesOf(host),
    // The lock of host-local and its memory of the last address given are no leases.
    files: readdirSync(host.dataDir, { recursive: true, encoding: "utf8" })
      .filter((path) => /^(?:pods|guests|cni\/(?:results|host-local\/.*))\/(?!lock$|last_reserved_ip)/.test(path))
      .sort(),
  };
}

/** Processes whose command line names the data folder. */
function processesOf(host: TestHost): readonly string[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
        return line.includes(host.dataDir) ? [`${pid} ${line}`] : [];
      } catch {
        return [];
      }
    })
    .filter((line) => !line.includes(" get vmi -w"))
    .sort();
}

function namespaces(): readonly string[] {
  return readdirSync("/run/netns");
}

async function walk(t: TestContext, host: TestHost, version: KubectlVersion): Promise<void> {
  const kubectl = await Kubectl.of(host, version);
  assert.equal(await kubectl.ok("get", "--raw", "/readyz"), "ok");
  const before = await traces(host);
  // It tells of its requests, so that nothing is applied before it watches.
  const { lines: seen } = kubectl.begin("get", "vmi", "-w", "-v=6");
  await eventually("the watch", () =>
    Promise.resolve(seen().some((line) => /virtualmachineinstances\?.*watch=true.* 200 OK/.test(line))),
  );

  assert.equal(await kubectl.ok("apply", "-f", EXAMPLE), "virtualmachineinstance.kubevirt.io/masquerade created\n");
  await kubectl.ok("wait", "--for=condition=Ready", "vmi/masquerade", "--timeout=120s");
  const addresses: unknown = JSON.parse(
    await kubectl.ok("get", "vmi", "masquerade", "-o", "jsonpath={.status.interfaces[0].ipAddresses}"),
  );
  assert.ok(Array.isArray(addresses) && addresses.length === 2, "an address of each family");
  const mac = await kubectl.ok("get", "vmi", "masquerade", "-o", "jsonpath={.status.interfaces[0].mac}");
  const guest = await host.guest("masquerade");

  await t.test("the pod's addresses show the guest's page", async () => {
    for (const address of addresses) assert.match(await host.page(String(address)), new RegExp(mac));
  });
  await t.test("get -o wide shows phase, address and node", async () => {
    const node = await kubectl.ok("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}");
    const [head = "", row = "", ...more] = (await kubectl.ok("get", "vmi", "-o", "wide")).trimEnd().split("\n");
    assert.deepEqual(more, []);
    assert.match(head, /^NAME +AGE +PHASE +IP +NODENAME +READY/);
    const cells = row.split(/ +/);
    assert.deepEqual([cells[0], ...cells.slice(2, 6)], ["masquerade", "Running", addresses[0], node, "True"]);
  });
  await t.test("get -w has told each phase", async () => {
    await eventually("the phase Running", () =>
      Promise.resolve(seen().some((line) => /^masquerade +\S+ +Running +\S+ +\S+ +True/.test(line))),
    );
    const phases = seen().flatMap((line) => /^masquerade +\S+ +([A-Z][a-z]+)/.exec(line)?.[1] ?? []);
    assert.deepEqual([...new Set(phases)].slice(-2), ["Scheduled", "Running"], seen().join("\n"));
  });
  await t.test("describe shows the status and the events", async () => {
    assert.match(await kubectl.ok("describe", "vmi", "masquerade"), /Phase: +Running/);
    const told = /Events:\n[\s\S]*Normal +Started /;
    await eventually("the event", async () => told.test(await kubectl.ok("describe", "vmi", "masquerade")));
  });
  const pod = (await kubectl.ok("get", "pods", "-l", "kubevirt.io=virt-launcher", "-o", "name")).trim();
  const console = ["logs", pod, "-c", "guest-console-log"] as const;
  const followed = kubectl.begin(...console, "-f", "--tail=5");
  await t.test("logs show what the guest prints on its console, to who may only look, too", async () => {
    const ready = /patchbay-guest: ready/;
    assert.match(await kubectl.ok("get", "pods"), /^virt-launcher-masquerade-\S+ +2\/2 +Running /m);
    await eventually("the guest's word", async () => ready.test(await kubectl.ok(...console)));
    await eventually("the follower to have it", () => Promise.resolve(ready.test(followed.lines().join("\n"))));
    const all = await kubectl.ok(...console, "--since=24h");
    const last = await kubectl.ok(...console, "--tail=1", `--kubeconfig=${join(host.dataDir, "kubeconfig-view")}`);
    assert.ok(all.length > last.length && last.trimEnd() !== "" && !last.trimEnd().includes("\n"), last);
    assert.equal(await kubectl.ok(...console, "--limit-bytes=7"), all.slice(0, 7));
    const { code, stderr } = await kubectl.run("logs", pod);
    assert.deepEqual([code, stderr], [0, ""], "of several containers it is QEMU's");
  });
  await t.test("logs say what they cannot tell, and exec, attach and port-forward what to do instead", async () => {
    const name = pod.replace("pod/", "");
    for (const [args, why] of [
      [["logs", pod, "--timestamps"], /timestamps: .*is not recorded/],
      [["logs", pod, "--since=1s"], /sinceSeconds: .*before the pod's beginning/],
      [["logs", pod, "-p"], /previous terminated container "compute" in pod "virt-launcher-masquerade-\w+" not found/],
      [["logs", pod, "-c", "other"], /container other is not (?:found|valid)/],
      [["exec", name, "--", "id"], /runs no containers; log in on the guest's serial console/],
      [["attach", name], /runs no containers; .*patchbay console/],
      [["port-forward", name, "18080:80"], /runs no containers; .*addresses that/],
    ] as const) {
      const { code, stderr, stdout } = await kubectl.run(...args);
      assert.notEqual(code, 0, args.join(" "));
      assert.match(stderr + stdout, why);
    }
  });
  // It knows of no kubectl: once is enough.
  if (version === kubectlVersions[0]) {
    await t.test("a port is forwarded by websocket, as virtctl does it; what is none is refused", () =>
      forwards(host, mac),
    );
  }
  await t.test("apply again changes nothing", async () => {
    assert.equal(await kubectl.ok("apply", "-f", EXAMPLE), "virtualmachineinstance.kubevirt.io/masquerade unchanged\n");
    assert.equal((await host.guest("masquerade")).qemuPid, guest.qemuPid);
  });
  await t.test("delete leaves namespaces, links, rules, processes and files as they were", async () => {
    const name = guest.netns.split("/").at(-1) ?? "";
    assert.ok(namespaces().includes(name), "`ip netns` shows the pod's namespace");
    assert.equal(
      await kubectl.ok("delete", "-f", EXAMPLE),
      'virtualmachineinstance.kubevirt.io "masquerade" deleted\n',
    );
    assert.equal((await kubectl.run("get", "vmi", "masquerade")).code, 1);
    assert.equal(await followed.code, 0, "the log ends with the guest");
    await eventually("the pod's end", async () => (await kubectl.ok("get", "pods", "-o", "name")) === "");
    assert.ok(!namespaces().includes(name), "`ip netns` shows the pod's namespace no more");
    await comesTo(before, () => traces(host));
  });
}

async function forwards(host: TestHost, mac: string): Promise<void> {
  const open = (port: string): ConsoleSocket =>
    openConsoleSocket(host, "masquerade", { subresource: `portforward/${port}` });
  const web = open("80/tcp");
  const refused = ["81", "80/udp", "0", "80/tcp/more"].map(open);
  await web.untilTold(/open plain\.kubevirt\.io/);
  web.type("GET / HTTP/1.0\r\n\r\n");
  await web.until(new RegExp(mac));
  await web.untilTold(/closed 1000/);
  await Promise.all(refused.map((each) => each.untilTold(/^failed/)));
}

test("a VM's life by kubectl, of each version", { timeout: 600_000 }, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectls")) return;
  const host = await TestHost.make(t);
  await host.useGuestImage();
  await host.up();
  for (const version of kubectlVersions) {
    await t.test(
      `kubectl ${version}`,
      host.explained((inner: TestContext) => walk(inner, host, version)),
    );
  }
});
