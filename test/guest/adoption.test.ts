import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { connectQmp } from "../../src/host/guest/qmp.ts";
import { comesTo } from "../comes-to.ts";
import { eventually, isProcess, type TestGuest, TestHost } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";

const MIB = 2 ** 20;
const TRANSFER_BYTES = 64 * MIB;

/** Harm that leaves open connections alone. */
const QUIET_HARM = [
  "nft flush chain ip6 nat KUBEVIRT_PREINBOUND",
  "nft delete element ip nat ports { tcp . 80 }",
  "nft add rule ip nat postrouting counter accept",
  "ip address del fd10:0:2::1/120 dev tap0",
  "sysctl -q -w net.ipv6.conf.all.forwarding=0",
];
const LOUD_HARM = [
  "nft delete table ip nat",
  "nft delete table ip6 nat",
  "ip link set tap0 down mtu 1300",
  "ip address flush dev tap0",
  "sysctl -q -w net.ipv4.ip_forward=0 net.ipv4.conf.tap0.route_localnet=0",
];

test("guests outlive their daemon: one connection goes on, what was harmed is mended, what ended is told", {
  timeout: 600_000,
}, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl")) return;
  const host = await TestHost.make(t);
  await host.useGuestImage();
  await host.up();
  const ports = [{ port: 80 }, { port: 7 }, { port: 7, protocol: "UDP" }];
  const names = ["steady", "victim", "sleeper"];
  await host.kubectlOk(["apply", "-f", "-"], names.map((name) => guestManifest({ name, ports })).join("---\n"));
  for (const name of names) {
    await host.kubectlOk(["wait", "--for=condition=Ready", `vmi/${name}`, "--timeout=120s"]);
  }
  const [steady, victim, sleeper] = await Promise.all([
    host.guest("steady"),
    host.guest("victim"),
    host.guest("sleeper"),
  ]);
  const address = (await host.value("vmi", "steady", ".status.interfaces[0].ipAddress")).trim();
  await host.page(address);
  const whole = await networkOf(host, steady);

  const step = (name: string, act: () => Promise<void>): Promise<void> =>
    t.test(name, host.explained<TestContext>(act));

  await step("64 MiB go through one connection while the daemon is killed and comes again", async () => {
    const transfer = startTransfer(host, address);
    await transfer.upTo(16 * MIB);
    await host.killDaemon();
    process.kill(victim.qemuPid, "SIGKILL");
    await shutDown(sleeper);
    await harm(host, steady, QUIET_HARM);
    assert.equal(isDeepStrictEqual(await networkOf(host, steady), whole), false, "the harm shows");
    await transfer.upTo(32 * MIB);
    const meanwhile = transfer.upTo(48 * MIB);
    await host.up();
    await meanwhile;
    await transfer.upTo(TRANSFER_BYTES);
    assert.deepEqual(await transfer.answer, { ok: true, received: TRANSFER_BYTES });
  });

  await step("the guest is the same and its network is as it was", async () => {
    assert.deepEqual(await host.guest("steady"), steady);
    assert.ok(isProcess(steady.qemuPid));
    await comesTo(whole, () => networkOf(host, steady));
    await eventually("the event", async () => (await mendings(host)) === 1);
    assert.equal(await host.value("vmi", "steady", ".status.phase"), "Running");
  });

  await step("guests that ended meanwhile: one was killed, one shut down by itself", async () => {
    await phase(host, "victim", "Failed");
    assert.equal(await synchronized(host, "victim"), "PB6102");
    await phase(host, "sleeper", "Succeeded");
    for (const { netns, podUid, qemuPid, folder } of [victim, sleeper]) {
      const record = join(host.dataDir, "pods", `${podUid}.json`);
      await eventually("the network being given back", () =>
        Promise.resolve(![netns, folder, record].some((path) => existsSync(path))),
      );
      assert.equal(isProcess(qemuPid), false);
    }
  });

  await step("DHCP of both families is served again", async () => {
    const told = (wanted: boolean) => async (): Promise<void> => {
      await eventually(`leases ${wanted ? "renewed" : "forgotten"}`, async () => {
        const page = await host.page(address);
        return [/^ *dhcp4: ip=10\.0\.2\.2$/m, /^ *dhcp6: new_dhcp6/m].every((lease) => lease.test(page) === wanted);
      });
    };
    await typed(steady, "rm -f /run/dhcp4/* /run/dhcp6/*\n", told(false));
    await typed(steady, "kill -USR1 $(cat /run/udhcpc.eth0.pid); dhcpcd -N eth0\n", told(true));
  });

  const kept = join(host.dataDir, "default-route");
  await step("a daemon that is stopped in good order leaves its guests alone, too", async () => {
    const stopped = await host.patchbay(["down"]);
    assert.equal(stopped.code, 0, stopped.stderr);
    await host.reach("tcp", address, "7");
    await harm(host, steady, [`ip -6 route show default >${kept}`, "ip -6 route delete default"]);
    await host.up();
    assert.deepEqual(await host.guest("steady"), steady);
    assert.equal(await mendings(host), 1, "nothing was to be mended");
  });

  const differs = (field: string): Promise<string> =>
    host.value("vmi", "steady", `.status.conditions[?(@.type=="PodNetworkDiffers")].${field}`);
  await step("what is no longer as CNI made it is found by CHECK; the guest runs on", async () => {
    await eventually("the condition", async () => (await differs("reason")) === "PB3023");
    assert.match(await differs("message"), /CHECK of the network "patchbay".*Expected Route .*IP:::/);
    const told = ["get", "events", "--field-selector", "reason=PB3023", "-o", "name"];
    await eventually("the event", async () => (await host.kubectlOk(told)) !== "");
    assert.equal(await host.value("vmi", "steady", ".status.phase"), "Running");
    assert.deepEqual(await host.guest("steady"), steady);
    await harm(host, steady, [`ip -6 route add $(cut -d ' ' -f 1-5 ${kept})`]);
  });

  await step("what somebody takes away from a running pod's network is there again, and an event says so", async () => {
    await harm(host, steady, LOUD_HARM);
    // The node may have looked in the midst of the harm, and mended a part of it first.
    await eventually("the event", async () => (await mendings(host)) >= 2);
    await comesTo(whole, () => networkOf(host, steady));
    await host.page(address);
    await host.reach("tcp", address, "7");
    // After a repair the network is looked at again, and is as it was.
    await eventually("no PodNetworkDiffers", async () => (await differs("status")) === "");
  });

  await step("the name of a running pod's namespace is taken away: the VMI says so", async () => {
    const name = steady.netns.split("/").at(-1) ?? "";
    assert.equal((await host.run(["ip", "netns", "delete", name])).code, 0);
    await nudged(host, "steady");
    await eventually("PB4012", async () => (await synchronized(host, "steady")) === "PB4012");
    // Its guest still has the namespace; with a name again it is whole.
    assert.equal((await host.run(["ip", "netns", "attach", name, String(steady.qemuPid)])).code, 0);
    await nudged(host, "steady");
    await eventually("a whole VMI", async () => (await synchronized(host, "steady")) === "");
  });

  const condition = (type: string, field: string): Promise<string> =>
    host.value("vmi", "steady", `.status.conditions[?(@.type=="${type}")].${field}`);
  await step(
    "a guest without its tap cannot be mended, and the VMI says so; it is paused and adopted as any",
    async () => {
      await harm(host, steady, ["ip link del tap0"]);
      await nudged(host, "steady");
      await eventually("PB6105", async () => (await synchronized(host, "steady")) === "PB6105");
      assert.equal(await condition("Ready", "reason"), "PB6105");
      await subresource(host, "steady", "pause");
      assert.equal(await condition("Paused", "status"), "True");
      await host.killDaemon();
      await host.up();
      assert.deepEqual(await host.guest("steady"), steady);
      await subresource(host, "steady", "unpause");
      assert.deepEqual([await condition("Paused", "status"), await synchronized(host, "steady")], ["", "PB6105"]);
      assert.equal(await condition("Ready", "reason"), "PB6105");
    },
  );

  await step("a guest whose QEMU hangs is deleted all the same", async () => {
    await host.killDaemon();
    process.kill(steady.qemuPid, "SIGSTOP");
    await host.up();
    await host.kubectlOk(["delete", "vmi", "--all"]);
    assert.equal(isProcess(steady.qemuPid), false);
    assert.equal(existsSync(steady.netns), false);
  });
});

