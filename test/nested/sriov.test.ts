import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { test } from "node:test";
import { findQemuUser } from "../../src/host/guest/process.ts";
import { readLinks } from "../../src/host/linux/pod-facts.ts";
import type { ExplainedNic, Explanation } from "../../src/model/explain/explain.ts";
import { eventually, TestHost } from "../daemon.ts";
import { answers, answersFrozen, claimOf } from "../guest/explained.ts";
import { guestImageFolder } from "../guest/image-cache.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";

const [CARD, RESOURCE, MAC] = ["pf0", "openshift.io/fast", "02:00:00:00:aa:01"];
const FUNCTIONS = 4;
/** What the card's network gives first: the runner's machine.ts has it. */
const [OWN, FIRST_LEASE] = ["10.99.0.100", "10.99.0.15"];
const MEMORY_MIB = 192;

const policy = {
  apiVersion: "sriovnetwork.openshift.io/v1",
  kind: "SriovNetworkNodePolicy",
  metadata: { name: "fast", namespace: "default" },
  spec: {
    resourceName: "fast",
    deviceType: "vfio-pci",
    numVfs: FUNCTIONS,
    mtu: 1500,
    priority: 90,
    nodeSelector: { sriov: "true" },
    nicSelector: { pfNames: [CARD] },
  },
};

const network = {
  apiVersion: "sriovnetwork.openshift.io/v1",
  kind: "SriovNetwork",
  metadata: { name: "fast-net", namespace: "default" },
  spec: { resourceName: "fast", networkNamespace: "default", ipam: "{}", spoofChk: "off", trust: "on" },
};

/** A guest with so many virtual functions, the first with a MAC of its own. */
function guest(name: string, functions: number): string {
  const names = Array.from({ length: functions }, (_, index) => `fast${index}`);
  return guestManifest({
    name,
    memory: `${MEMORY_MIB}Mi`,
    devices: {
      interfaces: names.map((nic, index) => ({ name: nic, sriov: {}, ...(index === 0 ? { macAddress: MAC } : {}) })),
    },
    spec: { networks: names.map((nic) => ({ name: nic, multus: { networkName: "default/fast-net" } })) },
  });
}

/** What is said of the VMI's NICs, once it goes by the VMI's own pod. */
function explainedNics(host: TestHost, name: string): Promise<readonly ExplainedNic[]> {
  return eventually(`the facts of ${name}`, async () => {
    const { stdout } = await host.patchbay(["explain", name, "-o", "json"]);
    const said: Explanation = JSON.parse(stdout);
    return said.running && said.nics;
  });
}

/** Finds the address that the NIC of that MAC has of the card's network. */
function leaseOf(mac: string): RegExp {
  return new RegExp(`mac: ${mac}\\n(?:  .*\\n)*?  dhcp4: ip=(\\S+)`);
}

async function podOf(host: TestHost, vmi: string): Promise<string> {
  const names = await host.kubectlOk(["get", "pod", "-l", `vm.kubevirt.io/name=${vmi}`, "-o", "name"]);
  return names.trim().replace("pod/", "");
}

interface VfInfo {
  readonly vf: number;
  readonly address: string;
  readonly spoofchk: boolean;
  readonly trust: boolean;
}

async function functionsOf(host: TestHost): Promise<readonly VfInfo[]> {
  const { stdout } = await host.run(["ip", "-j", "-d", "link", "show", "dev", CARD]);
  const [link]: { readonly vfinfo_list?: readonly VfInfo[] }[] = JSON.parse(stdout);
  return link?.vfinfo_list ?? [];
}

function groupOwners(): readonly number[] {
  return readdirSync("/dev/vfio")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => statSync(`/dev/vfio/${name}`).uid)
    .toSorted();
}

/** Why an object is not as it is to be. */
async function reasonOf(host: TestHost, kind: string, name: string): Promise<string> {
  return host.value(kind, name, `.status.conditions[?(@.type=="${kind === "vmi" ? "Synchronized" : "Ready"}")].reason`);
}

