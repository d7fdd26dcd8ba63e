import assert from "node:assert/strict";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { ImageStore } from "../../src/host/images/store.ts";
import { BLANK_IMAGE, blankManifest, makeBlankImage } from "../blank-guest.ts";
import { eventually, TestHost } from "../daemon.ts";
import { type FailingNetwork, failingNetwork } from "../failing-network.ts";
import { namespacesOf, type Traces, tracesOf } from "../guest/traces.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { smallDisk } from "../small-disk.ts";

/** The daemon that the rows share. */
interface Lab {
  readonly host: TestHost;
  readonly network: FailingNetwork;
  readonly images: ImageStore;
}

interface Breakage {
  /** Takes the cause away. */
  readonly mend: () => Promise<unknown>;
  /** Takes away what the test had made for it, once the VMI is gone. */
  readonly clear?: () => Promise<unknown>;
}

/** One way in which a VMI cannot start. */
interface Row {
  readonly what: string;
  /** The reason of `Synchronized=False` and of the event. */
  readonly code: string;
  /** What the sentence must have: the place, and the cure. */
  readonly says: readonly RegExp[];
  readonly manifest?: (name: string) => string;
  /** Makes it so that a VMI cannot start. */
  readonly breaks?: (lab: Lab) => Promise<Breakage>;
  /** True where the VMI comes up by itself once the cause is mended. */
  readonly recovers?: boolean;
}

const plugin =
  (name: string) =>
  async ({ network }: Lab): Promise<Breakage> => {
    await network.endingWith(name);
    return { mend: network.sound };
  };

const rows: readonly Row[] = [
  {
    what: "an image that a containerDisk names is missing",
    code: "PB5001",
    says: [/"?late:1"? is not in the store/, /patchbay image import late:1 FILE/],
    manifest: (name) => blankManifest({ name, image: "late:1" }),
    breaks: ({ images }) => Promise.resolve({ mend: () => images.tag(BLANK_IMAGE, "late:1") }),
    recovers: true,
  },
  {
    what: "an image that kernelBoot names is missing",
    code: "PB5001",
    says: [/patchbay\/guest:latest is not in the store/, /patchbay image build-guest/],
    manifest: (name) => guestManifest({ name }),
  },
  {
    what: "an image in the store is damaged",
    code: "PB5002",
    says: [/was changed in the store/, /frail:1/, /patchbay image rm frail:1/],
    manifest: (name) => blankManifest({ name, image: "frail:1" }),
    breaks: damagedImage,
    recovers: true,
  },
  {
    what: "a CNI plugin's binary is missing",
    code: "PB3006",
    says: [/"bridge" is not in the folder \S+\/lab\/bin/, /--cni-bin-dir|apt-get install/],
    breaks: async ({ network }) => {
      await network.plugin("bridge", false);
      return { mend: () => network.plugin("bridge", true) };
    },
    recovers: true,
  },
  {
    what: "there is no CNI configuration",
    code: "PB3001",
    says: [/\S+\/lab\/net\.d has no CNI configuration/, /--cni-conf-dir/],
    breaks: async ({ network }) => {
      await network.none();
      return { mend: network.sound };
    },
    recovers: true,
  },
  {
    what: "the CNI configuration is no JSON",
    code: "PB3003",
    says: [/10-patchbay\.conflist:2:1/, /not valid JSON/, /Mend the JSON/],
    breaks: async ({ network }) => {
      await network.text('{"cniVersion": "1.0.0",\n');
      return { mend: network.sound };
    },
  },
  {
    what: "the CNI configuration has no plugins",
    code: "PB3004",
    says: [/10-patchbay\.conflist/, /Give "plugins" a list/],
    breaks: async ({ network }) => {
      await network.text('{"cniVersion": "1.0.0", "name": "lab", "plugins": []}');
      return { mend: network.sound };
    },
  },
  {
    what: "a CNI plugin answers an error",
    code: "PB3012",
    says: [/"refuses"/, /vlan 4095 is reserved/, /Place: \S+10-patchbay\.conflist/, /Mend the fields/],
    breaks: plugin("refuses"),
    recovers: true,
  },
  {
    what: "a CNI plugin crashes",
    code: "PB3010",
    says: [/killed by SIGSEGV/, /It said: out of cheese\./, /Place: \S+\/lab\/bin\/dies/],
    breaks: plugin("dies"),
  },
  {
    what: "a CNI plugin answers what is no result",
    code: "PB3009",
    says: [/"hello"/, /Place: \S+\/lab\/bin\/babbles/, /Install a plugin/],
    breaks: plugin("babbles"),
  },
  {
    what: "a CNI plugin hangs",
    code: "PB3008",
    says: [/"hangs"/, /did not answer within 2 s and was killed/, /--cni-timeout/],
    breaks: plugin("hangs"),
    recovers: true,
  },
  {
    what: "the pod network has no free address",
    code: "PB3018",
    says: [/no free address/, /Place: \S+10-patchbay\.conflist/, /give it a larger subnet/],
    breaks: async ({ host, network }) => {
      await network.tiny();
      await host.kubectlOk(["apply", "-f", "-"], blankManifest({ name: "taker" }));
      await isReady(host, "taker");
      return { mend: () => host.kubectlOk(["delete", "vmi", "taker"]) };
    },
    recovers: true,
  },
  {
    what: "the disk of the pods' records is full",
    code: "PB6107",
    says: [/pods\/\S+\.json cannot be written: ENOSPC/, /Free space/],
    breaks: ({ host }) => full(join(host.dataDir, "pods")),
    recovers: true,
  },
  {
    what: "the disk of the guests' disks is full",
    code: "PB5007",
    says: [/no space left on the disk: \S+\/guests/, /Free some space/],
    breaks: ({ host }) => full(join(host.dataDir, "guests")),
    recovers: true,
  },
  {
    what: "the disk of CNI's records is full",
    code: "PB3022",
    says: [/cni\/results\/\S+ cannot be written: ENOSPC/, /Free space/],
    breaks: ({ host }) => full(join(host.dataDir, "cni", "results")),
    recovers: true,
  },
  {
    what: "QEMU has no such machine type",
    code: "PB5050",
    says: [/pc-q35-99\.9/, /Place: spec\.domain\.machine\.type/, /use q35 or one of/],
    manifest: (name) => blankManifest({ name, domain: { machine: { type: "pc-q35-99.9" } } }),
  },
  {
    what: "the guest asks for more memory than there is",
    code: "PB5056",
    says: [/cannot set up guest memory/, /Ask for less memory in domain\.memory\.guest/],
    manifest: (name) => blankManifest({ name, memory: "64Ti" }),
  },
  {
    what: "no node takes the VMI",
    code: "PB6104",
    says: [/labels disk=ssd/, /Correct spec\.nodeSelector, label a node/],
    manifest: (name) => blankManifest({ name, spec: { nodeSelector: { disk: "ssd" } } }),
  },
];

