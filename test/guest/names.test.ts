// What a guest is told of names and by DHCP options: host names, search domains, name servers, with KubeVirt's oddities.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { TestHost } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { definitions, hostLocal, ready } from "./attachments.ts";

/** What a pod of a cluster has; without a cluster's DNS it is written in the manifest. */
const CLUSTER = ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"];
/** Lawful (256 characters in all), and more than DHCP's option 119 holds. */
const LONG = ["a", "b", "c", "d", "e", "f"].map((letter, index) => `${letter.repeat(index === 5 ? 41 : 39)}.x`);

/** One guest with a NIC of each binding: what its manifest says, and what both are told. */
interface Named {
  readonly title: string;
  readonly name: string;
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly servers?: readonly string[];
  readonly searches: readonly string[];
  readonly hostname: string;
  /** DHCP's option 15. */
  readonly domain: string;
  readonly search: readonly string[];
  readonly dns: readonly string[];
}

const service = "things.default.svc.cluster.local";
const plain = { searches: CLUSTER, search: CLUSTER, domain: "default.svc.cluster.local", dns: ["192.0.2.53"] };
const inService = { ...plain, search: [service, ...CLUSTER], domain: service };
const rows: readonly Named[] = [
  {
    ...plain,
    title: "row 70: masquerade and bridge, neither hostname nor subdomain",
    name: "plain",
    hostname: "plain",
  },
  {
    ...{ ...plain, title: "row 70: masquerade and bridge, a hostname", name: "hosted", hostname: "broad" },
    spec: { hostname: "broad" },
  },
  {
    ...{ ...inService, title: "row 70: masquerade and bridge, a subdomain", name: "placed", hostname: "placed" },
    spec: { subdomain: "things" },
  },
  {
    ...{ ...inService, title: "row 70: masquerade and bridge, both", name: "whole", hostname: "broad" },
    spec: { hostname: "broad", subdomain: "things" },
  },
  {
    title: "rows 65, 71: name servers with leading zeros; a subdomain where no service's domain is searched",
    name: "custom",
    servers: ["010.010.000.005", "192.0.2.53"],
    dns: ["10.10.0.5", "192.0.2.53"],
    spec: { subdomain: "things" },
    hostname: "custom",
    searches: ["example.org", "example.com"],
    search: ["example.org", "example.com"],
    domain: "example.org",
  },
];

const LONG_MANIFEST = guestManifest({
  name: "long",
  ports: [],
  spec: { dnsPolicy: "None", dnsConfig: { nameservers: ["192.0.2.53"], searches: LONG } },
});

function manifestOf({ name, spec, servers = ["192.0.2.53"], searches }: Named): string {
  const dhcpOptions = {
    bootFileName: "default_image.bin",
    tftpServerName: "tftp.example.com",
    ntpServers: ["127.000.000.001", "010.002.003.004"],
    privateOptions: [{ option: 240, value: "extra.options.kubevirt.io" }],
  };
  return guestManifest({
    name,
    devices: {
      interfaces: [
        { name: "default", masquerade: {}, dhcpOptions },
        { name: "lan", bridge: {}, dhcpOptions },
      ],
    },
    spec: {
      ...spec,
      dnsPolicy: "None",
      dnsConfig: { nameservers: servers, searches },
      networks: [
        { name: "default", pod: {} },
        { name: "lan", multus: { networkName: "lan" } },
      ],
    },
  });
}

/** So many guests at once: each costs the machine a core while it boots. */
const AT_ONCE = 3;

test("names and DHCP options", { timeout: 600_000 }, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl")) return;
  const host = await TestHost.make(t);
  await host.useGuestImage();
  await host.usePodNetwork([4]);
  await host.up();
  const lan = { cniVersion: "0.4.0", type: "bridge", bridge: "lan0", ipam: hostLocal(host, ["10.65.0.0/24"]) };
  await host.kubectlOk(["apply", "-f", "-"], definitions(["default", "lan", lan]));
  /** The page once so many of the guest's NICs have their leases. */
  const pageOf = async (name: string, nics: number): Promise<string> =>
    host.page(
      await host.value("vmi", name, ".status.interfaces[0].ipAddress"),
      new RegExp(`(dhcp4: ip=[^]*){${nics}}`),
    );
  const reader =
    (text: string) =>
    (key: string): string =>
      new RegExp(`^ *${key}(.*)$`, "m").exec(text)?.[1] ?? "";
  const check = async (row: Named): Promise<void> => {
    const page = await pageOf(row.name, 2);
    const [, masquerade = "", bridge = ""] = page.split(/^nic: /m);
    for (const nic of [masquerade, bridge]) checkNic(row, reader(nic), reader(page));
  };
  const checkNic = (row: Named, line: (key: string) => string, whole: (key: string) => string): void => {
    assert.deepEqual(
      {
        hostname: whole("hostname: "),
        option12: line("dhcp4: hostname="),
        option15: line("dhcp4: domain="),
        option119: line("dhcp4: search="),
        option6: line("dhcp4: dns="),
        resolver: whole("resolv\\.conf: search "),
        option66: line("dhcp4: tftp="),
        option67: line("dhcp4: bootfile="),
        option42: line("dhcp4: ntpsrv="),
        option240: Buffer.from(line("dhcp4: opt240="), "hex").toString(),
      },
      {
        hostname: row.hostname,
        option12: row.hostname,
        option15: row.domain,
        option119: row.search.join(" "),
        option6: row.dns.join(" "),
        resolver: row.search.join(" "),
        option66: "tftp.example.com",
        option67: "default_image.bin",
        option42: "127.0.0.1 10.2.3.4",
        option240: "extra.options.kubevirt.io",
      },
    );
  };
  for (let at = 0; at < rows.length; at += AT_ONCE) {
    const some = rows.slice(at, at + AT_ONCE);
    await host.kubectlOk(["apply", "-f", "-"], some.map(manifestOf).join("---\n"));
    await ready(host, ...some.map(({ name }) => name));
    for (const row of some) {
      await t.test(
        `${row.title}; row 64: boot file, TFTP, NTP with leading zeros, private option`,
        host.explained<TestContext>(() => check(row)),
      );
    }
    await host.kubectlOk(["delete", "vmi", "--wait=false", ...some.map(({ name }) => name)]);
  }
  await t.test(
    "more search domains than one DHCP option holds stop no VM: the rest of its lease is as ever",
    host.explained<TestContext>(async () => {
      await host.kubectlOk(["apply", "-f", "-"], LONG_MANIFEST);
      await ready(host, "long");
      const line = reader(await pageOf("long", 1));
      assert.deepEqual([line("dhcp4: domain="), line("dhcp4: dns=")], [LONG[5], "192.0.2.53"]);
    }),
  );
});
