// Each network under each binding that the rules allow, with each family: who reaches the guest where, and what it sees.
import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { eventually, type Outside, TestHost } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { linkLocal, networkStatusOf, nicOf } from "./attachments.ts";
import { answers } from "./explained.ts";
import { type GuestShell, openShell } from "./guest-shell.ts";
import {
  ALONE,
  type Families,
  genieConfigurations,
  genieRows,
  genieTypes,
  multusDefinitions,
  multusRows,
  type NicRow,
  type Row,
  stacks,
} from "./network-rows.ts";

const clusters = {
  Multus: {
    rows: multusRows,
    on: new Set(Object.keys(stacks)),
    start: async (host: TestHost, families: Families) => {
      await host.usePodNetwork(families);
      await host.up();
      await host.kubectlOk(["create", "namespace", "nets"]);
      await host.kubectlOk(["apply", "-f", "-"], multusDefinitions(host, families));
    },
  },
  Genie: {
    rows: genieRows,
    // Its rows have networks of each family alone as well: what the embedded network cannot have side by side, these can.
    on: new Set(["dual-stack"]),
    start: async (host: TestHost, families: Families) => {
      const folder = join(host.dataDir, "net.d");
      await mkdir(folder);
      for (const [file, config] of Object.entries(genieConfigurations(host, families)))
        await writeFile(join(folder, file), JSON.stringify(config));
      const plugins = join(host.dataDir, "plugins");
      await mkdir(plugins);
      for (const type of Object.keys(genieTypes)) await symlink("/usr/lib/cni/bridge", join(plugins, type));
      await host.up(["--cni-conf-dir", folder, "--cni-bin-dir", `/usr/lib/cni:${plugins}`]);
    },
  },
} as const;

for (const [stack, families] of Object.entries(stacks)) {
  for (const [cluster, { rows, on, start }] of Object.entries(clusters)) {
    if (!on.has(stack)) continue;
    test(`${stack} networks of ${cluster}`, { timeout: 600_000 }, async (t) => {
      if (!needs(t, "daemon", "guestImage", "kubectl", "busybox")) return;
      const host = await TestHost.make(t);
      await host.useGuestImage();
      const outside = await host.makeOutside(families);
      await start(host, families);
      // A guest of the shared network alone shows with one family nothing that it does not show with both.
      const isWhole = families.length === 2;
      const taken = isWhole ? rows : rows.filter(({ name }) => name !== ALONE);
      await host.kubectlOk(["apply", "-f", "-"], taken.map(manifestOf).join("---\n"));
      for (const row of taken) {
        const check = host.explained<TestContext>(() => checkRow(host, row, families, outside));
        await t.test(row.title, check);
      }
      if (rows === multusRows && isWhole)
        await t.test(
          "the guests of one network reach each other (rows 53, 54)",
          host.explained<TestContext>(() => peers(host, families)),
        );
    });
  }
}

function manifestOf({ name, nics }: Row): string {
  return guestManifest({
    name,
    devices: { interfaces: nics.map((nic) => ({ name: nic.name, [nic.binding]: {} })) },
    spec: { networks: nics.map((nic) => ({ name: nic.name, ...nic.network })) },
  });
}

interface InterfaceStatus {
  readonly name: string;
  readonly mac: string;
  readonly ipAddresses?: readonly string[];
  readonly podInterfaceName: string;
}

async function statusOf(host: TestHost, name: string): Promise<readonly InterfaceStatus[]> {
  return JSON.parse(await host.value("vmi", name, ".status.interfaces"));
}

async function checkRow(host: TestHost, { name, nics }: Row, families: Families, outside: Outside): Promise<void> {
  await host.kubectlOk(["wait", "--for=condition=Ready", `vmi/${name}`, "--timeout=120s"]);
  const status = await statusOf(host, name);
  assert.deepEqual(
    status.map((one) => [one.name, one.podInterfaceName]),
    nics.map((nic) => [nic.name, nic.podInterface]),
  );
  const shell = await openShell(host, name);
  const named = families[0] === 4 || nics.some(({ binding }) => binding === "masquerade");
  for (const [index, nic] of nics.entries()) {
    const own = status[index];
    assert.ok(own !== undefined);
    await (nic.binding === "masquerade" ? masqueraded : bridged)({
      host,
      vmi: name,
      nic,
      families: nic.families ?? families,
      shell,
      own,
      named,
    });
  }
  for (const address of nics.some(({ leadsOut }) => leadsOut) ? outside.addresses : [])
    await eventually(`${address} to be reached`, async () => (await shell.run(fetching(address))).code === 0);
  await shell.close();
}

