import { isJsonObject, type JsonObject } from "../../src/model/json.ts";
import { eventually, type TestHost } from "../daemon.ts";
import type { GuestShell } from "../guest/guest-shell.ts";
import { debianShell, SHELL_IMAGE } from "./shell-image.ts";
import { completed, type Example, type Source, sourcesOf } from "./sources.ts";

/** What a test adds to a fragment beside the disk to boot from. */
export interface Additions {
  /** Merged into `spec`. */
  readonly spec?: JsonObject;
  /** Merged into `spec.domain`. */
  readonly domain?: JsonObject;
  /** Of the disk. */
  readonly bootOrder?: number;
}

/** A Debian guest of a manifest. */
export interface DebianGuest {
  /** Of the VMI. */
  readonly name: string;
  /** True where the manifest is a page's own, not ours. */
  readonly isPages: boolean;
  readonly shell: GuestShell;
}

/** The first example of the pages where they are here, and our own. */
export async function firstAndOurs(folder: string, { twin, pages }: Example): Promise<readonly Source[]> {
  return sourcesOf(folder, { twin, pages: pages.slice(0, 1) });
}

/** A fragment's VMI as `patchbay run` completes it, with the disk that fragments leave out. */
export function bootable(vmi: JsonObject, { spec: ownSpec, domain: ownDomain, bootOrder }: Additions = {}): JsonObject {
  const { spec } = vmi;
  if (!isJsonObject(spec) || !isJsonObject(spec["domain"])) throw new Error("this is no VMI");
  const { devices = {} } = spec["domain"];
  const disks = isJsonObject(devices) && Array.isArray(devices["disks"]) ? devices["disks"] : [];
  const volumes = Array.isArray(spec["volumes"]) ? spec["volumes"] : [];
  const disk = { name: "system", disk: { bus: "virtio" }, ...(bootOrder === undefined ? {} : { bootOrder }) };
  return {
    ...vmi,
    spec: {
      ...spec,
      terminationGracePeriodSeconds: 0,
      ...ownSpec,
      domain: {
        ...spec["domain"],
        ...ownDomain,
        devices: { ...(isJsonObject(devices) ? devices : {}), rng: {}, disks: [disk, ...disks] },
      },
      volumes: [{ name: "system", containerDisk: { image: SHELL_IMAGE } }, ...volumes],
    },
  };
}

/** Boots the guests of manifests side by side, looks at each, and removes them; no more than two at once. */
export async function inDebian(
  host: TestHost,
  sources: readonly Source[],
  look: (guest: DebianGuest) => Promise<void>,
  additions?: Additions,
): Promise<void> {
  const names = sources.map(({ name }) => name);
  const items = sources.map((source) => bootable(completed(source), additions));
  await host.kubectlOk(["apply", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  await lookInto(host, names, look);
}

/** Looks at the guests of VMIs once they have booted, and removes every VMI. */
export async function lookInto(
  host: TestHost,
  names: readonly string[],
  look: (guest: DebianGuest) => Promise<void>,
): Promise<void> {
  const each = host.explained<undefined>(async () => {
    for (const name of names) {
      const shell = await debianShell(host, name);
      await look({ name, isPages: name.startsWith("page-") || name.startsWith("vmi-"), shell });
      await shell.close();
    }
  });
  try {
    await each(undefined);
  } finally {
    await host.kubectlOk(["delete", "vmi", "--all"]);
    await eventually("the end of their pods", async () => (await host.kubectlOk(["get", "pods", "-o", "name"])) === "");
  }
}

/** Starts a web server in a guest for each port. */
export async function serveOn({ shell }: DebianGuest, ...ports: readonly number[]): Promise<void> {
  for (const port of ports) {
    const server = `setsid python3 -m http.server ${port} --bind :: -d /etc/cloud </dev/null >/dev/null 2>&1 &`;
    await shell.ask(`${server} until curl -s -o /dev/null http://127.0.0.1:${port}/; do sleep 1; done`);
  }
}

/** The driver of a guest's NIC. */
export async function driverOf({ shell }: DebianGuest, link: string): Promise<string> {
  return (await shell.ask(`ethtool -i ${link}`)).match(/^driver: (\S+)/m)?.[1] ?? "";
}

/** The addresses of a guest's NIC, as `192.0.2.1/24`, without those of its link alone. */
export async function addressesOf({ shell }: DebianGuest, link: string): Promise<readonly string[]> {
  const [found]: { readonly addr_info: readonly AddressInfo[] }[] = JSON.parse(
    await shell.ask(`ip -j address show dev ${link}`),
  );
  return (found?.addr_info ?? [])
    .filter(({ scope }) => scope === "global")
    .map(({ local, prefixlen }) => `${local}/${prefixlen}`);
}

interface AddressInfo {
  readonly local: string;
  readonly prefixlen: number;
  readonly scope: string;
}

/** The addresses of a VMI's NIC, as its status tells them. */
export async function toldAddresses(host: TestHost, name: string, nic = 0): Promise<readonly string[]> {
  return JSON.parse((await host.value("vmi", name, `.status.interfaces[${nic}].ipAddresses`)) || "[]");
}
