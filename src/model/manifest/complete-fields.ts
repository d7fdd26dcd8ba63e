import { type FieldPath, fieldPath, valueAt } from "../api/field-path.ts";
import { isJsonObject } from "../json.ts";
import type { ManifestDocument } from "./document.ts";
import { findingAt } from "./finding.ts";
import { type Completed, objectsAt, rewritten, withField } from "./rewritten.ts";

/** Where the spec of the guest stands, by kind. */
const SPECS: Readonly<Record<string, FieldPath>> = {
  VirtualMachineInstance: ["spec"],
  VirtualMachine: ["spec", "template", "spec"],
};

/** Fields of `dhcpOptions` that examples write on the interface. */
const DHCP_FIELDS = ["bootFileName", "tftpServerName"];

/** Puts fields of a VMI's or VM's spec where they belong, and names its one nameless volume. */
export function completeFields(document: ManifestDocument): Completed {
  const kind = document.value["kind"];
  const spec = typeof kind === "string" && Object.hasOwn(SPECS, kind) ? SPECS[kind] : undefined;
  if (spec === undefined) return { document, findings: [] };
  const devices = [...spec, "domain", "devices"];
  const moved = moveAll(document, [
    ...objectsAt(valueAt(document.value, [...devices, "interfaces"]), [...devices, "interfaces"]).flatMap(dhcpMoves),
    ...objectsAt(valueAt(document.value, [...devices, "disks"]), [...devices, "disks"]).flatMap(busMoves),
  ]);
  const named = nameVolume(moved.document, spec);
  return { document: named.document, findings: [...moved.findings, ...named.findings] };
}

interface Move {
  readonly from: FieldPath;
  readonly to: FieldPath;
}

type Placed = ReturnType<typeof objectsAt>[number];

function dhcpMoves({ at, item }: Placed): Move[] {
  const options = item["dhcpOptions"];
  // Options that are no object are refused as they are, and what stands at both places has two meanings.
  if (options !== undefined && !isJsonObject(options)) return [];
  return DHCP_FIELDS.filter((field) => Object.hasOwn(item, field) && !Object.hasOwn(options ?? {}, field)).map(
    (field) => ({ from: [...at, field], to: [...at, "dhcpOptions", field] }),
  );
}

function busMoves({ at, item }: Placed): Move[] {
  const disk = item["disk"];
  const empty = disk === null || (isJsonObject(disk) && Object.keys(disk).length === 0);
  if (!empty || !Object.hasOwn(item, "disk") || !Object.hasOwn(item, "bus")) return [];
  return [{ from: [...at, "bus"], to: [...at, "disk", "bus"] }];
}

function moveAll(document: ManifestDocument, moves: readonly Move[]): Completed {
  const value = moves.reduce(
    (root, { from, to }) => withField(withField(root, to, valueAt(root, from)), from, undefined),
    document.value,
  );
  const findings = moves.map(({ from, to }) => {
    const target = fieldPath(to);
    return findingAt(
      document,
      from,
      {
        code: "PB1013",
        severity: "warning",
        message: `${fieldPath(from)} was read as ${target}.`,
        expected: target,
        hint: `Write it below ${String(to.at(-2))}; a cluster drops or refuses it here.`,
      },
      { part: "key" },
    );
  });
  const origins = moves.map(({ from, to }) => ({ part: to, of: from }));
  return { document: rewritten(document, value, origins), findings };
}

/** The one volume without a name belongs to the one disk without a volume. */
function nameVolume(document: ManifestDocument, spec: FieldPath): Completed {
  const volumes = objectsAt(valueAt(document.value, [...spec, "volumes"]), [...spec, "volumes"]);
  const nameless = volumes.filter(({ item }) => !Object.hasOwn(item, "name"));
  const names = new Set(volumes.map(({ item }) => item["name"]));
  const disks = objectsAt(valueAt(document.value, [...spec, "domain", "devices", "disks"]), []);
  const unmatched = disks.flatMap(({ item: { name } }) => (typeof name === "string" && !names.has(name) ? [name] : []));
  const [volume] = nameless;
  const [name] = unmatched;
  if (volume === undefined || name === undefined || nameless.length > 1 || unmatched.length > 1) {
    return { document, findings: [] };
  }
  const warning = findingAt(document, volume.at, {
    code: "PB1014",
    severity: "warning",
    message: `${fieldPath(volume.at)} has no name, and gets "${name}" of the one disk without a volume.`,
    expected: `name: ${name}`,
    hint: `Write name: ${name}.`,
  });
  return {
    document: rewritten(document, withField(document.value, [...volume.at, "name"], name)),
    findings: [warning],
  };
}
