// The pages' manifests of secondary networks, each with a Debian guest on the disk that fragments leave out; the one of
// macvtap is whole, and runs as it stands.
import assert from "node:assert/strict";
import { basename, join } from "node:path";
import { type TestContext, test } from "node:test";
import type { JsonObject } from "../../src/model/json.ts";
import { eventually, TestHost } from "../daemon.ts";
import { networkStatusOf } from "../guest/attachments.ts";
import { outsideOf } from "../guest/user-mode.ts";
import { needs } from "../needs.ts";
import { type OpenVSwitch, startOpenVSwitch } from "../openvswitch.ts";
import {
  addressesOf,
  bootable,
  type DebianGuest,
  driverOf,
  firstAndOurs,
  inDebian,
  lookInto,
  toldAddresses,
} from "./debian-guests.ts";
import { debianImageFolder } from "./debian-image.ts";
import { genieNode } from "./genie-node.ts";
import { shellImage, tagShellImage } from "./shell-image.ts";
import { type Example, forgetLeases, permitEverything, type Source, useAsMachines } from "./sources.ts";

const LEASES = ["macvlan-test", "bridge-test", "warehouse", "ptp-mac", "point-to-point"];
/** Of the manifests of macvtap. */
const TAGS = ["docker.io/kubevirt/fedora-cloud-container-disk-demo:devel", "registry.example.net/guests/debian:12"];

