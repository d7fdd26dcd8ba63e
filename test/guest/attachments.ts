import { join } from "node:path";
import { eventually, type TestHost } from "../daemon.ts";

/** NetworkAttachmentDefinitions, as a List. */
export function definitions(...given: readonly (readonly [namespace: string, name: string, config: object])[]): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "List",
    items: given.map(([namespace, name, config]) => ({
      apiVersion: "k8s.cni.cncf.io/v1",
      kind: "NetworkAttachmentDefinition",
      metadata: { namespace, name },
      spec: { config: JSON.stringify(config) },
    })),
  });
}

/** An `ipam` section of host-local whose leases lie in the data folder of a host, so that nothing of them outlives it. */
export function hostLocal(host: TestHost, subnets: readonly string[], routes: readonly string[] = []): object {
  return {
    type: "host-local",
    dataDir: leasesOf(host),
    ranges: subnets.map((subnet) => [{ subnet }]),
    routes: routes.map((dst) => ({ dst })),
  };
}

export function leasesOf(host: TestHost): string {
  return join(host.dataDir, "leases");
}

/** What the pod of a VMI says of its networks, as Multus writes it. */
export interface PodNetworkStatus {
  readonly name: string;
  readonly interface: string;
  readonly mac?: string;
  readonly ips?: readonly string[];
}

export async function networkStatusOf(host: TestHost, vmi: string): Promise<readonly PodNetworkStatus[]> {
  const key = "k8s\\.v1\\.cni\\.cncf\\.io/network-status";
  return JSON.parse(
    await eventually(`the networks of ${vmi}`, () =>
      host.kubectlOk([
        ...["get", "pod", "-l", `vm.kubevirt.io/name=${vmi}`],
        ...["-o", `jsonpath={.items[0].metadata.annotations.${key}}`],
      ]),
    ),
  );
}

/** The blocks of a guest's page, one a NIC, by the guest's name for it. */
export function nicsOf(page: string): ReadonlyMap<string, string> {
  const blocks = page.split(/^nic: /m).slice(1);
  return new Map(blocks.map((block) => [block.split("\n")[0] ?? "", block]));
}

/** The NIC of that MAC on a guest's page: its name in the guest and its block. */
export function nicOf(page: string, mac: string): { readonly name: string; readonly block: string } {
  for (const [name, block] of nicsOf(page)) if (block.includes(`mac: ${mac}\n`)) return { name, block };
  throw new Error(`no NIC has the MAC ${mac}:\n${page}`);
}

/** The link-local address that a guest's kernel makes of its NIC's MAC (RFC 4291 appendix A). */
export function linkLocal(mac: string): string {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = mac.split(":").map((octet) => Number.parseInt(octet, 16));
  const groups = [((a ^ 2) << 8) | b, (c << 8) | 0xff, 0xfe00 | d, (e << 8) | f];
  return `fe80::${groups.map((group) => group.toString(16)).join(":")}`;
}

/** Waits until VMIs run; where one does not come to it, fails with what it says: a start may fail and be tried again. */
export async function ready(host: TestHost, ...names: readonly string[]): Promise<void> {
  for (const name of names) {
    let said = "";
    await eventually(`${name} to be ready`, async () => {
      said = await host.value("vmi", name, `range .status.conditions[*]}{.type}={.status} {.message}{"\\n"}{end`);
      return /^Ready=True /m.test(said);
    }).catch((thrown: unknown) => {
      throw new Error(`${String(thrown)}; it says:\n${said}`, { cause: thrown });
    });
  }
}
