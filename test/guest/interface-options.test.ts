import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { TestHost } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { openConsole } from "./console-session.ts";

const MTU = 1400;

/** Two queues, its own MAC and networks, everything that DHCP can be told. */
const WIDE = guestManifest({
  name: "wide",
  domain: { cpu: { cores: 2 } },
  devices: {
    networkInterfaceMultiqueue: true,
    interfaces: [
      {
        name: "default",
        masquerade: {},
        macAddress: "02-AA-BB-CC-DD-01",
        ports: [{ port: 80 }, { name: "echo", port: 7, protocol: "UDP" }],
        dhcpOptions: {
          ntpServers: ["192.0.2.123", "192.0.2.124"],
          tftpServerName: "tftp.example.org",
          bootFileName: "pxelinux.0",
          privateOptions: [{ option: 240, value: "hello" }],
        },
      },
    ],
  },
  spec: {
    hostname: "broad",
    subdomain: "things",
    dnsPolicy: "None",
    dnsConfig: {
      nameservers: ["192.0.2.53", "2001:db8::53"],
      searches: ["default.svc.cluster.local", "example.org"],
    },
    networks: [{ name: "default", pod: { vmNetworkCIDR: "10.77.0.0/29", vmIPv6NetworkCIDR: "fd77::/120" } }],
  },
});

const OLD = guestManifest({
  name: "old",
  devices: { interfaces: [{ name: "default", masquerade: {}, model: "e1000" }] },
});

test("what an interface and its network ask for reaches the guest", { timeout: 600_000 }, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl")) return;
  const host = await TestHost.make(t);
  await host.useGuestImage();
  await host.usePodNetwork([4, 6], MTU);
  await host.up();
  await host.kubectlOk(["apply", "-f", "-"], [WIDE, OLD].join("---\n"));
  for (const name of ["wide", "old"]) {
    await host.kubectlOk(["wait", "--for=condition=Ready", `vmi/${name}`, "--timeout=120s"]);
  }
  const step = (name: string, act: () => Promise<void>): Promise<void> =>
    t.test(name, host.explained<TestContext>(act));

  await step("S2.50 S2.56 S3.52 S3.73: rows 17, 66: MAC, queues, MTU and networks of a virtio NIC", async () => {
    const page = await settled(
      host,
      "wide",
      /^ *address: fd77::2\/[\s\S]*^route: default via 10\.77\.0\.1 [\s\S]*^route: default via fe80::1 /m,
    );
    assert.match(page, /^ *mac: 02:aa:bb:cc:dd:01$/m);
    assert.match(page, /^ *queues: 2$/m);
    assert.match(page, new RegExp(`^ *mtu: ${MTU}$`, "m"));
    assert.match(page, /^ *driver: virtio_net$/m);
    assert.match(page, /^ *address: 10\.77\.0\.2\/29$/m);
    assert.match(page, /^route: default via 10\.77\.0\.1 /m);
    const [status] = JSON.parse(await host.value("vmi", "wide", ".status.interfaces"));
    assert.equal(status.queueCount, 2);
    assert.equal(status.mac, "02:aa:bb:cc:dd:01");
  });

  await step(
    "S2.55: rows 65, 70: host name, name servers and search domains, by DHCP and router advertisement",
    async () => {
      const page = await settled(
        host,
        "wide",
        /^hostname: broad$[\s\S]*^resolv\.conf: nameserver 192\.0\.2\.53$[\s\S]*^resolv\.conf: nameserver 2001:db8::53$/m,
      );
      assert.match(page, /^hostname: broad$/m);
      assert.match(page, /^resolv\.conf: nameserver 192\.0\.2\.53$/m);
      assert.match(
        page,
        /^resolv\.conf: search things\.default\.svc\.cluster\.local default\.svc\.cluster\.local example\.org$/m,
      );
    },
  );

  await step("row 64: dhcpOptions", async () => {
    const page = await settled(host, "wide", /dhcp4/);
    assert.match(page, /^ *dhcp4: ntpsrv=192\.0\.2\.123 192\.0\.2\.124$/m);
    assert.match(page, /^ *dhcp4: tftp=tftp\.example\.org$/m);
    assert.match(page, /^ *dhcp4: bootfile=pxelinux\.0$/m);
    assert.match(page, new RegExp(`^ *dhcp4: opt240=${Buffer.from("hello").toString("hex")}$`, "m"));
  });

  await step("a UDP port is let in, and TCP at that number is not", async () => {
    for (const address of await addressesOf(host, "wide")) {
      await host.reach("udp", address, "7");
      assert.equal((await host.probe("tcp", address, "7")).ok, false, address);
    }
  });

  await step("S0.14 S1.17 S2.36 S3.23: row 69: the MTU of an emulated card, which only DHCP can tell", async () => {
    const page = await settled(host, "old", /^ *address: fd10:0:2::2\/[\s\S]*^ *dhcp4: mtu=/m);
    assert.match(page, /^ *driver: e1000$/m);
    assert.match(page, new RegExp(`^ *dhcp4: mtu=${MTU}$`, "m"));
    assert.match(page, new RegExp(`^ *mtu: ${MTU}$`, "m"));
    assert.match(page, /^ *queues: 1$/m);
    assert.match(page, /^ *address: 10\.0\.2\.2\/24$/m);
  });

  await step("on its console a guest is used, reaches itself by its pod's addresses, and is left", async () => {
    const console = await openConsole(host, "wide");
    console.type("echo $((6 * 7))-is-the-answer\n");
    await console.until(/42-is-the-answer/);
    for (const address of await addressesOf(host, "wide")) {
      const at = address.includes(":") ? `[${address}]` : address;
      console.type(`wget -q -O - http://${at}/ | sed -n 's/^hostname: /seen-/p'; echo $((6 * 8))-end\n`);
      await console.until(/48-end/);
      assert.match(console.shown(), /seen-broad[\s\S]*48-end/, `${address}: ${console.shown()}`);
    }
    assert.equal(await console.detach(), 0);
    assert.equal(await host.value("vmi", "wide", ".status.phase"), "Running");
  });
});

async function addressesOf(host: TestHost, name: string): Promise<readonly string[]> {
  const addresses: unknown = JSON.parse(await host.value("vmi", name, ".status.interfaces[0].ipAddresses"));
  assert.ok(Array.isArray(addresses) && addresses.length === 2, JSON.stringify(addresses));
  return addresses.map(String);
}

/** The guest's page once it shows what comes last. */
async function settled(host: TestHost, name: string, last: RegExp): Promise<string> {
  const [address = ""] = await addressesOf(host, name);
  return host.page(address, last);
}