test("secondary networks", { timeout: 2_400_000 }, async (t) => {
  if (!needs(t, "daemon", "kubectl", "guestImage", "openvswitch", "macvtap")) return;
  await shellImage();
  forgetLeases(t, ...LEASES);
  const host = await TestHost.make(t);
  await host.makeOutside([4]);
  await tagShellImage(host, ...TAGS);
  await ip(host, `link add eth0 type veth peer name lan0 netns ${basename(outsideOf(host))}`);
  await ip(host, "link set eth0 up");
  await ip(host, "link set lan0 up", outsideOf(host));
  const ovs = await startOpenVSwitch(t, host.netns);
  await useAsMachines(t, host, ovs);
  await host.up(["--image-dir", debianImageFolder]);
  await permitEverything(host);
  const step = (name: string, act: () => Promise<void>): Promise<void> =>
    t.test(name, { timeout: 600_000 }, host.explained<TestContext>(act));
  const sources = (example: Example): Promise<readonly Source[]> =>
    firstAndOurs(join(host.dataDir, example.twin), example);
  const define = async (example: Example): Promise<void> => {
    for (const { file } of await sources(example)) await host.kubectlOk(["apply", "-f", file]);
  };
  /** An address of a machine on the network of eth0. */
  const neighbour = async (...addresses: readonly string[]): Promise<void> => {
    await ip(host, "address flush dev lan0 scope global", outsideOf(host));
    for (const address of addresses) await ip(host, `address add ${address} dev lan0`, outsideOf(host));
  };

  await step("S2.7 S2.10 S3.7 S3.8: pxe-dhcp-options: two NICs, the second on a VLAN of Open vSwitch", async () => {
    const vlans = { "page-3-2": ["br1", 100, "10.80.0"], "pxe-dhcp-options": ["br-stock", 30, "10.81.0"] } as const;
    for (const [bridge, tag, network] of Object.values(vlans)) await switchWith(host, ovs, bridge, tag, network);
    await define({ twin: "ovs-vlan-definition", pages: ["2.1"] });
    await inDebian(
      host,
      await sources({ twin: "pxe-dhcp-options", pages: ["3.2"] }),
      async (guest) => {
        const { name, isPages, shell } = guest;
        const [bridge, tag, network] = vlans[isPages ? "page-3-2" : "pxe-dhcp-options"];
        assert.ok((await addressesOf(guest, "eth0")).includes("10.0.2.2/24"));
        assert.deepEqual([await driverOf(guest, "eth0"), await driverOf(guest, "eth1")], ["virtio_net", "virtio_net"]);
        await joins(guest, "eth1", `${network}.50/24`, `${network}.1`);
        const mac = await host.value("vmi", name, ".status.interfaces[1].mac");
        assert.match(ovs.tool("ovs-appctl", "fdb/show", bridge), new RegExp(`^ *\\d+ +${tag} +${mac} `, "m"));
        assert.match(await shell.ask("ip route show default"), /dev eth0/);
      },
      { bootOrder: 3 },
    );
    for (const [bridge] of Object.values(vlans)) ovs.tool("ovs-vsctl", "del-br", bridge);
  });

  /** The guest has an address of the network that stands in the pod network's place, and its pod no other network. */
  const isInstead = async (guest: DebianGuest, prefix: string, peer: string): Promise<void> => {
    const [address = ""] = await toldAddresses(host, guest.name);
    assert.ok(address.startsWith(prefix), address);
    assert.ok((await addressesOf(guest, "eth0")).includes(`${address}/24`));
    assert.equal(
      await guest.shell.ask("cat /sys/class/net/eth0/address"),
      await host.value("vmi", guest.name, ".status.interfaces[0].mac"),
    );
    await guest.shell.ask(`ping -c 1 -W 10 ${peer}`);
    const networks = await networkStatusOf(host, guest.name);
    assert.deepEqual(
      networks.map((network) => network.interface),
      ["eth0"],
    );
  };

  await step("S2.13 S2.15 S2.16 S2.17: multus-default: a macvlan in the pod network's place", async () => {
    await neighbour("10.250.250.200/24", "10.99.0.200/24");
    await define({ twin: "macvlan-ipam-definition", pages: ["2.3"] });
    await inDebian(host, await sources({ twin: "multus-default", pages: ["2.4"] }), (guest) =>
      guest.isPages ? isInstead(guest, "10.250.250.", "10.250.250.200") : isInstead(guest, "10.99.0.", "10.99.0.200"),
    );
  });

  await step("S3.9 S3.10 S3.37 S3.38: multus-default: a bridge there", async () => {
    await define({ twin: "bridge-ipam-definition", pages: ["3.3"] });
    await inDebian(host, await sources({ twin: "multus-default", pages: ["3.4"] }), async (guest) => {
      const [bridge, network] = guest.isPages ? ["br1", "10.250.250"] : ["br-stock", "10.99.0"];
      await ip(host, `address add ${network}.254/24 dev ${bridge}`);
      await isInstead(guest, `${network}.`, `${network}.254`);
    });
  });

  await step("S3.100 S3.102 S3.103: networks-only: the bridge hears a guest with its own MAC alone", async () => {
    await define({ twin: "mac-spoof-check-definition", pages: ["3.22"] });
    await inDebian(host, await sources({ twin: "networks-only", pages: ["3.23"] }), async (guest) => {
      const { name, isPages, shell } = guest;
      const [bridge, network] = isPages ? ["br10", "10.82.0"] : ["br-guarded", "10.83.0"];
      await ip(host, `address add ${network}.1/24 dev ${bridge}`);
      await joins(guest, "eth1", `${network}.50/24`, `${network}.1`);
      const own = await host.value("vmi", name, ".status.interfaces[1].mac");
      await shell.ask("ip link set eth1 address 02:00:00:00:58:02");
      assert.notEqual((await shell.run(`ping -c 2 -W 3 ${network}.1`)).code, 0, "with another MAC");
      await shell.ask(`ip link set eth1 address ${own}`);
      await eventually("its own MAC to be heard again", () => reaches(guest, `${network}.1`));
    });
  });

  await step("S2.29 S2.31 S3.18 S3.19: ptp-tuning-definition: tuning sets the manifest's MAC behind ptp", async () => {
    const example: Example = { twin: "ptp-tuning-definition", pages: ["3.6"] };
    await define(example);
    const named = (await sources(example)).map(({ name }, index) => ({
      name,
      mac: `02:00:00:00:31:0${index}`,
      ...(name.startsWith("page-")
        ? { network: "ptp-mac", subnet: "10.1.1." }
        : { network: "point-to-point", subnet: "10.98.0." }),
    }));
    const items = named.map(({ name, mac, network }) => bootable(pointToPoint(name, network, mac)));
    await host.kubectlOk(["apply", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items }));
    await lookInto(
      host,
      named.map(({ name }) => name),
      async (guest) => {
        const { mac, network, subnet } = named.find(({ name }) => name === guest.name) ?? named[0] ?? assert.fail();
        assert.equal(await guest.shell.ask("cat /sys/class/net/eth0/address"), mac);
        const given = (await networkStatusOf(host, guest.name)).find(({ name }) => name === `default/${network}`);
        const [address = ""] = given?.ips ?? [];
        assert.ok(address.startsWith(subnet), address);
        assert.ok((await addressesOf(guest, "eth0")).some((one) => one.startsWith(`${address}/`)));
        await guest.shell.ask(`ping -c 1 -W 10 ${subnet}1`);
        assert.match((await host.run(["ip", "neigh", "show", "to", address])).stdout, new RegExp(`lladdr ${mac}`));
      },
    );
  });

  await step("S3.90 S3.95 S3.97 S3.98: macvtap-vmi: whole and as it stands, on the node's own Ethernet", async () => {
    const offered = async (resource: string, count: string): Promise<void> => {
      const path = `.status.allocatable.macvtap\\.network\\.kubevirt\\.io/${resource}`;
      await eventually(`the node to offer ${resource}`, async () => {
        const found = await host.kubectlOk(["get", "nodes", "-o", `jsonpath={.items[0]${path}}`]);
        return found === count;
      });
    };
    for (const { name, file } of await sources({ twin: "macvtap-devices", pages: ["3.18"] })) {
      await host.kubectlOk(["apply", "-f", file]);
      await offered(name.startsWith("page-") ? "dataplane" : "floor", "50");
    }
    // The definitions want a resource eth0, which the ConfigMaps beside them call otherwise: an empty list offers cards
    // by their own names, and this host has none.
    const devices = [{ name: "eth0", lowerDevice: "eth0", mode: "bridge", capacity: 50 }];
    const map = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "macvtap-deviceplugin-config" } };
    await host.kubectlOk(
      ["apply", "-f", "-"],
      JSON.stringify({ ...map, data: { DP_MACVTAP_CONF: JSON.stringify(devices) } }),
    );
    await offered("eth0", "50");
    await neighbour("10.84.0.1/24");
    await define({ twin: "macvtap-definition", pages: ["3.20"] });
    const names: string[] = [];
    for (const { name, file } of await sources({ twin: "macvtap-vmi", pages: ["3.21"] })) {
      const { code, stderr } = await host.patchbay(["run", "-f", file]);
      assert.equal(code, 0, stderr);
      names.push(name.startsWith("page-") ? "vmi-host-network" : "floor-sensor");
    }
    await lookInto(host, names, async (guest) => {
      const { name, isPages, shell } = guest;
      assert.equal(await driverOf(guest, "eth0"), "virtio_net");
      assert.equal(await shell.ask("cat /sys/class/net/eth0/mtu"), "1500");
      if (!isPages) assert.equal(await shell.ask("hostname"), name);
      const own = isPages ? "10.84.0.50" : "10.84.0.51";
      await joins(guest, "eth0", `${own}/24`, "10.84.0.1");
      const { stdout } = await host.run(["ip", "neigh", "show", "to", own], { netns: outsideOf(host) });
      assert.match(stdout, new RegExp(`lladdr ${await host.value("vmi", name, ".status.interfaces[0].mac")}`));
    });
  });
});

