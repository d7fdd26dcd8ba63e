// passt: a process in the pod speaks for the guest, which has the pod's addresses. Its claims at their word, families,
// ports, its plugin, and what happens when it dies.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { ExplainedNic } from "../../src/model/explain/explain.ts";
import { eventually, isProcess, type TestHost } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { answersFrozen, COMES_SECONDS, claimOf, explained, texts } from "./explained.ts";
import { type GuestShell, openShell } from "./guest-shell.ts";
import {
  annotated,
  fetching,
  gatewayOf,
  type Heard,
  MTU,
  onFamily,
  PERMITTED,
  RESOLVER,
  RESOLVER_6,
  surroundings,
} from "./user-mode.ts";

const READY = '.status.conditions[?(@.type=="Ready")]';

const KUBEVIRTS = { type: "kubevirt-passt-binding" };

/** A low and a high port. */
const LISTED = guestManifest({
  name: "listed",
  devices: {
    interfaces: [{ name: "default", passt: {}, ports: [{ port: 80 }, { port: 8080 }, { port: 7, protocol: "UDP" }] }],
  },
  spec: RESOLVER,
});
const OPEN = guestManifest({
  name: "open",
  devices: { interfaces: [{ name: "default", passtBinding: {} }] },
  spec: RESOLVER,
});
// Of e1000, whose driver pads short frames, Debian 12's passt does not close connections (PB5065).
const FOUR = annotated(
  guestManifest({ name: "four", devices: { interfaces: [{ name: "default", passt: {}, model: "rtl8139" }] } }),
  onFamily("four"),
);
const SIX = annotated(
  guestManifest({
    name: "six",
    devices: { interfaces: [{ name: "default", binding: { name: "our-passt" }, ports: [{ port: 80 }] }] },
    spec: RESOLVER_6,
  }),
  onFamily("six"),
);

/** The processes whose name lies below a host's data folder, or below another one: its passts. */
function passtsOf(host: TestHost, folder = host.dataDir): readonly number[] {
  return readdirSync("/proc").flatMap((entry) => {
    try {
      const [name = ""] = readFileSync(`/proc/${entry}/cmdline`, "utf8").split("\0");
      return name.startsWith(`${folder}/`) && name.endsWith(".passt") ? [Number(entry)] : [];
    } catch {
      return [];
    }
  });
}

/** The passt of one guest. */
async function passtOf(host: TestHost, vmi: string): Promise<number> {
  const { folder } = await host.guest(vmi);
  // One that begins is two for a moment: it goes on as its child.
  return eventually(`the one passt of ${vmi}`, () => {
    const [pid, ...others] = passtsOf(host, folder);
    return Promise.resolve(others.length === 0 && pid);
  });
}

/** What the condition Ready of a VMI becomes from now on. */
function watched(host: TestHost, vmi: string): () => string {
  const child = host.start([
    ...[process.env["KUBECTL"] ?? "kubectl", "--kubeconfig", join(host.dataDir, "kubeconfig")],
    ...["get", "vmi", vmi, "--watch", "-o", `jsonpath={${READY}['status','reason','message']}{"\\n"}`],
  ]);
  let seen = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    seen += text;
  });
  return () => seen;
}

interface Claimed {
  readonly host: TestHost;
  readonly vmi: string;
  readonly nic: ExplainedNic;
  /** At which it is reached. */
  readonly addresses: readonly string[];
  readonly page: string;
  readonly shell: GuestShell;
  readonly called: Heard;
  readonly outside: readonly string[];
}

