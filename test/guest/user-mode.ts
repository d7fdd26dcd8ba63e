// What the tests of slirp and passt have in common: bindings that speak for the guest on the pod's sockets.
import { join } from "node:path";
import type { TestContext } from "node:test";
import { eventually, TestHost } from "../daemon.ts";
import { definitions, hostLocal } from "./attachments.ts";

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

/** Of the pods' network. */
export const MTU = 1400;

/** Resolver of a pod: the outside machine, by each family. */
export const RESOLVER = { dnsPolicy: "None", dnsConfig: { nameservers: ["192.0.2.2"], searches: ["lab.example"] } };
export const RESOLVER_6 = { dnsPolicy: "None", dnsConfig: { nameservers: ["2001:db8::2"], searches: ["lab.example"] } };

/** Annotations of a VMI on the pod network of one family: the definition `four` or `six`. */
export const onFamily = (network: "four" | "six"): Readonly<Record<string, string>> => ({
  "v1.multus-cni.io/default-network": `default/${network}`,
});

/** A daemon with guests' surroundings, and what is heard of them. */
export interface Surroundings {
  readonly host: TestHost;
  /** Of the outside machine. */
  readonly outside: readonly string[];
  /** The name server there; it knows one address, 192.0.2.77, by every name. */
  readonly asked: Heard;
  /** A server on the host. */
  readonly called: Heard;
}

/**
 * A daemon on a pod network of both families with an outside machine, beside it the networks `four` (10.51.0.0/24) and
 * `six` (fd51::/64) of one family each, and more definitions.
 */
export async function surroundings(
  t: TestContext,
  ...more: readonly (readonly [namespace: string, name: string, config: object])[]
): Promise<Surroundings> {
  const host = await TestHost.make(t);
  await host.useGuestImage();
  await host.usePodNetwork([4, 6], MTU);
  const outside = await host.makeOutside([4, 6]);
  const asked = await listening(host, outsideOf(host), "names", "::", "53", "192.0.2.77");
  const called = await listening(host, host.netns, "serve", "::", "8098", "here");
  await host.up();
  const bridge = { type: "bridge", cniVersion: "0.4.0", isGateway: true, ipMasq: true };
  const [four, six] = [hostLocal(host, ["10.51.0.0/24"], ["0.0.0.0/0"]), hostLocal(host, ["fd51::/64"], ["::/0"])];
  await host.kubectlOk(
    ["apply", "-f", "-"],
    definitions(
      ["default", "four", { ...bridge, name: "four", bridge: "four0", ipam: four }],
      ["default", "six", { ...bridge, name: "six", bridge: "six0", ipam: six }],
      ...more,
    ),
  );
  return { host, outside: outside.addresses, asked, called };
}

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
