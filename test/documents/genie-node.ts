import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestHost } from "../daemon.ts";

/** What the pages show as `99-ovs-cni.conf`. */
const OVS = { cniVersion: "0.3.1", type: "ovs", bridge: "br1", vlan: 100 };

/**
 * A node as the pages' example of CNI-Genie wants it, with what our own example names beside it: Genie's configuration
 * first, flannel's, calico's and the pages' own for Open vSwitch. Gives the daemon's arguments.
 *
 * A plugin `calico` is no part of Debian; its place is taken by the plugin bridge.
 */
export async function genieNode(host: TestHost): Promise<readonly string[]> {
  const [confDir, plugins] = [join(host.dataDir, "net.d"), join(host.dataDir, "plugins")];
  const [leases, subnetFile] = [join(host.dataDir, "leases"), join(host.dataDir, "subnet.env")];
  await mkdir(confDir);
  await mkdir(plugins);
  await symlink("/usr/lib/cni/bridge", join(plugins, "calico"));
  await writeFile(
    subnetFile,
    "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.3.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
  );
  const version = { cniVersion: "0.3.1" };
  const delegate = { bridge: "cbr0", isDefaultGateway: true, ipam: { dataDir: leases } };
  const ipam = { type: "host-local", dataDir: leases, subnet: "10.70.0.0/24", routes: [{ dst: "0.0.0.0/0" }] };
  const files = {
    "00-genie.conf": { ...version, name: "k8s-pod-network", type: "genie", default_plugin: "flannel" },
    "10-flannel.conf": { ...version, name: "cbr0", type: "flannel", subnetFile, delegate },
    "20-calico.conf": { ...version, name: "calico", type: "calico", bridge: "cali0", isGateway: true, ipam },
    "99-ovs-cni.conf": OVS,
  };
  for (const [file, config] of Object.entries(files)) await writeFile(join(confDir, file), JSON.stringify(config));
  return ["--cni-conf-dir", confDir, "--cni-bin-dir", `/usr/lib/cni:${plugins}`];
}
