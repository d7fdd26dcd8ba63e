import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { parse, stringify } from "yaml";
import { DEBIAN_IMAGE } from "../../src/host/images/build-debian.ts";
import { isJsonObject } from "../../src/model/json.ts";
import { eventually, TestHost } from "../daemon.ts";
import { needs } from "../needs.ts";
import { debianImageFolder, debianImages } from "./debian-image.ts";

const NAME = "dual-stack";
const EXAMPLE = join(import.meta.dirname, "../../examples/documents/masquerade-dual-stack-manual.yaml");
/** A Debian guest without KVM on a busy machine. */
const BOOTED_MS = 300_000;

test("S3.54 masquerade: a Debian guest takes its IPv6 address and gateway from cloud-init's network data", {
  timeout: 600_000,
}, async (t) => {
  if (!needs(t, "daemon", "kubectl")) return;
  await debianImages(() => {});
  const host = await TestHost.make(t);
  await host.up(["--image-dir", debianImageFolder]);
  const step = (name: string, act: () => Promise<void>): Promise<void> =>
    t.test(name, host.explained<TestContext>(act));

  await step("it boots from its disk, and its agent answers", async () => {
    await host.kubectlOk(["apply", "-f", "-"], await manifest());
    await eventually(
      "the agent of the guest",
      async () => (await host.value("vmi", NAME, '.status.conditions[?(@.type=="AgentConnected")].status')) === "True",
      BOOTED_MS,
    );
    assert.equal(await host.value("vmi", NAME, ".status.guestOSInfo.id"), "debian");
  });

  await step("eth0 has DHCP's IPv4 address and the one of the network data", async () => {
    const addresses = await eventually("the addresses", async () => {
      const found = await agentAddresses(host);
      return found.includes("10.0.2.2") && found.includes("fd10:0:2::2") && found;
    });
    assert.ok(addresses.length > 0);
    assert.equal(await host.value("vmi", NAME, ".status.interfaces[0].interfaceName"), "eth0");
    assert.equal(await host.value("vmi", NAME, ".status.interfaces[0].infoSource"), "domain, guest-agent");
  });

  await step("cloud-init comes to its end, and the guest can be reached", async () => {
    const guest = await host.guest(NAME);
    const console = await eventually(
      "cloud-init's last words",
      async () => {
        const text = await readFile(join(guest.folder, "console.log"), "utf8");
        return /Cloud-init v\. .* finished at/.test(text) && text;
      },
      BOOTED_MS,
    );
    const [, seconds] = /finished at .* Up ([\d.]+) seconds/.exec(console) ?? [];
    t.diagnostic(`cloud-init was done ${seconds} s after the kernel began`);
    assert.match(console, /Datasource DataSourceNoCloud/);
  });
});

/** The document's fragment, completed by what every guest needs: a name, memory and a disk to boot from. */
async function manifest(): Promise<string> {
  const fragment: unknown = parse((await readFile(EXAMPLE, "utf8")).replace("kind: VM\n", ""));
  assert.ok(isJsonObject(fragment) && isJsonObject(fragment["spec"]));
  const { domain, volumes, ...spec } = fragment["spec"];
  assert.ok(isJsonObject(domain) && isJsonObject(domain["devices"]) && Array.isArray(volumes));
  const [seed] = volumes;
  const root = { name: "root", disk: { bus: "virtio" } };
  const disks = [root, { name: "seed", disk: { bus: "virtio" } }];
  return stringify({
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name: NAME },
    spec: {
      ...spec,
      terminationGracePeriodSeconds: 0,
      domain: { memory: { guest: "512Mi" }, devices: { ...domain["devices"], rng: {}, disks } },
      volumes: [
        { name: "root", containerDisk: { image: DEBIAN_IMAGE } },
        { ...(isJsonObject(seed) ? seed : {}), name: "seed" },
      ],
    },
  });
}

/** What the guest's agent says, out of the record of its pod. */
async function agentAddresses(host: TestHost): Promise<readonly string[]> {
  const { podUid } = await host.guest(NAME);
  const record: unknown = JSON.parse(await readFile(join(host.dataDir, "pods", `${podUid}.json`), "utf8"));
  const said = isJsonObject(record) && isJsonObject(record["agent"]) ? record["agent"]["said"] : undefined;
  const interfaces = isJsonObject(said) && Array.isArray(said["interfaces"]) ? said["interfaces"] : [];
  return interfaces.flatMap((nic: unknown) =>
    isJsonObject(nic) && Array.isArray(nic["addresses"]) ? nic["addresses"].map(String) : [],
  );
}
