import { chmod, mkdir, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { defaultConflist } from "../src/host/cni/default-network.ts";
import { DEFAULT_BIN_DIRS } from "../src/host/cni/plugins.ts";
import type { TestHost } from "./daemon.ts";

/** What a plugin of a pod network can do wrong. */
export type Misbehaving = "refuses" | "hangs" | "dies" | "babbles";

const SCRIPTS: Readonly<Record<Misbehaving, string>> = {
  refuses: `case $CNI_COMMAND in ADD) echo '{"cniVersion":"1.0.0","code":7,"msg":"vlan 4095 is reserved"}'; exit 1;; esac`,
  hangs: "case $CNI_COMMAND in ADD) exec sleep 600;; esac",
  dies: "case $CNI_COMMAND in ADD) echo 'out of cheese' >&2; kill -SEGV $$;; esac",
  babbles: "echo hello",
};

const CONFLIST = "10-patchbay.conflist";

type Conflist = { readonly plugins: readonly Readonly<Record<string, unknown>>[] } & Readonly<Record<string, unknown>>;

/** A pod network that can be broken and mended while a daemon runs: its configuration and its plugins lie in folders of their own. */
export interface FailingNetwork {
  /** For `patchbay up`. */
  readonly upArguments: readonly string[];
  readonly confDir: string;
  readonly binDir: string;
  /** Where host-local keeps the addresses that it has given out. */
  readonly leases: string;
  /** The embedded network as it should be. */
  sound(): Promise<void>;
  /** No configuration at all. */
  none(): Promise<void>;
  /** This text in place of the configuration. */
  text(text: string): Promise<void>;
  /** A chain that ends with such a plugin. */
  endingWith(plugin: string): Promise<void>;
  /** One address a family. */
  tiny(): Promise<void>;
  /** Takes a plugin's binary away, or brings it back. */
  plugin(name: string, there: boolean): Promise<void>;
}

/** The embedded network of the host's data folder, in a copy that can be broken. */
export async function failingNetwork(host: TestHost): Promise<FailingNetwork> {
  const [confDir, binDir] = [join(host.dataDir, "lab", "net.d"), join(host.dataDir, "lab", "bin")];
  const leases = join(host.dataDir, "cni", "host-local", "patchbay");
  await mkdir(confDir, { recursive: true });
  await mkdir(binDir, { recursive: true });
  for (const [name, script] of Object.entries(SCRIPTS)) {
    await writeFile(join(binDir, name), `#!/bin/sh\ncat >/dev/null\n${script}\n`);
    await chmod(join(binDir, name), 0o755);
  }
  const plugin = async (name: string, there: boolean): Promise<void> => {
    await rm(join(binDir, name), { force: true });
    const binary = await packaged(name);
    if (there) await symlink(binary, join(binDir, name));
  };
  for (const name of ["bridge", "host-local", "macvlan", "portmap"]) await plugin(name, true);
  const network = defaultConflist({ dataDir: host.dataDir }) as unknown as Conflist;
  const text = (conflist: string): Promise<void> => writeFile(join(confDir, CONFLIST), conflist);
  const write = (conflist: Conflist): Promise<void> => text(JSON.stringify(conflist, undefined, 2));
  await write(network);
  return {
    upArguments: ["--cni-conf-dir", confDir, "--cni-bin-dir", binDir],
    confDir,
    binDir,
    leases,
    sound: () => write(network),
    none: () => rm(join(confDir, CONFLIST)),
    text,
    endingWith: (type) => write({ ...network, plugins: [...network.plugins, { type }] }),
    tiny: () =>
      write({ ...network, plugins: network.plugins.map((one) => (one["type"] === "bridge" ? narrowed(one) : one)) }),
    plugin,
  };
}

async function packaged(name: string): Promise<string> {
  for (const dir of DEFAULT_BIN_DIRS) {
    if ((await readdir(dir).catch((): string[] => [])).includes(name)) return join(dir, name);
  }
  throw new Error(`the CNI plugin ${name} is not installed`);
}

/** The first address after the gateway's is the only one to be had. */
function narrowed(bridge: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const ipam = bridge["ipam"] as { readonly ranges: readonly (readonly { readonly gateway: string }[])[] };
  const ranges = ipam.ranges.map(([range]) => {
    const only = range?.gateway.replace(/1$/, "2");
    return [{ ...range, rangeStart: only, rangeEnd: only }];
  });
  return { ...bridge, ipam: { ...ipam, ranges } };
}