interface Transfer {
  readonly answer: Promise<unknown>;
  /** Lets so much go, all told, and waits until it has come back. */
  upTo(bytes: number): Promise<void>;
}

function startTransfer(host: TestHost, address: string): Transfer {
  const probe = join(import.meta.dirname, "../probe.ts");
  const child = host.start([process.execPath, probe, "transfer", address, "7", String(TRANSFER_BYTES), "stepwise"]);
  let received = 0;
  let answer = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    const [last] = text.match(/received \d+(?=\n[^\n]*$)/) ?? [];
    received = Number(last?.split(" ")[1] ?? received);
  });
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    answer += text;
  });
  return {
    answer: once(child, "close").then(() => JSON.parse(answer)),
    async upTo(bytes) {
      child.stdin?.write(`${bytes}\n`);
      await eventually(`${bytes} bytes of the transfer`, () => Promise.resolve(received >= bytes));
    },
  };
}

/** Has the node look at a pod now: a change of the pod does so, and else it does every ten seconds. */
async function nudged(host: TestHost, name: string): Promise<void> {
  nudges += 1;
  await host.kubectlOk(["annotate", "--overwrite", "pod", "-l", `vm.kubevirt.io/name=${name}`, `test/nudge=${nudges}`]);
}
let nudges = 0;