test("a VMI that cannot start says why at once, leaves nothing half-made, and starts when the cause is mended", {
  timeout: 280_000,
}, async (t) => {
  if (!needs(t, "daemon", "kubectl")) return;
  const host = await TestHost.make(t);
  const network = await failingNetwork(host);
  const images = await makeBlankImage(join(host.dataDir, "images"));
  await host.up([...network.upArguments, "--cni-timeout", "2"]);
  const lab = { host, network, images };
  for (const [index, row] of rows.entries()) {
    await t.test(row.what, (inner) => cannotStart(inner, lab, row, `vm${index}`));
  }
  await t.test("it is tried again after growing waits, and told once", () => patience(lab));
  await t.test("a slow plugin is named while it is waited for", () => slowPlugin(lab));
});

async function cannotStart(t: TestContext, lab: Lab, row: Row, name: string): Promise<void> {
  const { host } = lab;
  const before = await traces(host);
  const breakage = await row.breaks?.(lab);
  const undo = [breakage?.mend, breakage?.clear, lab.network.sound];
  t.after(async () => {
    for (const step of undo.splice(0)) await step?.();
  });
  const broken = await traces(host);
  await host.kubectlOk(["apply", "-f", "-"], (row.manifest ?? ((vmi) => blankManifest({ name: vmi })))(name));
  const message = await eventually(
    `${name} says ${row.code}`,
    async () =>
      (await condition(host, name, "Synchronized", "reason")) === row.code &&
      (await condition(host, name, "Synchronized", "message")),
    20_000,
  );
  for (const part of row.says) assert.match(message, part);
  assert.equal(await condition(host, name, "Ready", "status"), row.code === "PB6104" ? "" : "False");
  await eventually(
    "the event",
    async () => (await warnings(host, name)).some((event) => event === `${row.code} ${message}`),
    20_000,
  );
  const pods = await podUids(host, name);
  await eventually(
    "nothing half-made",
    async () => {
      assert.equal(await condition(host, name, "Ready", "status"), row.code === "PB6104" ? "" : "False");
      return same(await traces(host), broken) && namespacesOf(pods).length === 0;
    },
    30_000,
  );

  await undo.shift()?.();
  if (row.recovers === true) {
    await isReady(host, name);
    assert.ok(!same(await traces(host), broken), "a guest that runs is seen, so one half-made would be");
    assert.equal(namespacesOf(pods).length, 1);
  }
  await host.kubectlOk(["delete", "vmi", name, "--timeout=60s"]);
  for (const step of undo.splice(0)) await step?.();
  await eventually("nothing left", async () => same(await traces(host), before) && namespacesOf(pods).length === 0);
}

