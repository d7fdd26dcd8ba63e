import { valueAt } from "../api/field-path.ts";
import { isJsonObject, objectAt, textAt } from "../json.ts";
import type { ManifestDocument } from "../manifest/document.ts";
import { readJson } from "../networks/cni-json.ts";
import { type CniSource, placedPlugins } from "./cni-source.ts";
import type { Run } from "./run.ts";

/** The MTU of a link of the node, and who says so. */
export interface LowerMtu {
  readonly mtu: number;
  /** `the SriovNetworkNodePolicy fast`, `this host`. */
  readonly by: string;
  /** The source that says it, where it is a CNI configuration. */
  readonly source?: CniSource;
}

/** MTUs of the node's links by their names, as the objects of a run and the host itself tell them. */
export function lowerMtus(
  run: Run,
  host: ReadonlyMap<string, number> | undefined,
): ReadonlyMap<string, readonly LowerMtu[]> {
  const told = [
    ...[...(host ?? [])].map(([link, mtu]) => ({ link, mtu, by: "this host" })),
    ...run.documents.flatMap(byPolicy),
    ...run.documents.flatMap(byNodeState),
    ...run.sources.flatMap(byBridge),
  ];
  return Map.groupBy(told, ({ link }) => link);
}

/** The link of the node on which a CNI configuration builds; undefined where it builds on none, or does not name it. */
export function lowerLink({ documents }: Run, source: CniSource): string | undefined {
  const [main] = placedPlugins(source);
  if (main === undefined) return undefined;
  switch (main.plugin.type) {
    case "bridge":
      return textAt(main.plugin.config, "bridge") ?? "cni0";
    case "macvlan":
    case "ipvlan":
    case "vlan":
      return textAt(main.plugin.config, "master");
    case "macvtap":
      return macvtapLower(documents, source.definition?.resourceName);
    default:
      return undefined;
  }
}

type Told = LowerMtu & { readonly link: string };

/** The SR-IOV operator sets the MTU of physical functions; a name may carry a range of virtual ones. */
function byPolicy({ value }: ManifestDocument): Told[] {
  const mtu = valueAt(value, ["spec", "mtu"]);
  const names = valueAt(value, ["spec", "nicSelector", "pfNames"]);
  if (value["kind"] !== "SriovNetworkNodePolicy" || typeof mtu !== "number" || !Array.isArray(names)) return [];
  const by = `the SriovNetworkNodePolicy ${nameOf(value)}`;
  return names.flatMap((name) => (typeof name === "string" ? [{ link: name.replace(/#.*$/, ""), mtu, by }] : []));
}

/** kubernetes-nmstate sets the MTU of any link. */
function byNodeState({ value }: ManifestDocument): Told[] {
  const links = valueAt(value, ["spec", "desiredState", "interfaces"]);
  if (value["kind"] !== "NodeNetworkConfigurationPolicy" || !Array.isArray(links)) return [];
  const by = `the NodeNetworkConfigurationPolicy ${nameOf(value)}`;
  return links.flatMap((one: unknown) => {
    const link = isJsonObject(one) ? textAt(one, "name") : undefined;
    const mtu = isJsonObject(one) ? one["mtu"] : undefined;
    return link === undefined || typeof mtu !== "number" ? [] : [{ link, mtu, by }];
  });
}

/** The bridge plugin makes its bridge with the MTU of the first configuration that uses it. */
function byBridge(source: CniSource): Told[] {
  const [main] = placedPlugins(source);
  const { mtu } = main?.plugin.config ?? {};
  if (main?.plugin.type !== "bridge" || typeof mtu !== "number" || mtu <= 0) return [];
  const link = textAt(main.plugin.config, "bridge") ?? "cni0";
  return [{ link, mtu, by: lowerFirst(source.name), source }];
}

/** The macvtap device plugin names its resources after links, or as its ConfigMap maps them. */
function macvtapLower(documents: readonly ManifestDocument[], resourceName: string | undefined): string | undefined {
  const resource = /^macvtap\.network\.kubevirt\.io\/(.+)$/.exec(resourceName ?? "")?.[1];
  if (resource === undefined) return undefined;
  const mapped = documents.flatMap(({ value }) => {
    const text = value["kind"] === "ConfigMap" ? textAt(objectAt(value, "data"), "DP_MACVTAP_CONF") : undefined;
    const reading = text === undefined ? undefined : readJson(text);
    return reading !== undefined && "value" in reading && Array.isArray(reading.value) ? reading.value : [];
  });
  const entry: unknown = mapped.find((one: unknown) => isJsonObject(one) && one["name"] === resource);
  if (isJsonObject(entry)) return textAt(entry, "lowerDevice") ?? textAt(entry, "master") ?? resource;
  return resource;
}

function nameOf(value: ManifestDocument["value"]): string {
  return textAt(objectAt(value, "metadata"), "name") ?? "";
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