test("virtual functions of a card: made by a policy, handed to a guest, counted, and given back", async (t) => {
  if (!needs(t, "root", "busybox", "kubectl")) return;
  const host = await TestHost.machine(t);
  const images = await guestImageFolder();
  const start = async (): Promise<void> => {
    // Not detached: that waits for less time than a daemon takes here to begin.
    const daemon = host.startPatchbay(["up", "--port", "0", "--image-dir", images]);
    daemon.stdout?.pipe(process.stderr);
    daemon.stderr?.pipe(process.stderr);
    await eventually("the daemon", async () => (await host.kubectl(["get", "--raw", "/readyz"])).code === 0);
  };
  await start();
  await host.explained(async () => {
    let failed = false;
    const stage = async (name: string, act: () => Promise<void>): Promise<void> => {
      // What follows would only wait in vain.
      if (failed) return;
      await t.test(name, async () => {
        failed = true;
        await host.explained(act)(undefined);
        failed = false;
      });
    };
    const step = (name: string, act: () => Promise<void>): Promise<void> => t.test(name, host.explained<unknown>(act));
    const node = (await host.kubectlOk(["get", "nodes", "-o", "name"])).trim();
    const before = await functionsOf(host);
    assert.deepEqual(before, []);

    await stage("a policy makes them once the node has its label, and the node offers them", async () => {
      // As JSON: kubectl reads "off" in YAML as false.
      const list = { apiVersion: "v1", kind: "List", items: [policy, network] };
      await host.kubectlOk(["apply", "-f", "-"], JSON.stringify(list));
      await host.kubectlOk(["label", node, "sriov=true"]);
      await host.kubectlOk(["wait", "--for=condition=Ready", "sriovnetworknodepolicy/fast", "--timeout=200s"]);
      await eventually("the node's count", async () => {
        const count = await host.kubectlOk(["get", node, "-o", "jsonpath={.status.allocatable.openshift\\.io/fast}"]);
        return count === String(FUNCTIONS);
      });
      assert.equal((await functionsOf(host)).length, FUNCTIONS);
      const definition = JSON.parse(await host.kubectlOk(["get", "net-attach-def", "fast-net", "-o", "json"]));
      assert.equal(definition.metadata.annotations["k8s.v1.cni.cncf.io/resourceName"], RESOURCE);
    });

    await stage("a guest with two of them gets what a policy and a network say, without any right", async () => {
      await host.run(["ip", "address", "add", `${OWN}/24`, "dev", CARD]);
      await host.kubectlOk(["apply", "-f", "-"], guest("one", 2));
      const { qemuPid } = await host.guest("one");
      assert.match(readFileSync(`/proc/${qemuPid}/status`, "utf8"), /^CapEff:\t0+$/m);
      const { uid } = findQemuUser();
      assert.deepEqual(groupOwners(), [0, 0, uid, uid].toSorted());
      const [first] = await functionsOf(host);
      assert.deepEqual([first?.address, first?.spoofchk, first?.trust], [MAC, false, true]);
      const told: string = await host.value("pod", await podOf(host, "one"), ".metadata.annotations");
      assert.match(told, /device-info.*pci-address/s);
      // The page is asked for by a program that takes the guest's time.
      await eventually("the guest's address", () => answers(host, FIRST_LEASE, 20));
      await host.page(FIRST_LEASE, leaseOf(MAC));
    });
    if (failed) return;

    const nic = (await explainedNics(host, "one"))[0];
    assert.ok(nic !== undefined);
    const page = await host.page(FIRST_LEASE, /(?:^ *dhcp4: ip=[\s\S]*){2}/m);
    // Which of the two asked first is chance.
    const lease = leaseOf(MAC).exec(page)?.[1] ?? "";
    const [other] = [...page.matchAll(/^ *dhcp4: ip=(\S+)/gm)].flatMap(([, ip]) => (ip === lease ? [] : (ip ?? [])));
    const { qemuPid, netns } = await host.guest("one");
    const claim = claimOf("sriov");
    await step("sriov.in: on the card's network, on every port", async () => {
      assert.equal(claim(nic, "in")["ports"], "all");
      assert.equal((await host.probe("tcp", lease, "7")).ok, true);
      await eventually("the udp echo", async () => (await host.probe("udp", lease, "7", "anyone")).ok);
      assert.equal(existsSync(`/sys/bus/pci/devices/${claim(nic, "in")["device"]}/physfn`), true);
    });
    await step("sriov.in-icmp: the guest answers, and nobody in its place", async () => {
      assert.equal(claim(nic, "in-icmp")["answeredBy"], "guest");
      assert.equal(await answers(host, lease, 20), true);
      assert.equal(await answersFrozen(host, "one", lease), false);
    });
    await step("sriov.out: the guest is there itself; its pod sees nothing of it", async () => {
      assert.deepEqual(claim(nic, "out")["seenAs"], []);
      const neighbours = await host.run(["ip", "neigh", "show", lease]);
      // Of a Linux guest with two NICs on one network, either answers for the addresses of both.
      const macs = [...page.matchAll(/^ *mac: (\S+)$/gm)].map(([, mac]) => mac);
      assert.ok(
        macs.includes(/lladdr (\S+)/.exec(neighbours.stdout)?.[1]),
        `${neighbours.stdout}, of ${macs.join(", ")}`,
      );
      const links = readLinks(netns).links.map(({ name }) => name);
      assert.deepEqual(links, ["eth0"]);
    });
    await step("sriov.mac: it is the manifest's, set by the card", async () => {
      assert.equal(claim(nic, "mac")["mac"], MAC);
      assert.match(page, new RegExp(`^ *mac: ${MAC}$`, "m"));
    });
    await step("sriov.mtu: the guest's driver has it of the device", async () => {
      assert.deepEqual(claim(nic, "mtu")["hops"], [{ device: "the guest's NIC", mtu: 1500 }]);
      assert.match(page, /^ *mtu: 1500$/m);
    });
    await step("sriov.dhcp4: the card's network gives the address, and nobody in the pod", async () => {
      assert.equal(claim(nic, "dhcp4")["served"], false);
      assert.match(page, new RegExp(`^ *dhcp4: ip=${lease}`, "m"));
      assert.doesNotMatch(readFileSync(`/proc/${qemuPid}/net/udp`, "utf8"), /:0043 /);
    });
    await step("sriov.dhcp6: nobody in the pod", async () => {
      assert.equal(claim(nic, "dhcp6")["served"], false);
      assert.doesNotMatch(readFileSync(`/proc/${qemuPid}/net/udp6`, "utf8"), /:0223 /);
    });
    await step("sriov.ra: none of Patchbay's", async () => {
      assert.equal(claim(nic, "ra")["served"], false);
      assert.doesNotMatch(page, /fd10:0:2:/);
    });
    await step("sriov.queues: as many as the function has", async () => {
      assert.equal(claim(nic, "queues")["queues"], undefined);
      assert.match(page, /^ *driver: igbvf$/m);
      assert.equal(await host.value("vmi", "one", ".status.interfaces[0].queueCount"), "");
    });
    await step("sriov.memory: all of the guest's is locked", async () => {
      assert.equal(claim(nic, "memory")["kubeVirtMebibytes"], 1024);
      const locked = /^VmLck:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${qemuPid}/status`, "utf8"))?.[1];
      assert.ok(Number(locked) >= MEMORY_MIB * 1024, `${locked} KiB`);
    });
    await step("sriov.needs: the definition, and a device of its resource", async () => {
      const wants = claim(nic, "needs")["needs"];
      assert.ok(Array.isArray(wants) && wants.some((want) => want.what === "device"));
      assert.match(await host.kubectlOk(["get", "net-attach-def", "-o", "name"]), /fast-net/);
    });
    await step("sriov.migration: nothing of the NIC forbids it", async () => {
      assert.equal(claim(nic, "migration")["migratable"], true);
    });

    await step("the second function of the same network is reached too", async () => {
      await host.page(other ?? "");
    });

    await stage("a daemon that was killed finds the guest, its devices and the card as they were", async () => {
      await host.killDaemon();
      await start();
      assert.match(await host.page(lease), /hostname/);
      const count = await host.kubectlOk(["get", "vmi", "one", "-o", "jsonpath={.status.phase}"]);
      assert.equal(count, "Running");
    });

    await stage("what is in use stays: the number of functions, and the pool that has no more", async () => {
      await host.kubectlOk(["patch", "sriovnetworknodepolicy", "fast", "--type=merge", "-p", '{"spec":{"numVfs":2}}']);
      await eventually(
        "the refusal",
        async () => (await reasonOf(host, "sriovnetworknodepolicy", "fast")) === "PB4203",
      );
      assert.equal((await functionsOf(host)).length, FUNCTIONS);
      await host.kubectlOk(["patch", "sriovnetworknodepolicy", "fast", "--type=merge", "-p", '{"spec":{"numVfs":4}}']);
      await host.kubectlOk(["apply", "-f", "-"], guest("two", 3));
      await eventually("the want of devices", async () => (await reasonOf(host, "vmi", "two")) === "PB6122");
      await host.kubectlOk(["delete", "vmi", "two"]);
    });

    await stage("what a guest had is given back with it, and the card with its policy", async () => {
      await host.kubectlOk(["delete", "vmi", "one"]);
      assert.deepEqual(groupOwners(), [0, 0, 0, 0]);
      const [first] = await functionsOf(host);
      assert.deepEqual([first?.spoofchk, first?.trust], [true, false]);
      await host.kubectlOk(["delete", "sriovnetworknodepolicy/fast", "sriovnetwork/fast-net"]);
      await eventually("the card as it was", async () => (await functionsOf(host)).length === 0);
      await host.run(["ip", "address", "flush", "dev", CARD]);
      await host.run(["ip", "link", "set", CARD, "down"]);
    });
  })(t);
});