async function subresource(host: TestHost, vmi: string, verb: string): Promise<void> {
  const body = join(host.dataDir, "body.json");
  writeFileSync(body, "{}");
  const path = `/apis/subresources.kubevirt.io/v1/namespaces/default/virtualmachineinstances/${vmi}/${verb}`;
  await host.kubectlOk(["replace", "--raw", path, "-f", body]);
}

async function harm(host: TestHost, guest: TestGuest, commands: readonly string[]): Promise<void> {
  for (const command of commands) {
    const { code, stderr } = await host.run(["sh", "-c", command], { netns: guest.netns });
    assert.equal(code, 0, `${command}: ${stderr}`);
  }
}

/** What is wired in a guest's pod, without counters. */
async function networkOf(host: TestHost, guest: TestGuest): Promise<readonly string[]> {
  const show = [
    "nft list ruleset | sed -E 's/counter packets [0-9]+ bytes [0-9]+/counter/'",
    "ip -o link show tap0 | grep -o 'mtu [0-9]*\\|[<,]UP[,>]'",
    "ip -o address show dev tap0 | grep -v fe80::ff:fe00:0 | tr -s ' ' | cut -d ' ' -f 2-4",
    // Anycast addresses, and the link-local one that the kernel makes of the MAC, are its own business.
    "(ip route show table all dev tap0; ip -6 route show table all dev tap0) | grep -v '^anycast\\|fe80::ff:fe00:0'",
    "sysctl net.ipv4.ip_forward net.ipv4.conf.tap0.route_localnet net.ipv6.conf.all.forwarding",
  ];
  const { stdout } = await host.run(["sh", "-c", show.join("\n")], { netns: guest.netns });
  return stdout.split("\n").toSorted();
}

/** How many times the VMI was told that its network was mended. */
async function mendings(host: TestHost): Promise<number> {
  const counts = await host.kubectlOk([
    "get",
    "events",
    "--field-selector",
    "reason=NetworkMended,involvedObject.name=steady",
    "-o",
    "jsonpath={.items[*].count}",
  ]);
  return counts.split(" ").reduce((sum, count) => sum + Number(count), 0);
}

/** Why a VMI is not as it should be; empty where it is. */
function synchronized(host: TestHost, name: string): Promise<string> {
  return host.value("vmi", name, '.status.conditions[?(@.type=="Synchronized")].reason');
}

async function phase(host: TestHost, name: string, wanted: string): Promise<void> {
  await eventually(
    `phase ${wanted} of ${name}`,
    async () => (await host.value("vmi", name, ".status.phase")) === wanted,
  );
}

/** Types at a guest's root shell; hangs up when that has done what was wanted. */
async function typed(guest: TestGuest, text: string, done: () => Promise<void>): Promise<void> {
  const socket = connect(join(guest.folder, "serial.sock"));
  await once(socket, "connect");
  socket.resume();
  socket.write(text);
  try {
    await done();
  } finally {
    socket.destroy();
  }
}

/** Powers a guest off by its own hand; QEMU stays until somebody looks. */
async function shutDown(guest: TestGuest): Promise<void> {
  await typed(guest, "poweroff -f\n", async () => {
    const qmp = await connectQmp(join(guest.folder, "qmp.sock"));
    await eventually("the guest's end", async () => /shutdown/.test(JSON.stringify(await qmp.execute("query-status"))));
    qmp.close();
  });
}
