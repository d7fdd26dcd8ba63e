// The documents' MTU table, path by path, on a fabric of 9000 bytes and one of 1400; full packets pass whole.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { eventually, TestHost } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { definitions, hostLocal, networkStatusOf, nicOf, ready } from "./attachments.ts";
import { type GuestShell, openShell } from "./guest-shell.ts";

const FABRIC = 9000;
const LAN = 1400;
/** What a NIC has that nobody told of an MTU. */
const ETHERNET = 1500;

/** Each path of the table, and by what the guest learns the MTU there. */
const paths = [
  { name: "pod", title: "S3.28: virtio, masquerade", nic: { masquerade: {} }, mtu: FABRIC, device: true, dhcp: true },
  {
    name: "ip",
    title: "S3.29 S3.36: virtio, bridge with CNI address",
    nic: { bridge: {} },
    mtu: LAN,
    device: true,
    dhcp: true,
  },
  { name: "bare", title: "S3.30: virtio, bridge without", nic: { bridge: {} }, mtu: LAN, device: true, dhcp: false },
  {
    ...{ name: "old-ip", title: "S3.33: other models, bridge with CNI address", nic: { bridge: {}, model: "e1000" } },
    ...{ mtu: LAN, device: false, dhcp: true },
  },
  {
    ...{ name: "old-bare", title: "S3.34: other models, bridge without", nic: { bridge: {}, model: "e1000" } },
    ...{ mtu: ETHERNET, device: false, dhcp: false },
  },
] as const;

const network = (name: string): object =>
  name === "pod" ? { pod: {} } : { multus: { networkName: name.endsWith("bare") ? "bare" : "lan" } };

