// Every manifest of the pages and of our own with its text untouched: `patchbay run` completes it, warns and starts it.
// Fragments have no disk: those that may boot from the network do, and test/documents/ gives the others one and looks
// inside. A run of all tests takes one of these four, `npm run test:documents` takes them all.
import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { judgeManifests } from "../../src/cli/judged-manifests.ts";
import { planAll } from "../../src/cli/plan.ts";
import { eventually, TestHost } from "../daemon.ts";
import { genieNode } from "../documents/genie-node.ts";
import { quarters } from "../documents/quarter.ts";
import {
  type Example,
  forgetLeases,
  PERMITTED,
  permitEverything,
  type Source,
  sourcesOf,
  useAsMachines,
} from "../documents/sources.ts";
import { needs } from "../needs.ts";
import { startOpenVSwitch } from "../openvswitch.ts";
import { definitions } from "./attachments.ts";
import { startBootServer } from "./boot-server.ts";

const onPodNetwork: readonly Example[] = [
  { twin: "bridge-mac-e1000", pages: ["0.0", "1.0"] },
  { twin: "bridge-pod", pages: ["0.3", "1.2"] },
  { twin: "bridge-ports-e1000", pages: ["0.1", "1.1"] },
  { twin: "multiqueue", pages: ["2.14", "3.14"] },
  { twin: "no-network", pages: ["0.2", "2.8", "3.7"] },
  { twin: "slirp", pages: ["0.4", "1.3", "2.11", "3.10"] },
];
const masqueraded: readonly Example[] = [
  { twin: "masquerade", pages: ["2.0", "3.0"] },
  { twin: "masquerade-dual-stack-manual", pages: ["3.12"] },
  { twin: "masquerade-ipv6-manual", pages: ["2.13"] },
  { twin: "masquerade-port-e1000", pages: ["2.6", "3.5"] },
  { twin: "masquerade-ports", pages: ["2.12", "3.11"] },
  { twin: "passt", pages: ["3.13"] },
];
const LEASES = ["macvlan-test", "bridge-test", "warehouse"];
const VLANS = [
  { bridge: "br1", tag: 100, link: "vlan100", network: "10.80.0" },
  { bridge: "br-stock", tag: 30, link: "vlan30", network: "10.81.0" },
] as const;

const parts: readonly [name: string, run: (t: TestContext) => Promise<void>][] = [
  [
    "bridges, slirp and guests without a network run as they stand, where bridges are not forbidden",
    async (t) => {
      if (!needs(t, "daemon", "kubectl")) return;
      const host = await permittingHost(t);
      await eachRuns(t, host, onPodNetwork);
      await t.test(
        "forbid-bridge-configmap, forbid-bridge-kubevirt",
        host.explained<TestContext>(() => forbidsBridges(host)),
      );
    },
  ],
  [
    "masquerade and passt run as they stand",
    async (t) => {
      if (!needs(t, "daemon", "kubectl")) return;
      await eachRuns(t, await permittingHost(t), masqueraded);
    },
  ],
  ["networks of Open vSwitch run as they stand, by Multus and by Genie", openVSwitchNetworks],
  ["networks of bridges and macvlans run as they stand", bridgesAndMacvlans],
];

const taken = quarters();
for (const [index, [name, run]] of parts.entries()) {
  if (taken.includes(index + 1)) test(`quarter ${index + 1} of 4: ${name}`, { timeout: 800_000 }, run);
}

interface Nic {
  readonly name: string;
  readonly podInterfaceName?: string;
  readonly queueCount?: number;
}

/** A host with a daemon where every binding is permitted. */
async function permittingHost(t: TestContext, args: readonly string[] = []): Promise<TestHost> {
  const host = await TestHost.make(t);
  await host.up(args);
  await permitEverything(host);
  return host;
}

async function eachRuns(t: TestContext, host: TestHost, examples: readonly Example[]): Promise<void> {
  for (const example of examples) {
    const sources = await sourcesOf(join(host.dataDir, example.twin), example);
    await t.test(
      example.twin,
      host.explained<TestContext>(() => runs(host, sources)),
    );
  }
}

async function forbidsBridges(host: TestHost): Promise<void> {
  const folder = join(host.dataDir, "forbidding");
  const [bridged] = await sourcesOf(folder, { twin: "bridge-pod", pages: ["0.3"] });
  assert.ok(bridged !== undefined);
  for (const example of [
    { twin: "forbid-bridge-configmap", pages: ["2.10"] },
    { twin: "forbid-bridge-kubevirt", pages: ["3.9"] },
  ]) {
    for (const { file } of await sourcesOf(folder, example)) {
      await host.kubectlOk(["delete", "kubevirt,configmap", "--all", "-n", "kubevirt"]);
      const taken = await host.patchbay(["run", "-f", file]);
      assert.equal(taken.code, 0, taken.stderr);
      const refused = await host.patchbay(["run", "-f", bridged.file]);
      assert.equal(refused.code, 1, file);
      assert.match(refused.stderr, /PB2\d{3}.*bridge/, file);
    }
  }
}

