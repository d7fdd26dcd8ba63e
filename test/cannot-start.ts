import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ImageStore } from "../src/host/images/store.ts";
import { BLANK_IMAGE, blankManifest, makeBlankImage } from "./blank-guest.ts";
import type { TestHost } from "./daemon.ts";
import { type FailingNetwork, failingNetwork } from "./failing-network.ts";
import { guestManifest } from "./manifests.ts";
import { smallDisk } from "./small-disk.ts";

/** What the lab's daemon gives a CNI plugin, in seconds: enough for a sound one on a busy machine. */
const CNI_TIMEOUT = "5";

/** A daemon whose machine can be broken and mended. */
export interface Lab {
  readonly host: TestHost;
  readonly network: FailingNetwork;
  readonly images: ImageStore;
}

export interface Breakage {
  /** Takes the cause away. */
  readonly mend: () => Promise<unknown>;
  /** Takes away what the test had made for it, once the VMI is gone. */
  readonly clear?: () => Promise<unknown>;
}

/** One way in which a VMI cannot start. */
export interface CannotStart {
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

/** Without them these VMIs are refused before they could fail to start. */
const OPEN_GATE = `apiVersion: kubevirt.io/v1
kind: KubeVirt
metadata: {name: kubevirt}
spec:
  configuration:
    developerConfiguration: {featureGates: [PasstBinding, NetworkDevicesWithDRA]}
    network: {binding: {own: {sidecarImage: "registry.example/own:1"}}}
`;

/** A link for macvlans: unlike CNI's bridge they leave nothing. */
const withLower =
  (name: string) =>
  async ({ host }: Lab): Promise<Breakage> => {
    await host.run(["ip", "link", "add", name, "type", "veth", "peer", "name", `${name}p`]);
    for (const end of [`${name}p`, name]) await host.run(["ip", "link", "set", end, "addrgenmode", "none", "up"]);
    return { mend: () => Promise.resolve(), clear: () => host.run(["ip", "link", "del", name]) };
  };

const bridged = (name: string, network: Readonly<Record<string, unknown>>): string =>
  blankManifest({ name, binding: { bridge: {} }, spec: { networks: [{ name: "default", ...network }] } });

const definition = (name: string, config: Readonly<Record<string, unknown>>): string => `apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: ${name}, namespace: default}
spec: {config: '${JSON.stringify(config)}'}
`;

/** The ways that are known. */
export const waysNotToStart: readonly CannotStart[] = [
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
    says: [/"hangs"/, /did not answer within 5 s and was killed/, /--cni-timeout/],
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
      await host.kubectlOk(["wait", "--for=condition=Ready", "vmi/taker", "--timeout=60s"]);
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
    what: "the guest's own network overlaps the pod's",
    code: "PB4003",
    says: [
      /vmNetworkCIDR "10\.0\.0\.0\/8".*overlaps the pod's own network/,
      /Place: spec\.networks\[0\]\.pod\.vmNetworkCIDR/,
      /such as 172\.31\.242\.0\/24|such as 10\.0\.2\.0\/24/,
    ],
    manifest: (name) => blankManifest({ name, pod: { vmNetworkCIDR: "10.0.0.0/8" } }),
  },
  {
    what: "the guest asks for more memory than there is",
    code: "PB5056",
    says: [/cannot set up guest memory/, /Ask for less memory in domain\.memory\.guest/],
    manifest: (name) => blankManifest({ name, memory: "64Ti" }),
  },
  {
    what: "the node has too few processors for vCPUs of their own",
    code: "PB5080",
    says: [/200 processors of its own/, /Place: spec\.domain\.cpu\.dedicatedCpuPlacement/, /Ask for fewer vCPUs/],
    manifest: (name) => blankManifest({ name, domain: { cpu: { sockets: 200, dedicatedCpuPlacement: true } } }),
  },
  {
    what: "the binding plugin needs a sidecar of its own",
    code: "PB4026",
    says: [
      /spec\.domain\.devices\.interfaces\[0\]/,
      /"own" has the sidecar image registry\.example\/own:1, which runs in a pod of Kubernetes alone/,
      /Run the VM on Kubernetes, or use a plugin/,
    ],
    manifest: (name) => `${OPEN_GATE}---\n${blankManifest({ name, binding: { binding: { name: "own" } } })}`,
  },
  {
    what: "this version cannot connect the network",
    code: "PB4021",
    says: [
      /spec\.domain\.devices\.interfaces\[0\]/,
      /resourceClaim network "default"/,
      /Use a pod, multus or genie network/,
    ],
    manifest: (name) =>
      `${OPEN_GATE}---\n${blankManifest({
        name,
        binding: { sriov: {} },
        spec: {
          networks: [{ name: "default", resourceClaim: { claimName: "nics", requestName: "one" } }],
          resourceClaims: [{ name: "nics", resourceClaimName: "nics" }],
        },
      })}`,
  },
  {
    what: "a NetworkAttachmentDefinition is missing",
    code: "PB3030",
    says: [/no NetworkAttachmentDefinition default\/late-lan/, /Apply it; the VM starts by itself then/],
    manifest: (name) => bridged(name, { multus: { networkName: "late-lan" } }),
    breaks: async (lab) => ({
      ...(await withLower("late0")(lab)),
      mend: () =>
        lab.host.kubectlOk(["apply", "-f", "-"], definition("late-lan", { type: "macvlan", master: "late0" })),
    }),
    recovers: true,
  },
  {
    what: "a NetworkAttachmentDefinition cannot be read",
    code: "PB3004",
    says: [/NetworkAttachmentDefinition default\/odd/, /has no "type"/, /bridge/],
    manifest: (name) => `${definition("odd", { mtu: 1400 })}---\n${bridged(name, { multus: { networkName: "odd" } })}`,
  },
  {
    what: "a default network gives no address",
    code: "PB2708",
    breaks: withLower("bare0"),
    says: [/default network default\/bare gave the pod no address/, /ipam, such as host-local/],
    manifest: (name) =>
      `${definition("bare", { type: "macvlan", master: "bare0" })}---\n${bridged(name, { multus: { networkName: "bare", default: true } })}`,
  },
  {
    what: "Genie's configuration does not come first",
    code: "PB2704",
    says: [/asks CNI-Genie for flannel/, /10-patchbay\.conflist, which is not Genie's/, /00-genie\.conf/],
    manifest: (name) => bridged(name, { genie: { networkName: "flannel" } }),
  },
  {
    what: "an annotation asks for networks that cannot be understood",
    code: "PB3031",
    says: [/"Lan" does not name a definition/, /k8s\.v1\.cni\.cncf\.io\/networks/, /mend or remove/],
    manifest: (name) =>
      blankManifest({ name }).replace("metadata:", "metadata:\n  annotations: {k8s.v1.cni.cncf.io/networks: Lan}"),
  },
  {
    what: "no node takes the VMI",
    code: "PB6104",
    says: [/labels disk=ssd/, /Correct spec\.nodeSelector, label a node/],
    manifest: (name) => blankManifest({ name, spec: { nodeSelector: { disk: "ssd" } } }),
  },
];

/** Brings the daemon of a host up, sound. */
export async function makeLab(host: TestHost): Promise<Lab> {
  const network = await failingNetwork(host);
  const images = await makeBlankImage(join(host.dataDir, "images"));
  await host.up([...network.upArguments, "--cni-timeout", CNI_TIMEOUT]);
  return { host, network, images };
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
