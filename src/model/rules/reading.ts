import { formatIp, parseIp, parseIp6 } from "../addresses/ip.ts";
import type { Interface, Port, PortRange } from "../api/interfaces.ts";
import type { Network } from "../api/networks.ts";
import type { VmiSpec } from "../api/vmi.ts";
import { bindings } from "../bindings/registry.ts";

/**
 * A spec as KubeVirt has it after decoding: absent words and numbers that it keeps are empty or 0, empty ones that it
 * drops are gone, and IP addresses are in their canonical text.
 */
export function readSpec(spec: VmiSpec): VmiSpec {
  const interfaces = (spec.domain.devices.interfaces ?? []).map(readInterface);
  const networks = (spec.networks ?? []).map(readNetwork);
  const { interfaces: _, ...devices } = spec.domain.devices;
  const { networks: __, dnsConfig, ...rest } = spec;
  return {
    ...rest,
    ...given("dnsConfig", dnsConfig === undefined ? undefined : readDnsConfig(dnsConfig)),
    domain: { ...spec.domain, devices: { ...devices, ...(interfaces.length === 0 ? {} : { interfaces }) } },
    ...(networks.length === 0 ? {} : { networks }),
  };
}

function readDnsConfig({ nameservers, ...rest }: DnsConfig): DnsConfig {
  return { ...given("nameservers", nameservers?.map(readIp)), ...rest };
}

type DnsConfig = NonNullable<VmiSpec["dnsConfig"]>;

function readNetwork(network: Network): Network {
  const { pod, multus, genie, resourceClaim } = network;
  return {
    name: network.name ?? "",
    ...(pod === undefined
      ? {}
      : {
          pod: {
            ...filled("vmNetworkCIDR", pod.vmNetworkCIDR === undefined ? "" : readCidr(pod.vmNetworkCIDR)),
            ...filled("vmIPv6NetworkCIDR", pod.vmIPv6NetworkCIDR),
          },
        }),
    ...(multus === undefined
      ? {}
      : { multus: { networkName: multus.networkName ?? "", ...filled("default", multus.default) } }),
    ...(genie === undefined ? {} : { genie: { networkName: genie.networkName ?? "" } }),
    ...(resourceClaim === undefined ? {} : { resourceClaim }),
  };
}

function readInterface(nic: Interface): Interface {
  const { bootOrder, binding, dhcpOptions } = nic;
  return {
    name: nic.name ?? "",
    ...filled("model", nic.model),
    ...markers(nic),
    ...(binding === undefined ? {} : { binding: { name: binding.name ?? "" } }),
    ...filled("ports", nic.ports?.map(readPort)),
    ...filled("portRanges", nic.portRanges?.map(readPortRange)),
    ...filled("macAddress", nic.macAddress),
    ...given("bootOrder", bootOrder),
    ...filled("pciAddress", nic.pciAddress),
    ...(dhcpOptions === undefined
      ? {}
      : {
          dhcpOptions: {
            ...filled("bootFileName", dhcpOptions.bootFileName),
            ...filled("tftpServerName", dhcpOptions.tftpServerName),
            ...filled("ntpServers", dhcpOptions.ntpServers?.map(readIp)),
            ...filled(
              "privateOptions",
              dhcpOptions.privateOptions?.map(({ option, value }) => ({ option: option ?? 0, value: value ?? "" })),
            ),
          },
        }),
    ...filled("tag", nic.tag),
    ...filled("acpiIndex", nic.acpiIndex),
    ...filled("state", nic.state),
  };
}

/** The bindings that are empty objects, as they are given. */
function markers(nic: Interface): Partial<Omit<Interface, "name">> {
  const fields = bindings.map(({ field }) => field).filter((field) => field !== "binding" && nic[field] !== undefined);
  return Object.fromEntries(fields.map((field) => [field, nic[field]]));
}

function readPort(port: Port): Port {
  return { ...filled("name", port.name), ...filled("protocol", port.protocol), port: port.port ?? 0 };
}

function readPortRange(range: PortRange): PortRange {
  return { protocol: range.protocol ?? "", start: range.start ?? 0, end: range.end ?? 0 };
}

type One<K extends string, V> = { readonly [key in K]?: V };

/** The field, unless it is absent. */
function given<K extends string, V>(key: K, value: V | undefined): One<K, V> {
  return (value === undefined ? {} : { [key]: value }) as One<K, V>;
}

/** The field, unless it is absent, empty, 0 or false. */
function filled<K extends string, V>(key: K, value: V | undefined): One<K, V> {
  const empty = value === "" || value === 0 || value === false || (Array.isArray(value) && value.length === 0);
  return given(key, empty ? undefined : value);
}

/** An address in canonical text, leading zeros of octets dropped; text that is none stays as it is. */
export function readIp(text: string): string {
  const bytes = parseIp(withoutLeadingZeros(text));
  if (bytes === undefined) return text;
  // An IPv4 address in IPv6 clothes counts as IPv4.
  const mapped = bytes.length === 16 && bytes.subarray(0, 10).every((octet) => octet === 0) && bytes[10] === 255;
  return mapped && bytes[11] === 255 ? formatIp(bytes.subarray(12)) : formatIp(bytes);
}

function readCidr(text: string): string {
  const [address = "", length = "", ...rest] = text.split("/");
  const bits = parseIp6(withoutLeadingZeros(address)) === undefined ? 32 : 128;
  const canonical = readIp(address);
  const valid = rest.length === 0 && /^\d{1,6}$/.test(length) && Number(length) <= bits;
  return valid && parseIp(canonical) !== undefined ? `${canonical}/${Number(length)}` : text;
}

/** KubeVirt's parser takes any number of zeros before an octet, and before the digits of a group. */
function withoutLeadingZeros(text: string): string {
  const dotted = text.lastIndexOf(":") + 1;
  const octets = text.slice(dotted);
  if (!/^\d+(?:\.\d+){3}$/.test(octets)) return withoutZerosOfGroups(text);
  return (
    withoutZerosOfGroups(text.slice(0, dotted)) +
    octets
      .split(".")
      .map((octet) => octet.replace(/^0+(?=\d)/, ""))
      .join(".")
  );
}

function withoutZerosOfGroups(text: string): string {
  return text.replace(/(^|:)0+(?=[\da-fA-F]+(?::|$))/g, "$1");
}