/** Starts manifests by one `patchbay run`, with the definitions that they need, holds them against their plans, and removes them. */
async function runs(
  host: TestHost,
  sources: readonly Source[],
  look: (name: string) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const args = sources.flatMap(({ file }) => ["-f", file]);
  const { code, stderr } = await host.patchbay(["run", ...args, "-o", "json"]);
  assert.equal(code, 0, stderr);
  for (const { file } of sources) {
    const { results: plans, refusals } = planAll(judgeManifests([file], PERMITTED));
    assert.deepEqual(refusals, []);
    for (const { vmi, nics } of plans) {
      await eventually(
        `${vmi.name} to run`,
        async () => (await host.value("vmi", vmi.name, ".status.phase")) === "Running",
      );
      const told = await host.value("vmi", vmi.name, ".status.interfaces");
      const found: readonly Nic[] = told === "" ? [] : JSON.parse(told);
      assert.deepEqual(
        found.map(({ name, podInterfaceName, queueCount }) => [name, podInterfaceName, queueCount ?? 1]),
        nics.map(({ name, podInterface, guest }) => [name, podInterface, guest.queues]),
        vmi.name,
      );
      await look(vmi.name);
      // Fragments give their guests half a minute to end, and nobody in these hears the power button.
      process.kill((await host.guest(vmi.name)).qemuPid, "SIGKILL");
    }
  }
  await host.kubectlOk(["delete", "vmi", "--all"]);
  await eventually("the end of their pods", async () => (await host.kubectlOk(["get", "pods", "-o", "name"])) === "");
}

/** Definitions and the instances that use them, in one run. */
async function both(host: TestHost, definition: Example, instance: Example): Promise<readonly Source[]> {
  const folder = join(host.dataDir, instance.twin);
  return [...(await sourcesOf(folder, definition)), ...(await sourcesOf(folder, instance))];
}

async function openVSwitchNetworks(t: TestContext): Promise<void> {
  if (!needs(t, "daemon", "kubectl", "guestImage", "debianMirror", "openvswitch")) return;
  const host = await TestHost.make(t);
  await host.usePodNetwork([4]);
  const ovs = await startOpenVSwitch(t, host.netns);
  await useAsMachines(t, host, ovs);
  for (const { bridge, tag, link, network } of VLANS) {
    ovs.tool("ovs-vsctl", "add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev");
    ovs.tool("ovs-vsctl", "add-port", bridge, link, `tag=${tag}`, "--", "set", "interface", link, "type=internal");
    await ip(host, `address add ${network}.1/24 dev ${link}`);
    await ip(host, `link set ${link} up`);
  }
  const server = await startBootServer(host, VLANS);
  await host.up();
  await permitEverything(host);

  /** A guest without a disk boots from the server behind its second NIC, once the first one's could not be found. */
  const boots = async (name: string): Promise<void> => {
    const address = await host.value("vmi", name, ".status.interfaces[0].ipAddress");
    const page = await host.page(address, /dhcp4: ip=10\.8[01]\.0\.\d/).catch((thrown: unknown) => {
      throw new Error(`${String(thrown)}\n${server.log()}`);
    });
    const mac = await host.value("vmi", name, ".status.interfaces[1].mac");
    const network = page.slice(page.indexOf(`mac: ${mac}`)).match(/dhcp4: ip=(10\.8[01]\.0)/)?.[1];
    assert.equal(network, VLANS[name.startsWith("page-") ? 0 : 1].network);
  };
  const definition: Example = { twin: "ovs-vlan-definition", pages: ["2.1"] };
  for (const example of [
    { twin: "pxe-fields-on-interface", pages: ["2.2"] },
    { twin: "pxe-dhcp-options", pages: ["3.2"] },
  ]) {
    await t.test(
      `${example.twin}: it boots from its VLAN of an Open vSwitch bridge`,
      host.explained<TestContext>(async () => runs(host, await both(host, definition, example), boots)),
    );
  }
  assert.equal((await host.patchbay(["down", "--vms"])).code, 0);
  await host.up(await genieNode(host));
  await eachRuns(t, host, [{ twin: "genie", pages: ["2.5"] }]);
}

async function bridgesAndMacvlans(t: TestContext): Promise<void> {
  if (!needs(t, "daemon", "kubectl", "macvtap")) return;
  forgetLeases(t, ...LEASES);
  const host = await permittingHost(t);
  await ip(host, "link add eth0 type veth peer name lan0");
  await ip(host, "link set eth0 up");
  await ip(host, "link set lan0 up");
  const step = (name: string, definition: Example, instance: Example): Promise<void> =>
    t.test(
      name,
      host.explained<TestContext>(async () => runs(host, await both(host, definition, instance))),
    );
  await step(
    "multus-default: a macvlan in the pod network's place",
    { twin: "macvlan-ipam-definition", pages: ["2.3"] },
    { twin: "multus-default", pages: ["2.4"] },
  );
  await step(
    "multus-default: a bridge there",
    { twin: "bridge-ipam-definition", pages: ["3.3"] },
    { twin: "multus-default", pages: ["3.4"] },
  );
  // The pages leave it to an administrator.
  const red = { cniVersion: "0.3.1", name: "red", type: "bridge", bridge: "red0" };
  await host.kubectlOk(["apply", "-f", "-"], definitions(["default", "red", red]));
  await step(
    "bridge-multus",
    { twin: "bridge-definition", pages: ["3.1"] },
    { twin: "bridge-multus", pages: ["2.9", "3.8"] },
  );
  await step(
    "networks-only, where the bridge checks MACs",
    { twin: "mac-spoof-check-definition", pages: ["3.22"] },
    { twin: "networks-only", pages: ["3.23"] },
  );
}

async function ip(host: TestHost, command: string): Promise<void> {
  const { code, stderr } = await host.run(["ip", ...command.split(" ")]);
  assert.equal(code, 0, `ip ${command}: ${stderr}`);
}