/** Waits double, but for a quarter that is drawn at random; however often it is tried, there is one event. */
async function patience({ host }: Lab): Promise<void> {
  await host.kubectlOk(["apply", "-f", "-"], blankManifest({ name: "patient", image: "never:1" }));
  const [uid = ""] = await eventually("its pod", async () => {
    const uids = await podUids(host, "patient");
    return uids.length > 0 && uids;
  });
  const waits = await eventually("five tries", async () => {
    const lines = (await readFile(join(host.dataDir, "daemon.log"), "utf8")).split("\n");
    const seen = lines.flatMap((line) => (line.includes(uid) ? [/"waitMs":(\d+)/.exec(line)?.[1] ?? []] : [])).flat();
    return seen.length >= 5 && seen.slice(0, 5).map(Number);
  });
  for (const [index, wait] of waits.entries()) {
    const whole = 100 * 2 ** index;
    assert.ok(wait >= whole * 0.75 && wait <= whole, `wait ${index} is ${wait} ms`);
  }
  assert.equal((await warnings(host, "patient")).length, 1);
  await host.kubectlOk(["delete", "vmi", "patient"]);
}

async function slowPlugin({ host, network }: Lab): Promise<void> {
  await network.endingWith("hangs");
  await host.kubectlOk(["apply", "-f", "-"], blankManifest({ name: "waiting" }));
  await eventually(
    "Ready tells of the wait",
    async () => (await condition(host, "waiting", "Ready", "reason")) === "PB3028",
  );
  const message = (await warnings(host, "waiting")).find((event) => event.startsWith("PB3028 "));
  assert.match(message ?? "", /"hangs" .* has not answered yet; it is given 2 s/);
  // Deleting it calls the plugin off.
  await host.kubectlOk(["delete", "vmi", "waiting", "--timeout=60s"]);
  await network.sound();
}

async function damagedImage({ host, images }: Lab): Promise<Breakage> {
  const blobs = join(host.dataDir, "images", "blobs", "sha256");
  const before = new Set(await readdir(blobs));
  const source = join(host.dataDir, "frail.img");
  await writeFile(source, Buffer.alloc(1 << 20, 7));
  const make = (): Promise<unknown> => images.create("frail:1", [{ path: "disk/frail.img", source }]);
  await make();
  const whole = new Map<string, Buffer>();
  for (const name of (await readdir(blobs)).filter((blob) => !before.has(blob))) {
    whole.set(name, await readFile(join(blobs, name)));
    const damaged = Buffer.from(whole.get(name) ?? []);
    damaged.fill(0x21, 40, 41);
    await writeFile(join(blobs, name), damaged);
  }
  await rm(source);
  return {
    mend: async () => {
      for (const [name, bytes] of whole) await writeFile(join(blobs, name), bytes);
    },
  };
}

/** A small disk in the place of a folder, full to the last byte. */
async function full(folder: string): Promise<Breakage> {
  const disk = await smallDisk(folder, 4 << 20);
  await disk.fill();
  return { mend: disk.free, clear: disk.unmount };
}

async function isReady(host: TestHost, name: string): Promise<void> {
  await eventually(`${name} is ready`, async () => (await condition(host, name, "Ready", "status")) === "True", 60_000);
}

function condition(host: TestHost, name: string, type: string, field: string): Promise<string> {
  return host.value("vmi", name, `.status.conditions[?(@.type=="${type}")].${field}`);
}

/** `REASON MESSAGE` of each Warning of a VMI. */
async function warnings(host: TestHost, name: string): Promise<readonly string[]> {
  const text = await host.kubectlOk(["get", "events", "-o", "json"]);
  const { items } = JSON.parse(text) as {
    readonly items: readonly {
      readonly type: string;
      readonly reason: string;
      readonly message: string;
      readonly involvedObject: { readonly name: string };
    }[];
  };
  return items
    .filter(({ type, involvedObject }) => type === "Warning" && involvedObject.name === name)
    .map(({ reason, message }) => `${reason} ${message}`);
}

async function podUids(host: TestHost, name: string): Promise<readonly string[]> {
  const uids = await host.kubectlOk([
    "get",
    "pods",
    "-l",
    `vm.kubevirt.io/name=${name}`,
    "-o",
    "jsonpath={.items[*].metadata.uid}",
  ]);
  return uids.split(" ").filter((uid) => uid !== "");
}

/** Without what the test itself changes, and what the store unpacks once for every guest. */
async function traces(host: TestHost): Promise<Traces> {
  const all = await tracesOf(host);
  const files = (all["files"] ?? []).filter((file) => !/^(lab|images)\/|\.fill$/.test(file));
  return { ...all, files };
}

function same(one: Traces, other: Traces): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
