// What the tests of slirp and passt have in common: bindings that speak for the guest on the pod's sockets.
import { join } from "node:path";
import { eventually, type TestHost } from "../daemon.ts";

const PROBE = join(import.meta.dirname, "..", "probe.ts");

/** Configuration that permits both, and registers their plugins under names of this test's. */
export const PERMITTED = `apiVersion: kubevirt.io/v1
kind: KubeVirt
metadata: {name: kubevirt}
spec:
  configuration:
    developerConfiguration: {featureGates: [Passt, PasstBinding]}
    network:
      permitSlirpInterface: true
      binding:
        our-slirp: {sidecarImage: "registry.example/kubevirt/network-slirp-binding:1"}
        our-passt: {sidecarImage: "registry.example/kubevirt/network-passt-binding:1", migration: {}, networkAttachmentDefinition: default/passt-binding}
`;

/** What a server says of who calls it. */
export interface Heard {
  /** Lines that begin with that word, without it. */
  of(word: string): readonly string[];
}

/** `test/probe.ts` as a server in a namespace, once it listens. */
export async function listening(host: TestHost, netns: string, ...args: readonly string[]): Promise<Heard> {
  const child = host.start(["nsenter", `--net=${netns}`, "--", process.execPath, PROBE, ...args]);
  let said = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  await eventually(`${args.join(" ")} to listen`, () => Promise.resolve(said.includes("listening\n")));
  return {
    of: (word) =>
      said
        .split("\n")
        .flatMap((line) => (line.startsWith(`${word} `) ? [line.slice(word.length + 1).replace("::ffff:", "")] : [])),
  };
}

/** The namespace of {@link TestHost.makeOutside}. */
export function outsideOf(host: TestHost): string {
  return `${host.netns}-o`;
}

/** What a guest fetches a page with. */
export function fetching(address: string, port: number): string {
  return `wget -q -O - http://${address.includes(":") ? `[${address}]` : address}:${port}/`;
}

/** The host's address on the pod network: its subnets' first. */
export function gatewayOf(address: string): string {
  return address.includes(":") ? address.replace(/::.*/, "::1") : address.replace(/\d+$/, "1");
}

/** A manifest whose VMI carries annotations. */
export function annotated(manifest: string, annotations: Readonly<Record<string, string>>): string {
  return manifest.replace("metadata:\n", `metadata:\n  annotations: ${JSON.stringify(annotations)}\n`);
}