test("the MTU of every path", { timeout: 600_000 }, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl", "busybox")) return;
  const host = await TestHost.make(t);
  await host.useGuestImage();
  await host.usePodNetwork([4, 6], FABRIC);
  await host.up();
  const bridge = { cniVersion: "0.4.0", type: "bridge", mtu: LAN };
  await host.kubectlOk(
    ["apply", "-f", "-"],
    definitions(
      ["default", "lan", { ...bridge, bridge: "lan0", isGateway: true, ipam: hostLocal(host, ["10.50.0.0/24"]) }],
      ["default", "bare", { ...bridge, bridge: "bare0" }],
    ),
  );
  const guests = [
    guestManifest({
      name: "paths",
      devices: { interfaces: paths.map(({ name, nic }) => ({ name, ...nic })) },
      spec: { networks: paths.map(({ name }) => ({ name, ...network(name) })) },
    }),
    guestManifest({
      name: "old",
      devices: { interfaces: [{ name: "pod", masquerade: {}, model: "e1000" }] },
      spec: { networks: [{ name: "pod", pod: {} }] },
    }),
    guestManifest({
      name: "bridged",
      devices: { interfaces: [{ name: "pod", bridge: {} }] },
      spec: { networks: [{ name: "pod", pod: {} }] },
    }),
  ];
  await host.kubectlOk(["apply", "-f", "-"], guests.join("---\n"));
  await ready(host, "paths", "old", "bridged");
  const statusOf = async (name: string): Promise<readonly InterfaceStatus[]> =>
    JSON.parse(await host.value("vmi", name, ".status.interfaces"));
  const status = await statusOf("paths");
  const [podAddress = ""] = status[0]?.ipAddresses ?? [];
  const step = (name: string, act: () => Promise<void>): Promise<void> =>
    t.test(name, host.explained<TestContext>(act));

  const page = await host.page(
    podAddress,
    /^(?=[\s\S]*dhcp4: ip=10\.0\.2\.2$)(?=[\s\S]*(dhcp4: ip=10\.50\.0\.\d+[\s\S]*){2})/m,
  );
  for (const { name, title, mtu, dhcp } of paths) {
    await step(`row 57: ${title}: ${mtu}`, () => {
      const { block } = nicOf(page, status.find((one) => one.name === name)?.mac ?? "");
      assert.match(block, new RegExp(`^ *mtu: ${mtu}$`, "m"));
      assert.equal(/dhcp4: mtu=(\d+)/.exec(block)?.[1], dhcp ? String(mtu) : undefined);
      return Promise.resolve();
    });
  }

  await step("S3.26: the virtio device says it, where there is one, before any DHCP", async () => {
    const shell = await openShell(host, "paths");
    for (const { name, device, title } of paths) {
      const link = nicOf(page, status.find((one) => one.name === name)?.mac ?? "").name;
      // VIRTIO_NET_F_MTU is bit 3.
      const { output } = await shell.run(`cut -c4 /sys/class/net/${link}/device/features`);
      assert.equal(output.trim() === "1", device, title);
    }
    await shell.close();
  });

  await step("S3.32: other models, masquerade: by DHCP alone", async () => {
    const [{ ipAddresses: [address = ""] = [] } = {}] = await statusOf("old");
    const old = await host.page(address, /dhcp4: mtu=/);
    assert.match(old, new RegExp(`^ *dhcp4: mtu=${FABRIC}$`, "m"));
    assert.match(old, new RegExp(`^ *mtu: ${FABRIC}$`, "m"));
  });

  await step("row 69: full packets of both families pass masquerade whole, both ways", async () => {
    const shell = await openShell(host, "paths");
    for (const address of status[0]?.ipAddresses ?? []) await fullPing(host, shell, address, FABRIC);
    await shell.close();
  });

  await step("row 59: full packets pass a bridge whole, and the MTU is on each hop", async () => {
    const [{ ipAddresses: [address = ""] = [], mac = "" } = {}] = await statusOf("bridged");
    assert.match(nicOf(await host.page(address, /dhcp4: mtu=/), mac).block, new RegExp(`^ *mtu: ${FABRIC}$`, "m"));
    const { netns } = await host.guest("bridged");
    const links = (await host.run(["nsenter", `--net=${netns}`, "ip", "-o", "link"])).stdout;
    for (const link of ["eth0-nic", "k6t-eth0", "tap0", "eth0"])
      assert.match(links, new RegExp(` ${link}[@:].* mtu ${FABRIC} `));
    assert.deepEqual(
      (await networkStatusOf(host, "bridged"))[0]?.ips?.[0],
      address,
      "the status tells the pod's address",
    );
    const shell = await openShell(host, "bridged");
    await fullPing(host, shell, address, FABRIC);
    await shell.close();
  });

  await step("row 59: one guest pings another with full packets", async () => {
    const [{ ipAddresses: [address = ""] = [] } = {}] = await statusOf("bridged");
    const shell = await openShell(host, "paths");
    await shell.insist(`ping -c 1 -W 5 -s ${FABRIC - 28} ${address}`);
    await shell.close();
  });

  await step("row 50: duplicate address detection in the guest finds nobody else at its address", async () => {
    const [{ ipAddresses: [address = ""] = [] } = {}] = await statusOf("bridged");
    const shell = await openShell(host, "bridged");
    const { code, output } = await shell.run(`arping -D -c 2 -w 2 -I eth0 ${address}`);
    assert.equal(code, 0, output);
    assert.match(output, /Received 0 (replies|response)/);
    await shell.close();
  });
});

interface InterfaceStatus {
  readonly name: string;
  readonly mac: string;
  readonly ipAddresses?: readonly string[];
}

/** An echo request of the MTU's size to the guest is answered, and no fragment is made or put together on the way. */
async function fullPing(host: TestHost, shell: GuestShell, address: string, mtu: number): Promise<void> {
  const six = address.includes(":");
  const read = six
    ? "sed -n 's/^Ip6\\(FragCreates\\|ReasmReqds\\)//p' /proc/net/snmp6"
    : 'awk \'$1 == "Ip:" { r = $15 " " $19 } END { print r }\' /proc/net/snmp';
  const counts = async (): Promise<readonly string[]> => [
    (await host.run(["sh", "-c", read])).stdout,
    await shell.ask(read),
  ];
  const before = await counts();
  const family = six ? "-6" : "-4";
  const pinged = async (bytes: number): Promise<boolean> => {
    const size = String(bytes - (six ? 48 : 28));
    return (await host.run(["busybox", "ping", family, "-c", "1", "-W", "5", "-s", size, address])).code === 0;
  };
  await eventually(`a packet of ${mtu} bytes to ${address}`, () => pinged(mtu));
  assert.deepEqual(await counts(), before, "fragments");
  await eventually(`a larger packet to ${address}`, () => pinged(mtu + 8));
  assert.notDeepEqual(await counts(), before, "what is larger than the MTU is cut");
}
