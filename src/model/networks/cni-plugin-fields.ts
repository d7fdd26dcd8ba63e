/** What a CNI plugin reads of its configuration. */
export interface PluginFields {
  /** Whose word this is: `Debian 12's bridge 1.1.1`. */
  readonly source: string;
  readonly fields: readonly string[];
  /** Fields that newer versions of the plugin read and this one ignores. */
  readonly later: readonly string[];
}

/** What every plugin may be given (CNI specification 1.0, section 1). */
const EVERY_PLUGIN = [
  "cniVersion",
  "name",
  "type",
  "capabilities",
  "ipam",
  "dns",
  "args",
  "runtimeConfig",
  "prevResult",
];
/** What every IPAM object may have. */
const EVERY_IPAM = ["type", "name"];
/** What a list of plugins has beside them (specification 1.1). */
export const LIST_FIELDS = [
  "cniVersion",
  "cniVersions",
  "name",
  "plugins",
  "disableCheck",
  "disableGC",
  "loadOnlyInlinedPlugins",
] as const;

type Table = Readonly<Record<string, { readonly fields: readonly string[]; readonly later?: readonly string[] }>>;

/**
 * The plugins of Debian 12 (containernetworking-plugins 1.1.1): the fields that the installed programs decode, and those
 * that later versions added.
 */
const DEBIAN: Table = {
  bridge: {
    fields: [
      "bridge",
      "isGateway",
      "isDefaultGateway",
      "forceAddress",
      "ipMasq",
      "mtu",
      "hairpinMode",
      "promiscMode",
      "vlan",
      "macspoofchk",
      "enabledad",
    ],
    later: ["vlanTrunk", "preserveDefaultVlan", "disableContainerInterface", "portIsolation"],
  },
  ptp: { fields: ["ipMasq", "mtu"] },
  macvlan: { fields: ["master", "mode", "mtu", "mac"], later: ["linkInContainer", "bcqueuelen"] },
  ipvlan: { fields: ["master", "mode", "mtu"], later: ["linkInContainer"] },
  vlan: { fields: ["master", "vlanId", "mtu"], later: ["linkInContainer"] },
  "host-device": { fields: ["device", "hwaddr", "kernelpath", "pciBusID"] },
  loopback: { fields: [] },
  tuning: { fields: ["sysctl", "mac", "promisc", "mtu", "allmulti", "dataDir"], later: ["txQLen"] },
  portmap: {
    fields: ["snat", "conditionsV4", "conditionsV6", "markMasqBit", "externalSetMarkChain"],
    later: ["backend", "masqAll"],
  },
  bandwidth: {
    fields: ["ingressRate", "ingressBurst", "egressRate", "egressBurst"],
    later: ["shapedSubnets", "unshapedSubnets"],
  },
  firewall: { fields: ["backend", "firewalldZone", "ingressPolicy", "iptablesAdminChainName"] },
  sbr: { fields: [] },
  vrf: { fields: ["vrfname", "table"] },
};

/** IPAM plugins of Debian 12, likewise. */
const DEBIAN_IPAM: Table = {
  "host-local": {
    fields: ["subnet", "rangeStart", "rangeEnd", "gateway", "ranges", "routes", "dataDir", "resolvConf"],
  },
  static: { fields: ["addresses", "routes", "dns"] },
  dhcp: { fields: ["daemonSocketPath", "request", "provide"] },
};

/** Plugins that Debian has not, as their own documentation and sources have them. */
const ELSEWHERE: Table = {
  ovs: {
    fields: [
      "bridge",
      "vlan",
      "mtu",
      "trunk",
      "deviceID",
      "ofport_request",
      "interface_type",
      "configuration_path",
      "socket_file",
      "link_state_check_retries",
      "link_state_check_interval",
    ],
  },
  macvtap: { fields: ["deviceID", "mtu", "promiscMode", "owner", "group"] },
  sriov: {
    fields: [
      "deviceID",
      "master",
      "vlan",
      "vlanQoS",
      "vlanProto",
      "vlan_trunk",
      "mac",
      "spoofchk",
      "trust",
      "link_state",
      "min_tx_rate",
      "max_tx_rate",
      "logLevel",
      "logFile",
    ],
  },
  flannel: { fields: ["subnetFile", "dataDir", "delegate"] },
};

/** What a plugin reads; undefined for one that is not known here. */
export function pluginFields(type: string): PluginFields | undefined {
  return (
    entryOf(DEBIAN, type, `Debian 12's ${type} 1.1.1`, EVERY_PLUGIN) ??
    entryOf(ELSEWHERE, type, `The CNI plugin ${type}`, EVERY_PLUGIN)
  );
}

/** What an IPAM plugin reads of the `ipam` object; undefined for one that is not known here. */
export function ipamFields(type: string): PluginFields | undefined {
  return entryOf(DEBIAN_IPAM, type, `Debian 12's ${type} 1.1.1`, EVERY_IPAM);
}

function entryOf(table: Table, type: string, source: string, every: readonly string[]): PluginFields | undefined {
  const entry = Object.hasOwn(table, type) ? table[type] : undefined;
  return entry === undefined ? undefined : { source, fields: [...entry.fields, ...every], later: entry.later ?? [] };
}

/** True when a field of this name is read: the plugins are Go programs, for which capitals make no difference. */
export function isRead({ fields }: PluginFields, name: string): boolean {
  const wanted = name.toLowerCase();
  return fields.some((field) => field.toLowerCase() === wanted);
}