test("Genie's networks", { timeout: 900_000 }, async (t) => {
  if (!needs(t, "daemon", "kubectl", "guestImage", "openvswitch")) return;
  await shellImage();
  const host = await TestHost.make(t);
  const ovs = await startOpenVSwitch(t, host.netns);
  await useAsMachines(t, host, ovs);
  await switchWith(host, ovs, "br1", 100, "10.80.0");
  await host.up([...(await genieNode(host)), "--image-dir", debianImageFolder]);
  await t.test(
    "S2.18 S2.19 S2.21 S2.23: genie: flannel first, a VLAN of Open vSwitch second",
    { timeout: 600_000 },
    host.explained<TestContext>(async () => {
      const sources = await firstAndOurs(join(host.dataDir, "genie"), { twin: "genie", pages: ["2.5"] });
      await inDebian(host, sources, async (guest) => {
        const [prefix, mtu] = guest.isPages ? ["10.244.3.", "1450"] : ["10.70.0.", "1500"];
        const [address = ""] = await toldAddresses(host, guest.name);
        assert.ok(address.startsWith(prefix), address);
        assert.ok((await addressesOf(guest, "eth0")).includes(`${address}/24`));
        assert.equal(await guest.shell.ask("cat /sys/class/net/eth0/mtu"), mtu);
        await guest.shell.ask(`ping -c 1 -W 10 ${prefix}1`);
        await joins(guest, "eth1", guest.isPages ? "10.80.0.50/24" : "10.80.0.51/24", "10.80.0.1");
        const mac = await host.value("vmi", guest.name, ".status.interfaces[1].mac");
        assert.match(ovs.tool("ovs-appctl", "fdb/show", "br1"), new RegExp(`^ *\\d+ +100 +${mac} `, "m"));
      });
    }),
  );
});

async function ip(host: TestHost, command: string, netns?: string): Promise<void> {
  const options = netns === undefined ? {} : { netns };
  const { code, stderr } = await host.run(["ip", ...command.split(" ")], options);
  assert.equal(code, 0, `ip ${command}: ${stderr}`);
}

/** A bridge of Open vSwitch, and a machine with the address `network`.1 on one VLAN of it. */
async function switchWith(
  host: TestHost,
  ovs: OpenVSwitch,
  bridge: string,
  tag: number,
  network: string,
): Promise<void> {
  const link = `vlan${tag}`;
  ovs.tool("ovs-vsctl", "add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev");
  ovs.tool("ovs-vsctl", "add-port", bridge, link, `tag=${tag}`, "--", "set", "interface", link, "type=internal");
  await ip(host, `address add ${network}.1/24 dev ${link}`);
  await ip(host, `link set ${link} up`);
}

/** Gives a NIC that nobody configures an address, and waits until its network's other machine answers. */
async function joins(guest: DebianGuest, link: string, address: string, peer: string): Promise<void> {
  await guest.shell.ask(`ip address add ${address} dev ${link} && ip link set ${link} up`);
  await eventually(`${peer} to answer ${guest.name}`, () => reaches(guest, peer));
}

async function reaches({ shell }: DebianGuest, address: string): Promise<boolean> {
  return (await shell.run(`ping -c 1 -W 5 ${address}`)).code === 0;
}

/** The pages define this network, and leave to the reader who uses it. */
function pointToPoint(name: string, network: string, mac: string): JsonObject {
  return {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name },
    spec: {
      domain: {
        memory: { guest: "512Mi" },
        devices: { interfaces: [{ name: "ptp", bridge: {}, macAddress: mac }] },
      },
      networks: [{ name: "ptp", multus: { networkName: network } }],
    },
  };
}