/** The checks of the claims that both bindings make, by topic. */
function checksOf(
  binding: "passt" | "passtBinding",
  { host, vmi, nic, addresses, page, shell, called, outside }: Claimed,
) {
  const claim = claimOf(binding);
  return {
    "in-icmp": async () => {
      assert.equal(claim(nic, "in-icmp")["answeredBy"], "pod");
      for (const at of addresses) assert.equal(await answersFrozen(host, vmi, at, COMES_SECONDS), true, at);
    },
    out: async () => {
      assert.deepEqual(texts(claim(nic, "out")["seenAs"]), addresses);
      for (const at of outside) {
        await shell.insist(fetching(at, 8099));
        await shell.insist(`ping -c 1 -W 5 ${at}`);
      }
      for (const at of addresses) {
        await shell.insist(fetching(gatewayOf(at), 8098));
        await eventually(`the call of ${at}`, () => Promise.resolve(called.of("client").includes(at)));
      }
    },
    mac: () => assert.match(page, new RegExp(`^ *mac: ${claim(nic, "mac")["mac"]}$`, "m")),
    mtu: () => {
      const { hops, toldBy } = claim(nic, "mtu");
      assert.deepEqual(hops, [
        { device: "eth0", mtu: MTU },
        { device: "the guest's NIC", mtu: MTU },
      ]);
      assert.deepEqual(toldBy, ["the virtio device itself", "passt's DHCP"]);
      assert.match(page, new RegExp(`^ *mtu: ${MTU}$`, "m"));
      assert.match(page, new RegExp(`^ *dhcp4: mtu=${MTU}$`, "m"));
    },
    dhcp4: () => {
      assert.equal(claim(nic, "dhcp4")["served"], false);
      assert.match(page, new RegExp(`^ *dhcp4: ip=${addresses[0]}$`, "m"));
      assert.match(page, new RegExp(`^ *dhcp4: router=${gatewayOf(addresses[0] ?? "")}$`, "m"));
      assert.match(page, /^ *dhcp4: dns=192\.0\.2\.2$/m);
      assert.match(page, /^ *dhcp4: search=lab\.example$/m);
    },
    dhcp6: () => {
      assert.equal(claim(nic, "dhcp6")["served"], false);
      assert.match(page, new RegExp(`^ *dhcp6: new_dhcp6_ia_na1_ia_addr1=${addresses[1]}$`, "m"));
    },
    ra: async () => {
      assert.equal(claim(nic, "ra")["served"], false);
      await eventually("its route", async () =>
        /^default via fe80::\S+ dev eth0/m.test(await shell.ask("ip -6 route")),
      );
    },
    queues: async () => {
      const { queues, msiVectors, kernelKib } = claim(nic, "queues");
      assert.deepEqual([queues, kernelKib], [1, 0]);
      assert.match(page, /^ *queues: 1$/m);
      const vectors = "ls $(readlink -f /sys/class/net/eth0/device)/../msi_irqs | wc -l";
      assert.equal(Number(await shell.ask(vectors)), msiVectors);
    },
    /** What passt itself takes is little of it; the rest is the kernel's, for the sockets. */
    memory: async (mebibytes: number) => {
      assert.equal(claim(nic, "memory")["kubeVirtMebibytes"], mebibytes);
      const status = readFileSync(`/proc/${await passtOf(host, vmi)}/status`, "utf8");
      assert.ok(Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024 < mebibytes, status);
    },
    migration: async () => {
      const condition = '.status.conditions[?(@.type=="LiveMigratable")].status';
      const expected = claim(nic, "migration")["migratable"] === true ? "True" : "False";
      assert.equal(await host.value("vmi", vmi, condition), expected);
    },
  };
}

