import { isJsonObject, type JsonObject } from "../json.ts";

/** Where Open vSwitch's database answers. */
export const OVSDB_SOCKET = "/run/openvswitch/db.sock";
const MOST_VLAN = 4094;

/** What the configuration of a network of type `ovs` says. */
export interface OvsSettings {
  readonly bridge: string;
  readonly socket: string;
  /** Frames without a tag are of this VLAN; absent: the port carries all. */
  readonly vlan?: number;
  /** VLANs whose tagged frames the port carries. */
  readonly trunk: readonly number[];
  readonly mtu?: number;
}

/** Reads a configuration; a text that says what is wrong with it. Never throws. */
export function readOvsSettings(config: JsonObject): OvsSettings | string {
  const { bridge, vlan, trunk, mtu, socket_file: socketFile } = config;
  if (typeof bridge !== "string" || bridge === "") return 'it names no "bridge"';
  if (vlan !== undefined && !isVlan(vlan)) return `its "vlan" is not a number from 0 to ${MOST_VLAN}`;
  const trunks = trunk === undefined ? [] : readTrunk(trunk);
  if (trunks === undefined) return 'its "trunk" is no list of {"id": N} or {"minID": N, "maxID": N}';
  if (mtu !== undefined && !(Number.isInteger(mtu) && Number(mtu) >= 68 && Number(mtu) <= 65_535)) {
    return 'its "mtu" is not a number from 68 to 65535';
  }
  const path = typeof socketFile === "string" ? socketFile.replace(/^unix:/, "") : "";
  return {
    bridge,
    socket: path === "" ? OVSDB_SOCKET : path,
    trunk: trunks,
    ...(typeof vlan === "number" && vlan !== 0 ? { vlan } : {}),
    ...(typeof mtu === "number" ? { mtu } : {}),
  };
}

function isVlan(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MOST_VLAN;
}

function readTrunk(value: unknown): readonly number[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const ids = value.map((item): readonly number[] | undefined => {
    if (!isJsonObject(item)) return undefined;
    const { id, minID = id, maxID = id } = item;
    if (!isVlan(minID) || !isVlan(maxID) || minID > maxID) return undefined;
    return Array.from({ length: maxID - minID + 1 }, (_, index) => minID + index);
  });
  return ids.every((item) => item !== undefined) ? [...new Set(ids.flat())].sort((a, b) => a - b) : undefined;
}

/** A row of an OVSDB transaction (RFC 7047 section 5.2). */
export type OvsdbOperation = JsonObject;

/** Plugs a link into the bridge as a port of that name; the bridge must be there. */
export function addPort(
  { bridge, vlan, trunk, mtu }: OvsSettings,
  link: string,
  externalIds: Readonly<Record<string, string>>,
): readonly OvsdbOperation[] {
  const ids = ["map", Object.entries(externalIds)];
  return [
    {
      op: "wait",
      table: "Bridge",
      where: [["name", "==", bridge]],
      columns: ["name"],
      until: "==",
      rows: [{ name: bridge }],
      timeout: 0,
    },
    {
      op: "insert",
      table: "Interface",
      row: { name: link, external_ids: ids, ...(mtu === undefined ? {} : { mtu_request: mtu }) },
      "uuid-name": "interface",
    },
    {
      op: "insert",
      table: "Port",
      row: {
        name: link,
        interfaces: ["named-uuid", "interface"],
        external_ids: ids,
        ...(vlan === undefined ? {} : { tag: vlan }),
        ...(trunk.length === 0 ? {} : { trunks: ["set", trunk] }),
        vlan_mode: vlan === undefined ? "trunk" : trunk.length === 0 ? "access" : "native-untagged",
      },
      "uuid-name": "port",
    },
    {
      op: "mutate",
      table: "Bridge",
      where: [["name", "==", bridge]],
      mutations: [["ports", "insert", ["set", [["named-uuid", "port"]]]]],
    },
  ];
}

/** Finds ports of that name; {@link portIds} reads the answer. */
export const findPort = (link: string): OvsdbOperation => ({
  op: "select",
  table: "Port",
  where: [["name", "==", link]],
  columns: ["_uuid"],
});

/** The ids of what {@link findPort} found, as OVSDB writes them. */
export function portIds(answer: unknown): readonly (readonly ["uuid", string])[] {
  const rows = isJsonObject(answer) ? answer["rows"] : undefined;
  return (Array.isArray(rows) ? rows : []).flatMap((row): (readonly ["uuid", string])[] => {
    const id = isJsonObject(row) ? row["_uuid"] : undefined;
    return Array.isArray(id) && id[0] === "uuid" && typeof id[1] === "string" ? [["uuid", id[1]]] : [];
  });
}

/** Takes ports off whatever bridge they are on; nothing refers to them then, and the database forgets them. */
export function removePorts(ids: readonly (readonly ["uuid", string])[]): readonly OvsdbOperation[] {
  return ids.map((id) => ({
    op: "mutate",
    table: "Bridge",
    where: [["ports", "includes", ["set", [id]]]],
    mutations: [["ports", "delete", ["set", [id]]]],
  }));
}

/** What the switch made of a link: its number on the bridge, or why it has none yet. */
export const findInterface = (link: string): OvsdbOperation => ({
  op: "select",
  table: "Interface",
  where: [["name", "==", link]],
  columns: ["ofport", "error"],
});

/** `undefined`: the switch has not looked at it yet. */
export function interfaceState(answer: unknown): "plugged" | { readonly error: string } | undefined {
  const rows = isJsonObject(answer) ? answer["rows"] : undefined;
  const row: unknown = Array.isArray(rows) ? rows[0] : undefined;
  if (!isJsonObject(row)) return undefined;
  const { ofport, error } = row;
  if (typeof error === "string" && error !== "") return { error };
  return typeof ofport === "number" && ofport > 0 ? "plugged" : undefined;
}
