import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { eventually, TestHost } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { answers } from "./explained.ts";

/** Each with the statements that it shows (docs/documents.md). */
const stacks = [
  { stack: "S3.53: masquerade on dual-stack pods", families: [4, 6] },
  { stack: "masquerade on IPv4-only pods", families: [4] },
  { stack: "S2.51 S2.52 S3.56: masquerade on IPv6-only pods", families: [6] },
] as const;

for (const { stack, families } of stacks) {
  test(`${stack}: listed ports, all ports, ping, echo, and the world outside`, {
    timeout: 600_000,
  }, async (t) => {
    if (!needs(t, "daemon", "guestImage", "kubectl", "busybox")) return;
    const host = await TestHost.make(t);
    await host.useGuestImage();
    await host.usePodNetwork(families);
    const outside = await host.makeOutside(families);
    await host.up();

    const fetchOutside = outside.addresses
      .map((address) => `wget -q -O /dev/console http://${bracketed(address)}:8099/ && echo`)
      .join("\n");
    await host.kubectlOk(
      ["apply", "-f", "-"],
      [
        guestManifest({ name: "limited", ports: [{ port: 80 }] }),
        guestManifest({
          name: "open",
          ports: [],
          userData: `#!/bin/sh\nuntil (\n${fetchOutside}\n); do sleep 1; done\n`,
        }),
      ].join("---\n"),
    );
    for (const name of ["limited", "open"]) {
      await host.kubectlOk(["wait", "--for=condition=Ready", `vmi/${name}`, "--timeout=120s"]);
    }
    const limited = await podAddresses(host, "limited");
    const open = await podAddresses(host, "open");
    assert.deepEqual(limited.map(familyOf), [...families], "the status shows an address of each family of the pod");

    for (const address of limited) {
      await t.test(`rows 30, 32, 66: ${address}: only port 80 is let in`, async () => {
        // Without DHCPv4 it is DHCPv6 that tells it (RFC 4704).
        const page = await host.page(address, /^hostname: limited$/m);
        assert.match(page, new RegExp(await host.value("vmi", "limited", ".status.interfaces[0].mac")));
        assert.equal((await host.probe("tcp", address, "7")).ok, false, "the TCP echo port is not listed");
        assert.equal((await host.probe("udp", address, "7")).ok, false, "the UDP echo port is not listed");
      });
    }
    for (const address of open) {
      await t.test(`rows 31, 66: ${address}: everything is let in`, async () => {
        const inside = families.map((family) => (family === 4 ? "address: 10\\.0\\.2\\.2/" : "address: fd10:0:2::2/"));
        const page = await host.page(address, new RegExp(inside.join("[^]*")));
        assert.match(page, new RegExp(await host.value("vmi", "open", ".status.interfaces[0].mac")));
        for (const kind of ["tcp", "udp"] as const) await host.reach(kind, address, "7");
        await eventually(`${address} to answer`, () => answers(host, address));
      });
    }
    await t.test("row 67: the guest reaches a server outside its pod, and is seen as the host", async () => {
      for (const family of families) {
        const near = family === 4 ? "192.0.2.1" : "2001:db8::1";
        await eventually(`a caller of IPv${family}`, () => Promise.resolve(outside.clients().includes(near)));
      }
    });
    await t.test(
      "rows 30 to 32: from inside the pod, where port-forward connects, loopback leads to the guest's ports and to no other",
      async (inner) => {
        await loopback(inner, host, families);
      },
    );
  });
}

async function loopback(t: TestContext, host: TestHost, families: readonly number[]): Promise<void> {
  const pod = (await host.guest("limited")).netns;
  const open = (await host.guest("open")).netns;
  for (const loop of families.map((family) => (family === 4 ? "127.0.0.1" : "::1"))) {
    await t.test(loop, async () => {
      await eventually("the page", async () => (await host.probeIn(pod, "http", loop, "80"))["status"] === 200);
      assert.equal((await host.probeIn(pod, "tcp", loop, "7")).ok, false);
      await eventually("the echo", async () => (await host.probeIn(open, "tcp", loop, "7")).ok);
    });
  }
}

async function podAddresses(host: TestHost, name: string): Promise<readonly string[]> {
  const text = await host.value("vmi", name, ".status.interfaces[0].ipAddresses");
  const addresses: unknown = JSON.parse(text);
  assert.ok(Array.isArray(addresses));
  return addresses.map(String);
}

function familyOf(address: string): 4 | 6 {
  return address.includes(":") ? 6 : 4;
}

function bracketed(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}