test("passt", { timeout: 600_000 }, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl", "passt")) return;
  const { host, outside, asked, called } = await surroundings(t, [
    "default",
    "passt-binding",
    // As KubeVirt's plugin comes with it.
    { cniVersion: "1.0.0", name: "passt-binding", plugins: [KUBEVIRTS] },
  ]);
  const refused = [await host.kubectl(["apply", "-f", "-"], LISTED), await host.kubectl(["apply", "-f", "-"], OPEN)];
  await host.kubectlOk(["apply", "-f", "-"], [PERMITTED, LISTED, OPEN, FOUR, SIX].join("---\n"));
  const names = ["listed", "open", "four", "six"];
  for (const name of names) await host.kubectlOk(["wait", "--for=condition=Ready", `vmi/${name}`, "--timeout=120s"]);
  const step = (name: string, act: () => void | Promise<void>): Promise<void> =>
    t.test(
      name,
      host.explained<TestContext>(async () => act()),
    );
  const claimed = async (vmi: string, binding: "passt" | "passtBinding"): Promise<Claimed> => {
    const nic = await explained(host, vmi);
    const addresses = texts(claimOf(binding)(nic, "in")["addresses"]);
    const page = await host.page(addresses[0] ?? "", /^ *dhcp4: ip=[\s\S]*^ *dhcp6: new_dhcp6_ia_na1_ia_addr1=/m);
    return { host, vmi, nic, addresses, page, shell: await openShell(host, vmi), called, outside };
  };
  const listed = await claimed("listed", "passt");
  const open = await claimed("open", "passtBinding");
  const ofListed = checksOf("passt", listed);
  const ofOpen = checksOf("passtBinding", open);

  await step(
    "passt.in: S3.59 S3.62: at the pod's addresses, on the listed ports, low and high, and no other (rows 26, 27)",
    async () => {
      await listed.shell.ask("(nc -ll -p 8080 -e /bin/cat >/dev/null 2>&1 </dev/null &)");
      const said = claimOf("passt")(listed.nic, "in");
      assert.deepEqual(said["ports"], { tcp: [{ port: 80 }, { port: 8080 }], udp: [{ port: 7 }] });
      const addresses = texts(said["addresses"]);
      assert.equal(addresses.length, 2);
      for (const at of addresses) {
        await host.page(at);
        await eventually(`${at} port 8080`, async () => (await host.probe("tcp", at, "8080")).ok);
        await host.reach("udp", at, "7");
        assert.equal((await host.probe("tcp", at, "7")).ok, false, at);
        assert.match(await listed.shell.ask("ip address show dev eth0"), new RegExp(`inet6? ${at}/`));
      }
    },
  );
  await step("passt.in-icmp: the pod answers, whether the guest runs or not", ofListed["in-icmp"]);
  await step("passt.out: S3.59: by TCP and ICMP echo, as the pod, also to its gateway (row 28)", ofListed.out);
  await step("passt.mac: the guest's NIC has it", ofListed.mac);
  await step("passt.mtu: the pod's, told by the device and by DHCP (row 24)", ofListed.mtu);
  await step("passt.dhcp4: the pod's own address, gateway and resolver (row 24)", ofListed.dhcp4);
  await step("passt.dhcp6: S3.60 S3.66: the pod's own address (row 24)", ofListed.dhcp6);
  await step("passt.ra: passt is the router", ofListed.ra);
  await step("passt.queues: S3.65: one pair, and no vhost", ofListed.queues);
  await step("passt.memory: S3.70: without ports only, and less than is said", async () => {
    assert.ok(!listed.nic.claims.some(({ id }) => id === "passt.memory"));
    await checksOf("passt", { ...listed, vmi: "four", nic: await explained(host, "four") }).memory(800);
  });
  await step("S3.60 S3.64: passt has no capability, so neither NET_RAW nor NET_ADMIN", async () => {
    const status = readFileSync(`/proc/${await passtOf(host, "listed")}/status`, "utf8");
    for (const set of ["CapEff", "CapPrm", "CapInh", "CapAmb"])
      assert.match(status, new RegExp(`^${set}:\\s+0+$`, "m"));
  });
  await step("passt.migration: S3.61: the condition says the same", ofListed.migration);
  await step("passt.needs: S3.72: without its gate it is refused, and with it, it runs", () => {
    assert.deepEqual(claimOf("passt")(listed.nic, "needs")["needs"], [{ what: "gate", name: "Passt" }]);
    assert.match(refused[0]?.stderr ?? "", /PB2025.*\bPasst\b/);
  });

  await step("passtBinding.in: at the pod's addresses, on ports that nobody declared (rows 25, 27)", async () => {
    for (const at of open.addresses) {
      await host.page(at);
      for (const kind of ["tcp", "udp"] as const) await host.reach(kind, at, "7");
    }
    const { tcp, udp } = claimOf("passtBinding")(open.nic, "in")["ports"] as Record<string, unknown>;
    const { netns } = await host.guest("open");
    const sockets = async (kind: string): Promise<number> =>
      (await host.run(["nsenter", `--net=${netns}`, "ss", `-Hln${kind}6`])).stdout.split("\n").length - 1;
    for (const [ports, kind] of [
      [tcp, "t"],
      [udp, "u"],
    ] as const) {
      const last = ports === "all" ? 49151 : Number((ports as readonly { last: number }[])[0]?.last);
      assert.equal(await sockets(kind), last, `what passt listens on, ${kind}`);
    }
  });
  await step("passtBinding.in-icmp: the pod answers, whether the guest runs or not", ofOpen["in-icmp"]);
  await step("passtBinding.out: by TCP and ICMP echo, as the pod, also to its gateway (row 28)", ofOpen.out);
  await step("passtBinding.mac: the guest's NIC has it", ofOpen.mac);
  await step("passtBinding.mtu: the pod's, told by the device and by DHCP", ofOpen.mtu);
  await step("passtBinding.dhcp4: the pod's own address, gateway and resolver", ofOpen.dhcp4);
  await step("passtBinding.dhcp6: the pod's own address", ofOpen.dhcp6);
  await step("passtBinding.ra: passt is the router", ofOpen.ra);
  await step("passtBinding.queues: one pair, and no vhost", ofOpen.queues);
  await step("passtBinding.memory: less than is said", () => ofOpen.memory(250));
  await step("passtBinding.migration: the condition says the same", ofOpen.migration);
  await step("passtBinding.needs: without its gate it is refused, and with it, it runs", () => {
    assert.deepEqual(claimOf("passtBinding")(open.nic, "needs")["needs"], [{ what: "gate", name: "PasstBinding" }]);
    assert.match(refused[1]?.stderr ?? "", /PB2071.*\bPasstBinding\b/);
  });

  await step("a pod with IPv4 alone, every port, a NIC that is not virtio", async () => {
    const page = await host.page("10.51.0.2", /^ *dhcp4: ip=10\.51\.0\.2$/m);
    assert.match(page, /^ *driver: 8139cp$/m);
    assert.doesNotMatch(page, /^route: default via fe80::|inet6 fd/m);
    for (const kind of ["tcp", "udp"] as const) await host.reach(kind, "10.51.0.2", "7");
  });

  await step("a pod with IPv6 alone, listed ports, by the plugin (row 1)", async () => {
    const [own, ...others]: Readonly<Record<string, unknown>>[] = JSON.parse(
      await host.value("vmi", "six", ".status.interfaces"),
    );
    assert.deepEqual([others, own?.["ipAddresses"]], [[], ["fd51::2"]]);
    const page = await host.page("fd51::2", /^ *dhcp6: new_dhcp6_ia_na1_ia_addr1=fd51::2$/m);
    assert.doesNotMatch(page, /^ *dhcp4: ip=/m);
    assert.match(page, new RegExp(`^ *mac: ${own?.["mac"]}$`, "m"));
    assert.equal((await host.probe("tcp", "fd51::2", "7")).ok, false);
    const shell = await openShell(host, "six");
    await eventually("the outside", async () => (await shell.run(fetching("2001:db8::2", 8099))).code === 0);
    assert.match(await shell.insist("nslookup six.lab.example 2001:db8::2"), /192\.0\.2\.77/);
    await shell.close();
  });

  await step("names are asked of the pod's own name server", async () => {
    assert.match(await listed.shell.insist("nslookup listed.lab.example"), /192\.0\.2\.77/);
    await eventually("the question", () => Promise.resolve(asked.of("asked").includes("listed.lab.example")));
  });

  await step("passt that dies is told of and started again, under the guest that runs on", async () => {
    const { qemuPid } = await host.guest("listed");
    const seen = watched(host, "listed");
    await eventually("the watch", () => Promise.resolve(seen().startsWith("True")));
    const first = await passtOf(host, "listed");
    process.kill(first, "SIGKILL");
    const told = /^False PB5065 passt of the interface "default" ended.*started again by itself/m;
    await eventually("a condition that says so", () => Promise.resolve(told.test(seen())));
    await eventually("Ready again", async () => (await host.value("vmi", "listed", `${READY}.status`)) === "True");
    assert.notEqual(await passtOf(host, "listed"), first);
    for (const at of listed.addresses) await host.page(at);
    const events = ["get", "events", "-o", "jsonpath={range .items[*]}{.reason} {.message}{'\\n'}{end}"];
    await eventually("the event", async () => /^PB5065 .*ended by SIGKILL/m.test(await host.kubectlOk(events)));

    // The next daemon takes over the one that runs, and starts the one that is gone.
    const [kept, gone] = [await passtOf(host, "open"), await passtOf(host, "listed")];
    await host.killDaemon();
    process.kill(gone, "SIGKILL");
    await eventually("its end", () => Promise.resolve(!isProcess(gone)));
    await host.up();
    await eventually("Ready", async () => (await host.value("vmi", "listed", `${READY}.status`)) === "True");
    await eventually("another", () => Promise.resolve(passtsOf(host).length === names.length));
    assert.equal(await passtOf(host, "open"), kept);
    assert.notEqual(await passtOf(host, "listed"), gone);
    // Of one that is no child of this daemon it is QEMU that tells.
    process.kill(kept, "SIGKILL");
    await eventually("another", () => Promise.resolve(!isProcess(kept) && passtsOf(host).length === names.length));
    for (const at of [...listed.addresses, ...open.addresses]) await host.page(at);
    assert.equal((await host.guest("listed")).qemuPid, qemuPid);
    assert.ok(isProcess(qemuPid));
  });
  await listed.shell.close();
  await open.shell.close();

  await step("nothing of it is left behind a deleted VMI", async () => {
    await host.kubectlOk(["delete", "vmi", ...names]);
    assert.deepEqual(passtsOf(host), []);
  });
});
