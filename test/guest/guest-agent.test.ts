// status.interfaces with Debian's own guest agent, and with programs that only pretend to be one.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { GUEST_IMAGE } from "../../src/host/images/build-guest.ts";
import { formatIp } from "../../src/model/addresses/ip.ts";
import { linkLocalOf, parseMac } from "../../src/model/addresses/mac.ts";
import { hashedInterface } from "../../src/model/networks/pod-interface.ts";
import { comesTo } from "../comes-to.ts";
import { eventually, TestHost } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { AGENT_IMAGE, agentImage } from "./agent-image.ts";
import { openConsole } from "./console-session.ts";

const RED_MAC = "02:00:00:00:00:07";
const RED_ADDRESS = "10.50.0.2";

interface Entry {
  readonly name?: string;
  readonly mac?: string;
  readonly ipAddresses?: readonly string[];
  readonly infoSource?: string;
}

interface Status {
  readonly interfaces: readonly Entry[];
  readonly conditions: readonly { type: string; status: string; reason?: string; message?: string }[];
  readonly guestOSInfo?: Readonly<Record<string, string>>;
}

test("status.interfaces by domain, guest agent and Multus, whatever becomes of the agent", {
  timeout: 600_000,
}, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl", "debianMirror")) return;
  await agentImage();
  const host = await TestHost.make(t);
  await host.useGuestImage();
  await host.usePodNetwork([4, 6]);
  await host.up();
  const step = (name: string, act: () => Promise<void>): Promise<void> =>
    t.test(name, host.explained<TestContext>(act));
  const ipam = { type: "host-local", dataDir: `${host.dataDir}/leases`, ranges: [[{ subnet: "10.50.0.0/24" }]] };
  await host.kubectlOk(
    ["apply", "-f", "-"],
    definitions(
      ["lan", { type: "bridge", bridge: "lan0", isGateway: true, ipam }],
      ["bare", { type: "bridge", bridge: "bare0" }],
    ),
  );
  const devices = {
    interfaces: [
      { name: "red", bridge: {}, macAddress: RED_MAC },
      { name: "default", masquerade: {}, ports: [{ port: 80 }] },
      { name: "green", bridge: {} },
    ],
    disks: [{ name: "cloudinit", disk: { bus: "virtio" } }],
  };
  const networks = [
    { name: "default", pod: {} },
    { name: "red", multus: { networkName: "lan" } },
    { name: "green", multus: { networkName: "bare" } },
  ];
  const userData = "#!/bin/sh\nagent qemu-ga -v -t /run -p\n";
  const manifest = guestManifest({ name: "many", userData, devices, spec: { networks } });
  await host.kubectlOk(["apply", "-f", "-"], manifest.replace(GUEST_IMAGE, AGENT_IMAGE));
  await host.kubectlOk(["wait", "--for=condition=Ready", "vmi/many", "--timeout=120s"]);
  const status = async (): Promise<Status> =>
    JSON.parse(await host.kubectlOk(["get", "vmi", "many", "-o", "json"])).status;
  const condition = async (type: string) => (await status()).conditions.find((one) => one.type === type);
  const settledStatus = (what: string, wanted: (status: Status) => boolean): Promise<Status> =>
    eventually(what, async () => {
      const now = await status();
      return wanted(now) && now;
    });

  const silent = await status();
  const mac = (name: string): string => silent.interfaces.find((entry) => entry.name === name)?.mac ?? "";
  const linkLocal = (of: string): string => formatIp(linkLocalOf(parseMac(of) ?? new Uint8Array()));
  const pod = silent.interfaces[0]?.ipAddresses ?? [];
  const common = { queueCount: 1, linkState: "up" };
  const nics = [
    {
      name: "default",
      mac: mac("default"),
      ipAddress: pod[0],
      ipAddresses: pod,
      interfaceName: "eth1",
      infoSource: "domain, guest-agent",
      podInterfaceName: "eth0",
      ...common,
    },
    {
      name: "red",
      mac: RED_MAC,
      ipAddress: RED_ADDRESS,
      ipAddresses: [RED_ADDRESS, linkLocal(RED_MAC)],
      interfaceName: "eth0",
      infoSource: "domain, guest-agent, multus-status",
      podInterfaceName: hashedInterface("red"),
      ...common,
    },
    {
      name: "green",
      mac: mac("green"),
      ipAddress: linkLocal(mac("green")),
      ipAddresses: [linkLocal(mac("green"))],
      interfaceName: "eth2",
      infoSource: "domain, guest-agent, multus-status",
      podInterfaceName: hashedInterface("green"),
      ...common,
    },
  ];
  const own = {
    mac: "06:00:00:00:00:09",
    ipAddress: "2001:db8::9",
    ipAddresses: ["2001:db8::9", linkLocal("06:00:00:00:00:09")],
    interfaceName: "own0",
    infoSource: "guest-agent",
  };

  await step("row 43: three NICs, each with its sources; before the agent speaks, without it", async () => {
    assert.equal(pod.length, 2);
    assert.deepEqual(
      silent.interfaces.map(({ name }) => name),
      ["default", "red", "green"],
    );
    await settledStatus("the agent's addresses", ({ interfaces }) =>
      interfaces.every(({ infoSource, ipAddresses = [] }) => infoSource?.includes("agent") && ipAddresses.length > 0),
    );
    const heard = await settledStatus(
      "both families, and the system",
      ({ interfaces, guestOSInfo }) => interfaces[1]?.ipAddresses?.length === 2 && guestOSInfo !== undefined,
    );
    await comesTo(nics, async () => (await status()).interfaces);
    assert.equal((await condition("AgentConnected"))?.status, "True");
    assert.equal(heard.guestOSInfo?.["machine"], "x86_64");
    assert.match(heard.guestOSInfo?.["kernelRelease"] ?? "", /^\d+\.\d+/);
  });

  const raw = (subresource: string) =>
    host.kubectl([
      ...["get", "--raw"],
      `/apis/subresources.kubevirt.io/v1/namespaces/default/virtualmachineinstances/many/${subresource}`,
    ]);

  await step("the subresources tell what else the agent says, as virtctl asks for it", async () => {
    const info: Readonly<Record<string, unknown>> = JSON.parse((await raw("guestosinfo")).stdout);
    assert.equal(info["kind"], "VirtualMachineInstanceGuestAgentInfo");
    assert.equal(info["hostname"], "many");
    assert.match(String(info["guestAgentVersion"]), /^\d+\.\d+/);
    assert.deepEqual(info["os"], (await status()).guestOSInfo);
    assert.deepEqual(JSON.parse((await raw("userlist")).stdout), {
      kind: "VirtualMachineInstanceGuestOSUserList",
      apiVersion: "subresources.kubevirt.io/v1",
      metadata: {},
      items: [],
    });
    assert.equal(JSON.parse((await raw("filesystemlist")).stdout).kind, "VirtualMachineInstanceFileSystemList");
  });

  const terminal = await openConsole(host, "many");
  terminal.type("\n");
  await terminal.until(/# /);
  /** Runs a command in the guest to its end. */
  let commands = 0;
  const inGuest = async (command: string): Promise<string> => {
    commands += 1;
    terminal.type(`${command}; echo "done-$((${commands}))-"\n`);
    return (await terminal.until(new RegExp(`([^]*)done-${commands}-`)))[1] ?? "";
  };

  await step(
    "S3.75: an agent that ends takes no address with it; row 56: one that starts tells of a NIC that only the guest has",
    async () => {
      await inGuest("agent");
      await settledStatus("no agent", ({ conditions }) => conditions.every(({ type }) => type !== "AgentConnected"));
      assert.deepEqual((await status()).interfaces, nics);
      assert.match((await raw("guestosinfo")).stderr, /does not have guest agent connected/);
      await inGuest(
        "modprobe dummy numdummies=0 && ip link add own0 type dummy && ip link set own0 address 06:00:00:00:00:09 up",
      );
      // Not alone in its prefix: such an address stands for a lease, and the page waits for all that one brings.
      await inGuest("ip address add 2001:db8::9/64 dev own0");
      await inGuest("agent qemu-ga -v -t /run -p");
      await settledStatus("the guest's own NIC", ({ interfaces }) => interfaces[3]?.ipAddresses?.length === 2);
      await comesTo([...nics, own], async () => (await status()).interfaces);
      assert.equal((await condition("AgentConnected"))?.status, "True");
    },
  );

  await step(
    "a daemon that is killed and comes again asks the same agent, and nothing of the status changes",
    async () => {
      const version = (): Promise<string> => host.value("vmi", "many", ".metadata.resourceVersion");
      const asked = async (): Promise<number> =>
        Number(/(\d+)\s*$/.exec(await inGuest("grep -c get-interfaces /run/agent.log"))?.[1]);
      const before = await version();
      await host.killDaemon();
      const calls = await asked();
      await host.up();
      await eventually("another call", async () => (await asked()) > calls);
      assert.equal(await version(), before);
    },
  );

  await step("a program that babbles is told of, and changes nothing else", async () => {
    await inGuest("agent");
    await inGuest("agent sh -c 'exec cat /dev/zero >$0'");
    const told = await settledStatus("the babbling", ({ conditions }) =>
      conditions.some(({ type, status }) => type === "AgentConnected" && status === "False"),
    );
    const said = told.conditions.find(({ type }) => type === "AgentConnected");
    assert.equal(said?.reason, "PB5063");
    assert.match(said?.message ?? "", /talks without end/);
    assert.deepEqual(told.interfaces, [...nics, own]);
  });

  await step("one that lies gets a place for its lies, and no address of the pod's away", async () => {
    await inGuest("agent");
    await inGuest("agent perl /usr/sbin/liar");
    const told = await settledStatus("the lies", ({ interfaces }) => interfaces.length > 4);
    assert.equal(told.interfaces.length, 3 + 10);
    assert.deepEqual(told.interfaces[3], {
      mac: "06:00:00:00:01:00",
      interfaceName: "lie0[31m",
      infoSource: "guest-agent",
    });
    const [first, red] = told.interfaces;
    assert.deepEqual(first?.ipAddresses, pod);
    assert.deepEqual(red?.ipAddresses, [RED_ADDRESS, "10.0.2.99"]);
    assert.equal(await host.page(pod[0] ?? "").then((page) => page.startsWith("hostname:")), true);
  });

  await step("a guest without the address that leads to it is told of, until it has it again", async () => {
    const differs = (): Promise<Status["conditions"][number]> =>
      eventually("the difference", () => condition("GuestAddressesDiffer"));
    const { reason, message } = await differs();
    assert.equal(reason, "PB5064");
    assert.match(
      message ?? "",
      /red \(eth0\): the pod's 10\.50\.0\.2 is to be the guest's.* tells of 10\.0\.2\.99 alone\./,
    );
    assert.match(message ?? "", /default \(no NIC of the guest has its MAC/);
    await inGuest("agent");
    await inGuest("agent qemu-ga -v -t /run -p");
    await settledStatus("the truth", ({ conditions }) =>
      conditions.every(({ type }) => type !== "GuestAddressesDiffer"),
    );
    await comesTo([...nics, own], async () => (await status()).interfaces);
  });
});

function definitions(...given: readonly (readonly [string, object])[]): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "List",
    items: given.map(([name, config]) => ({
      apiVersion: "k8s.cni.cncf.io/v1",
      kind: "NetworkAttachmentDefinition",
      metadata: { namespace: "default", name },
      spec: { config: JSON.stringify(config) },
    })),
  });
}
