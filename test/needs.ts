import { spawnSync } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { lacking } from "../src/host/setup/check.ts";
import type { Need } from "../src/host/setup/need.ts";
import { needs as table } from "../src/host/setup/needs.ts";
import { look } from "../src/host/setup/probes.ts";
import { isKubectlHere, kubectlVersions } from "./kubectls.ts";
import { isOpenVSwitchHere } from "./openvswitch.ts";

/** How the reason of every skip made here begins. */
export const skipMark = "needs ";

/** Why something is not here; undefined when it is. */
type Missing = string | undefined;

/** The first thing of the setup table that is not found, among those whose names pass. */
function fromTable(wanted: (need: Need) => boolean): Missing {
  const found = table.filter(wanted).map((need) => ({ need, sighting: look(need.probe) }));
  if (found.length === 0) throw new Error("test/needs.ts names a need that src/host/setup/needs.ts does not have");
  const first = found.find(({ sighting }) => sighting.state !== "found");
  if (first === undefined) return undefined;
  const { need, sighting } = first;
  return `${need.name}: ${sighting.state === "found" || sighting.because === undefined ? "not found" : sighting.because}`;
}

const named =
  (...names: readonly string[]) =>
  (): Missing =>
    names.map((name) => fromTable((need) => need.name === name)).find((missing) => missing !== undefined);

const root = (): Missing => (process.getuid?.() === 0 ? undefined : "the tests run as an ordinary user");

/** Patient: a test that is skipped because a server was slow fails the run. */
function answers(url: string): Missing {
  const script = `fetch(process.argv[1], { signal: AbortSignal.timeout(60000) }).then(
    (answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))`;
  const run = spawnSync(process.execPath, ["-e", script, url], { stdio: "ignore", timeout: 90_000 });
  return run.status === 0 ? undefined : `${url} does not answer`;
}

function npmRegistry(): Missing {
  const run = spawnSync("npm", ["config", "get", "registry"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  if (run.status !== 0) return "npm is not in PATH";
  return answers(new URL("yaml", run.stdout.trim()).href);
}

/** The first of apt's sources, asked by apt's own means and so through its proxies. */
function debianMirror(): Missing {
  const targets = spawnSync(
    "apt-get",
    ["indextargets", "--no-release-info", "--format", "$(SITE)/dists/$(RELEASE)/Release"],
    { encoding: "utf8" },
  );
  const first = targets.status === 0 ? targets.stdout.split("\n")[0]?.trim() : undefined;
  if (first === undefined || first === "") return "apt-get names no source of packages";
  const folder = mkdtempSync(join(tmpdir(), "patchbay-mirror-"));
  try {
    const file = join(folder, "Release");
    const run = spawnSync("/usr/lib/apt/apt-helper", ["download-file", first, file], {
      stdio: "ignore",
      timeout: 90_000,
    });
    return run.status === 0 ? undefined : `${first} cannot be fetched`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A command of root's that succeeds where the kernel has the thing, tried in a network namespace of its own. */
function inEmptyNetns(what: string, command: string): Missing {
  const run = spawnSync("unshare", ["--net", "sh", "-c", command], { encoding: "utf8" });
  return run.status === 0 ? undefined : `${what}: ${run.stderr.trim() || "not found"}`;
}

/** Overlay mounts, tried in a mount namespace of its own. */
function overlay(): Missing {
  const attempt = `mount -t tmpfs t /mnt && cd /mnt && mkdir u w r && mount -t overlay o -o lowerdir=/etc,upperdir=/mnt/u,workdir=/mnt/w r`;
  const run = spawnSync("unshare", ["--mount", "--propagation", "private", "sh", "-c", attempt], { encoding: "utf8" });
  return run.status === 0 ? undefined : run.stderr.trim() || "an overlay cannot be mounted";
}

/** What tests may need. Each looks for the thing itself. */
const probes = {
  root,
  netns: named("network namespaces", "ip"),
  tun: named("/dev/net/tun", "tap devices"),
  veth: named("veth"),
  bridge: named("bridge", "nftables for bridges"),
  macvtap: named("macvlan and macvtap", "nftables forwarding of frames"),
  /** What a tagged frame passes: a link of a VLAN, and a bridge that keeps VLANs apart. */
  vlan: (): Missing => named("VLAN")() ?? inEmptyNetns("bridge VLANs", "ip link add b0 type bridge vlan_filtering 1"),
  ipvlan: named("ipvlan", "nftables forwarding of frames"),
  dummy: (): Missing => inEmptyNetns("dummy links", "ip link add d0 type dummy"),
  /** The kernel's own datapath; the daemons are a need of their own. */
  openvswitchDatapath: (): Missing => inEmptyNetns("Open vSwitch's datapath", "genl ctrl get name ovs_datapath"),
  nft: named("libnftables.so.1", "nft", "nftables nat, IPv4", "nftables nat, IPv6"),
  qemu: named("qemu-system-x86_64", "qemu-img", "SeaBIOS", "boot ROM for -kernel", "patchbay-qemu"),
  efi: named("EFI firmware"),
  cni: (): Missing => fromTable((need) => need.name.startsWith("cni ")) ?? named("iptables")(),
  passt: named("passt"),
  skopeo: named("skopeo"),
  busybox: named("busybox (static)", "cpio"),
  kubectl: named("kubectl"),
  /** Each version of kubectl that is promised, whichever is in PATH. They come from Debian's mirror, once. */
  kubectls: (): Missing =>
    kubectlVersions.every(isKubectlHere) ? undefined : (root() ?? named("apt-get", "dpkg-deb")() ?? debianMirror()),
  /** Open vSwitch's daemons. They come from Debian's mirror, once. */
  openvswitch: (): Missing =>
    isOpenVSwitchHere() ? undefined : (root() ?? named("apt-get", "dpkg-deb")() ?? debianMirror()),
  /** Building the test guest: its tools. Its packages come from Debian's mirror, once. */
  guestImage: (): Missing => root() ?? fromTable((need) => need.neededBy.includes("image build-guest")),
  /** Everything that `patchbay up` needs. */
  daemon: (): Missing => {
    const first = lacking(table.filter((need) => need.neededBy.includes("up")).map(seen))[0];
    return root() ?? (first === undefined ? undefined : `${first.need.name} is missing`);
  },
  /** That the number of huge pages may be changed, for a while. */
  hugepages: (): Missing => {
    const setting = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
    try {
      accessSync(setting, constants.W_OK);
      return root();
    } catch {
      return `${setting} cannot be written`;
    }
  },
  overlay,
  registry: npmRegistry,
  debianMirror,
} as const satisfies Record<string, () => Missing>;

function seen(need: Need): { readonly need: Need; readonly sighting: ReturnType<typeof look> } {
  return { need, sighting: look(need.probe) };
}

/** What a test can ask for. */
export type TestNeed = keyof typeof probes;

const known = new Map<TestNeed, Missing>();

function missing(name: TestNeed): Missing {
  if (!known.has(name)) known.set(name, probes[name]());
  return known.get(name);
}

/**
 * Skips the test where the machine lacks something, and answers whether the test may go on:
 * `if (!needs(t, "root", "netns")) return;`. The only way in which a test may be skipped.
 */
export function needs(t: TestContext, ...names: readonly [TestNeed, ...TestNeed[]]): boolean {
  for (const name of names) {
    const why = missing(name);
    if (why === undefined) continue;
    t.skip(`${skipMark}${name}: ${why}`);
    return false;
  }
  return true;
}
