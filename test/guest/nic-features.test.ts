// What an interface asks for, as the guest finds it in its own /sys: model, place on PCI, index, MAC, queues, link, boot order.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { eventually, type Outcome, TestHost } from "../daemon.ts";
import { vmManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { definitions, hostLocal, networkStatusOf, ready } from "./attachments.ts";
import { type GuestShell, openShell } from "./guest-shell.ts";

/** Each model with the PCI vendor and device that the guest must find, its driver, and a MAC in one of the spellings. */
const models = [
  { model: "virtio", id: "1af4:1041", driver: "virtio_net", mac: "02:00:00:00:61:01", queues: 2 },
  { model: "e1000", id: "8086:100e", driver: "e1000", mac: "02-00-00-00-61-02", queues: 1 },
  { model: "e1000e", id: "8086:10d3", driver: "e1000e", mac: "0200.0000.6103", queues: 1 },
  { model: "ne2k_pci", id: "10ec:8029", driver: "ne2k-pci", mac: "02:00:00:00:61:04", queues: 1 },
  { model: "pcnet", id: "1022:2000", driver: "pcnet32", mac: "02-00-00-00-61-05", queues: 1 },
  { model: "rtl8139", id: "10ec:8139", driver: "8139cp", mac: "02:00:00:00:61:06", queues: 1 },
] as const;

/** What else each NIC asks for. */
const wishes: Readonly<Record<string, object>> = {
  virtio: { acpiIndex: 101, bootOrder: 3 },
  e1000: { pciAddress: "0000:00:10.0", acpiIndex: 8, bootOrder: 1 },
  e1000e: { pciAddress: "0000:81:00.0", acpiIndex: 9 },
  ne2k_pci: { acpiIndex: 7 },

  pcnet: { state: "down", bootOrder: 2 },
};

const canonical = (mac: string): string =>
  mac
    .replace(/[^0-9a-f]/g, "")
    .match(/../g)
    ?.join(":") ?? "";

test("the features of NICs, each seen from inside the guest", { timeout: 600_000 }, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl")) return;
  const host = await TestHost.make(t);
  await host.useGuestImage();
  await host.usePodNetwork([4, 6]);
  await host.up();
  await host.kubectlOk(
    ["apply", "-f", "-"],
    definitions(
      ["default", "bare", { cniVersion: "0.4.0", type: "bridge", bridge: "bare0" }],
      [
        "default",
        "tuned",
        {
          cniVersion: "0.4.0",
          name: "tuned",
          plugins: [
            { type: "ptp", ipam: hostLocal(host, ["10.81.0.0/24"]) },
            { type: "tuning", capabilities: { mac: true } },
          ],
        },
      ],
    ),
  );
  await host.kubectlOk(
    ["apply", "-f", "-"],
    vmManifest(
      {
        name: "models",
        domain: { cpu: { cores: 2 } },
        devices: {
          networkInterfaceMultiqueue: true,
          interfaces: [
            ...models.map(({ model, mac }) => ({
              name: model,
              model,
              macAddress: mac,
              ...(model === "virtio" ? { masquerade: {} } : { bridge: {} }),
              ...wishes[model],
            })),
            { name: "tuned", bridge: {}, macAddress: "02-00-00-00-61-07" },
          ],
        },
        spec: {
          networks: [
            ...models.map(({ model }) => ({
              name: model,
              ...(model === "virtio" ? { pod: {} } : { multus: { networkName: "bare" } }),
            })),
            { name: "tuned", multus: { networkName: "tuned" } },
          ],
        },
      },
      "Always",
    ),
  );
  await ready(host, "models");
  const shell = await openShell(host, "models");
  const step = (name: string, act: () => Promise<void>): Promise<void> =>
    t.test(name, host.explained<TestContext>(act));

  const seen = await nicsIn(shell);
  const nic = (mac: string): GuestNicFacts => {
    const found = seen.find((one) => one.mac === canonical(mac));
    assert.ok(found !== undefined, `${mac} is not in the guest: ${JSON.stringify(seen)}`);
    return found;
  };

  await step(
    "S0.9 S0.10 S1.11 S1.12 S2.25 S2.26 S3.14 S3.15: row 61: each model is on the guest's PCI bus, with its driver and the MAC of the manifest, however that is written",
    () => {
      for (const { model, id, driver, mac, queues } of models) {
        const { device, driver: loaded, queues: pairs } = nic(mac);
        assert.deepEqual([device, loaded, pairs], [id, driver, String(queues)], model);
      }
      return Promise.resolve();
    },
  );

  await step("S2.28 S3.17: row 61: pciAddress is the guest's own, on bus 0 and on another", () => {
    assert.deepEqual([nic("02:00:00:00:61:02").pci, nic("02:00:00:00:61:03").pci], ["0000:00:10.0", "0000:81:00.0"]);
    return Promise.resolve();
  });

  await step(
    "row 61: acpiIndex is the index that the guest names the NIC by, but for places that ACPI does not describe",
    () => {
      assert.deepEqual([nic("02:00:00:00:61:01").acpiIndex, nic("02:00:00:00:61:04").acpiIndex], ["101", "7"]);
      // PB2510 warns of these: QEMU 7.2 does not describe their places. Where one shows here, mend that rule.
      assert.deepEqual([nic("02:00:00:00:61:02").acpiIndex, nic("02:00:00:00:61:03").acpiIndex], ["", ""]);
      return Promise.resolve();
    },
  );

  await step("bootOrder is the order in which the firmware is told to try the NICs", async () => {
    const order = await shell.ask("tr '\\000' '\\n' </sys/firmware/qemu_fw_cfg/by_name/bootorder/raw");
    const nics = order.split("\n").filter((line) => line.includes("ethernet@"));
    assert.equal(nics.length, 3, order);
    assert.match(nics[0] ?? "", /^\/pci@i0cf8\/ethernet@10\//);
  });

  await step("row 15: a link that is down has no carrier in the guest, the others have one", async () => {
    const carriers = async (): Promise<readonly string[]> =>
      (await nicsIn(shell)).flatMap(({ mac, carrier }) => (carrier === "1" ? [] : [mac]));
    await eventually("every other link's carrier", async () => (await carriers()).length === 1);
    assert.deepEqual(await carriers(), ["02:00:00:00:61:05"]);
  });

  await step("S0.6 S1.7 S2.4 S3.75: rows 15, 17, 43: each NIC's status, whole", async () => {
    const [first, ...others] = JSON.parse(await host.value("vmi", "models", ".status.interfaces"));
    const { ipAddress, ipAddresses, ...rest } = first;
    assert.deepEqual([ipAddresses.length, ipAddresses[0]], [2, ipAddress]);
    const secondary = (name: string, mac: string): object => ({
      name,
      mac,
      infoSource: "domain, multus-status",
      queueCount: 1,
      linkState: name === "pcnet" ? "down" : "up",
    });
    assert.deepEqual(rest, {
      ...secondary("virtio", "02:00:00:00:61:01"),
      infoSource: "domain",
      queueCount: 2,
      podInterfaceName: "eth0",
    });
    assert.deepEqual(
      others.map(({ podInterfaceName: _, ...one }: { readonly podInterfaceName: string }) => one),
      [
        ...models.slice(1).map(({ model, mac }) => secondary(model, canonical(mac))),
        {
          ...secondary("tuned", "02:00:00:00:61:07"),
          queueCount: 2,
          ipAddress: "10.81.0.2",
          ipAddresses: ["10.81.0.2"],
        },
      ],
    );
  });

  await step(
    "S2.8 S2.29 S2.31 S2.33 S3.6 S3.18 S3.19 S3.20: row 55: each spelling of a MAC reaches the CNI plugin, and the pod's side has another",
    async () => {
      const networks = (await networkStatusOf(host, "models")).slice(1);
      assert.deepEqual(
        networks.map(({ mac }) => mac),
        [...models.slice(1).map(({ mac }) => canonical(mac)), "02:00:00:00:61:07"],
      );
      const { netns } = await host.guest("models");
      const { stdout } = await host.run(["nsenter", `--net=${netns}`, "ip", "-o", "link"]);
      for (const line of stdout.split("\n").filter((text) => / [0-9a-z]+-nic@/.test(text)))
        assert.doesNotMatch(line, /link\/ether 02:00:00:00:61:/);
    },
  );
  const link = async (index: number, mac: string, state: "up" | "down"): Promise<void> => {
    const carrier = state === "up" ? "1" : "0";
    await eventually(`${mac} to be ${state} in the guest`, async () =>
      (await nicsIn(shell)).some((one) => one.mac === mac && one.carrier === carrier),
    );
    await eventually(
      `${mac} to be ${state} in the status`,
      async () => (await host.value("vmi", "models", `.status.interfaces[${index}].linkState`)) === state,
    );
  };
  const patched = (kind: string, at: string, index: number, state: string): Promise<Outcome> => {
    const path = `${at}/domain/devices/interfaces/${index}/state`;
    return host.kubectl([
      "patch",
      kind,
      "models",
      "--type=json",
      "-p",
      JSON.stringify([{ op: "add", path, value: state }]),
    ]);
  };

  await step("row 15: the VM's template flips links of its running guest, both ways, without a restart", async () => {
    for (const [index, state] of [
      [4, "up"],
      [1, "down"],
      [0, "down"],
    ] as const) {
      const outcome = await patched("vm", "/spec/template/spec", index, state);
      assert.equal(outcome.code, 0, outcome.stderr);
    }
    await link(4, "02:00:00:00:61:05", "up");
    await link(1, "02:00:00:00:61:02", "down");
    await link(0, "02:00:00:00:61:01", "down");
    assert.equal(await host.value("vm", "models", ".status.conditions[?(@.type=='RestartRequired')].status"), "");
    assert.equal((await patched("vm", "/spec/template/spec", 0, "up")).code, 0);
    await link(0, "02:00:00:00:61:01", "up");
  });

  await step("row 15: links stay as they are over the daemon's end, and what was asked meanwhile is done", async () => {
    await host.killDaemon();
    await host.up();
    await link(1, "02:00:00:00:61:02", "down");
    await link(4, "02:00:00:00:61:05", "up");
    assert.equal((await patched("vm", "/spec/template/spec", 1, "up")).code, 0);
    await link(1, "02:00:00:00:61:02", "up");
  });

  await step("row 15: of a running VMI nothing else may change, and no other state is taken", async () => {
    const misspelt = await patched("vmi", "/spec", 1, "Down");
    assert.match(misspelt.stderr, /PB2052: .*Did you mean "down"/);
    const unplugged = await patched("vmi", "/spec", 1, "absent");
    assert.match(unplugged.stderr, /PB2093: /);
  });
  await shell.close();
});

interface GuestNicFacts {
  readonly mac: string;
  /** Its address below /sys/bus/pci/devices. */
  readonly pci: string;
  /** PCI vendor and device. */
  readonly device: string;
  readonly driver: string;
  readonly queues: string;
  readonly carrier: string;
  readonly acpiIndex: string;
}

/** What a guest's /sys says of each NIC. */
async function nicsIn(shell: GuestShell): Promise<readonly GuestNicFacts[]> {
  const text = await shell.ask(
    [
      "for n in /sys/class/net/eth*; do d=$(readlink -f $n/device)",
      "case $d in */virtio*) d=$(dirname $d);; esac",
      "p=/sys/bus/pci/devices/$(basename $d); r=$(readlink -f $n/device/driver)",
      "echo $(cat $n/address) $(basename $p) $(cat $p/vendor):$(cat $p/device) $(basename $r) $(ls -d $n/queues/rx-* | wc -l)" +
        " $(cat $n/carrier) $(cat $p/acpi_index 2>/dev/null)",
      "done",
    ].join("; "),
  );
  return text.split("\n").map((line) => {
    const [mac = "", pci = "", device = "", driver = "", queues = "", carrier = "", acpiIndex = ""] = line.split(" ");
    return { mac, pci, device: device.replaceAll("0x", ""), driver, queues, carrier, acpiIndex };
  });
}