interface Checked {
  readonly host: TestHost;
  readonly vmi: string;
  readonly nic: NicRow;
  readonly families: Families;
  readonly shell: GuestShell;
  readonly own: InterfaceStatus;
  /** Whether somebody tells the guest its name. */
  readonly named: boolean;
}

/** The pod's addresses are the guest's; inside it has KubeVirt's. */
async function masqueraded({ host, vmi, families, own }: Checked): Promise<void> {
  const { ipAddresses = [] } = own;
  assert.deepEqual(ipAddresses.map(familyOf), [...families]);
  for (const address of ipAddresses) {
    const inside = { 4: "10.0.2.2/24", 6: "fd10:0:2::2/128" };
    const page = await host.page(
      address,
      new RegExp([`^hostname: ${vmi}$`, ...families.map((family) => `address: ${inside[family]}$`)].join("[^]*"), "m"),
    );
    const { block } = nicOf(page, own.mac);
    for (const family of [4, 6] as const)
      assert.equal(
        block.includes(inside[family]),
        families.some((one) => one === family),
        block,
      );
  }
}

/** The guest has the pod's IPv4 address by DHCP; of IPv6 it has nothing but what its owner gives it: here the pod's. */
async function bridged({ host, vmi, nic, families, shell, own, named }: Checked): Promise<void> {
  const given = await givenTo(host, vmi, nic);
  const four = given.filter((address) => familyOf(address) === 4);
  assert.deepEqual(given.map(familyOf), [...families]);
  assert.deepEqual(own.ipAddresses ?? [], four, "of a bridge the IPv4 address is handed over and told");
  const link = (await shell.ask(`grep -l ${own.mac} /sys/class/net/*/address`)).split("/")[4] ?? "";
  for (const address of given) {
    if (nic.subnets !== undefined) assert.ok(address.startsWith(nic.subnets[familyOf(address)]), address);
    if (familyOf(address) === 6) {
      assert.doesNotMatch(await shell.ask(`ip -6 address show dev ${link}`), /scope global/, "nothing is served");
      await shell.ask(`ip -6 address add ${address}/64 dev ${link}`);
      if (nic.leadsOut) await shell.ask(`ip -6 route add default via ${gatewayOf(address)} dev ${link}`);
    }
    const page = await host.page(
      address,
      new RegExp(`${named ? `^hostname: ${vmi}$[^]*` : ""}address: ${address}/`, "m"),
    );
    // Of DHCP servers a bridge has one for IPv4 alone.
    assert.equal(page.includes(`hostname: ${vmi}\n`), named);
    assert.match(nicOf(page, own.mac).block, new RegExp(`address: ${address}/(24|64)$`, "m"));
    await eventually(`${address} to answer`, () => answers(host, address));
  }
  if (families.some((family) => family === 6))
    assert.match(await shell.ask(`ip -6 address show dev ${link}`), new RegExp(linkLocal(own.mac)));
  const { netns } = await host.guest(vmi);
  const ports = await host.run(["nsenter", `--net=${netns}`, "bridge", "-d", "link"]);
  const moved = `${nic.podInterface.replace(/^pod/, "")}-nic`;
  assert.match(ports.stdout, new RegExp(`${moved}@[^]*?learning off`), "row 63: the pod's link learns nothing");
}

/** The addresses that CNI gave the pod's link. */
async function givenTo(host: TestHost, vmi: string, { podInterface }: NicRow): Promise<readonly string[]> {
  const networks = await networkStatusOf(host, vmi);
  return networks.find((network) => network.interface === podInterface)?.ips ?? [];
}

async function peers(host: TestHost, families: Families): Promise<void> {
  const [one, two] = [multusRows[0], multusRows[1]];
  const [lan] = two?.nics ?? [];
  assert.ok(one !== undefined && two !== undefined && lan !== undefined);
  const shell = await openShell(host, one.name);
  const addresses = await givenTo(host, two.name, lan);
  assert.equal(addresses.length, families.length);
  for (const address of addresses) {
    await shell.insist(`ping -${familyOf(address)} -c 1 -W 5 ${address}`);
    assert.match(await shell.insist(fetching(address, 80)), new RegExp(`address: ${address}/`));
  }
  await shell.close();
}

function fetching(address: string, port = 8099): string {
  return `timeout 20 wget -q -O - http://${familyOf(address) === 6 ? `[${address}]` : address}:${port}/`;
}

/** The first address of the /64 that an address is in: CNI's gateway. */
function gatewayOf(address: string): string {
  const groups = address.split("::")[0]?.split(":") ?? [];
  return `${groups.slice(0, 4).join(":")}::1`;
}

function familyOf(address: string): 4 | 6 {
  return address.includes(":") ? 6 : 4;
}
