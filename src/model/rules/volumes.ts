import { isDnsLabel } from "../api/names.ts";
import { nearMiss } from "../near-miss.ts";
import { isPlainPath } from "./machine.ts";
import type { Problem } from "./problem.ts";
import { nameOf, problemAt, type Subject } from "./subject.ts";

/** Disks and volumes: names, one source each, and a volume for each disk. */
export function judgeVolumes(subject: Subject): Problem[] {
  return [...volumes(subject), ...sources(subject), ...disks(subject), ...targets(subject)];
}

function volumes(subject: Subject): Problem[] {
  const seen = new Set<string>();
  return (subject.spec.volumes ?? []).flatMap(({ name, ...sources }, index) => {
    const again = seen.has(name);
    seen.add(name);
    const used = Object.keys(sources);
    return [
      ...(again
        ? [
            problemAt(subject, ["volumes", index, "name"], {
              code: "PB2421",
              type: "FieldValueInvalid",
              message: `An earlier volume is named "${name}" as well.`,
              cure: "Give each volume a name of its own.",
            }),
          ]
        : []),
      ...(used.length === 1
        ? []
        : [
            problemAt(subject, ["volumes", index], {
              code: "PB2424",
              type: "FieldValueInvalid",
              message:
                used.length === 0
                  ? `The volume "${name}" has no source.`
                  : `The volume "${name}" has several sources: ${used.join(", ")}.`,
              cure: used.length === 0 ? "Add one, such as containerDisk." : "Keep one of them.",
            }),
          ]),
    ];
  });
}

/** What a source must name, and how its image is named. */
function sources(subject: Subject): Problem[] {
  const given = subject.spec.volumes ?? [];
  const accounts = given.filter(({ serviceAccount }) => serviceAccount !== undefined).length;
  const nameless = (
    index: number,
    keys: readonly string[],
    type: "FieldValueRequired" | "FieldValueInvalid",
  ): Problem =>
    problemAt(subject, ["volumes", index, ...keys], {
      code: "PB2431",
      type,
      message: `The source of the volume "${given[index]?.name ?? ""}" names no object.`,
      cure: `Write ${keys.join(".")} of the source.`,
    });
  return [
    ...given.flatMap(({ name, dataVolume, configMap, secret, serviceAccount, containerDisk }, index): Problem[] => {
      const path = containerDisk?.path ?? "";
      return [
        // KubeVirt names the volume's own name here.
        ...(dataVolume?.name === "" ? [nameless(index, ["name"], "FieldValueRequired")] : []),
        ...(configMap !== undefined && (configMap.name ?? "") === ""
          ? [nameless(index, ["configMap", "name"], "FieldValueInvalid")]
          : []),
        ...(secret !== undefined && (secret.secretName ?? "") === ""
          ? [nameless(index, ["secret", "secretName"], "FieldValueInvalid")]
          : []),
        ...(serviceAccount !== undefined && (serviceAccount.serviceAccountName ?? "") === ""
          ? [nameless(index, ["serviceAccount", "serviceAccountName"], "FieldValueInvalid")]
          : []),
        ...(path === "" || isPlainPath(path)
          ? []
          : [
              problemAt(subject, ["volumes", index, "containerDisk"], {
                code: "PB2433",
                type: "FieldValueInvalid",
                message: `The path "${path}" of the volume "${name}" is no absolute path of a file.`,
                cure: "Begin it with a slash, and write it without . and ..",
              }),
            ]),
      ];
    }),
    ...(accounts < 2
      ? []
      : [
          problemAt(subject, ["volumes"], {
            code: "PB2424",
            type: "FieldValueInvalid",
            message: `${accounts} volumes are of a service account, and a guest has one.`,
            cure: "Keep one of them.",
          }),
        ]),
  ];
}

const BUSES = ["virtio", "sata", "scsi", "usb"];

/** How disks are plugged: a bus that they can have, and for a SCSI unit a volume of blocks. */
function targets(subject: Subject): Problem[] {
  const volumeByName = new Map((subject.spec.volumes ?? []).map((volume) => [volume.name, volume]));
  return (subject.spec.domain.devices.disks ?? []).flatMap(({ name, disk, lun, cdrom }, index): Problem[] => {
    const at = ["domain", "devices", "disks", index];
    const kind = disk !== undefined ? "disk" : lun !== undefined ? "lun" : "cdrom";
    const bus = (disk ?? lun ?? cdrom)?.bus ?? "";
    const volume = volumeByName.get(name);
    const isFixed = bus === "sata" && disk?.readonly === true;
    const fits = bus === "" || (BUSES.includes(bus) && !(kind === "cdrom" && bus === "virtio") && !isFixed);
    const near = fits ? undefined : nearMiss(bus, BUSES);
    return [
      ...(fits
        ? []
        : [
            problemAt(subject, [...at, kind, "bus"], {
              code: "PB2434",
              type: "FieldValueInvalid",
              message: isFixed
                ? `The disk "${name}" is read-only, which a sata disk cannot be.`
                : `The ${kind} "${name}" cannot be on the bus "${bus}".`,
              cure:
                isFixed || BUSES.includes(bus) || near === undefined ? "Use another bus." : `Did you mean "${near}"?`,
            }),
          ]),
      ...(lun === undefined || volume === undefined || (volume.persistentVolumeClaim ?? volume.dataVolume) !== undefined
        ? []
        : [
            problemAt(subject, [...at, "lun"], {
              code: "PB2432",
              type: "FieldValueInvalid",
              message: `The SCSI unit "${name}" is backed by a volume that has no blocks.`,
              cure: "Use disk instead of lun, or a persistentVolumeClaim or dataVolume.",
            }),
          ]),
    ];
  });
}

function disks(subject: Subject): Problem[] {
  const names = new Set((subject.spec.volumes ?? []).map((volume) => volume.name));
  const seen = new Set<string>();
  return (subject.spec.domain.devices.disks ?? []).flatMap((disk, index) => {
    const { name } = disk;
    const at = ["domain", "devices", "disks", index];
    const again = seen.has(name);
    seen.add(name);
    const targets = (["disk", "lun", "cdrom"] as const).filter((target) => disk[target] !== undefined);
    const problems: Problem[] = [];
    const refuse = (code: "PB2420" | "PB2422" | "PB2425", keys: string[], message: string, cure: string): void => {
      problems.push(problemAt(subject, [...at, ...keys], { code, type: "FieldValueInvalid", message, cure }));
    };
    if (again)
      refuse("PB2422", ["name"], `An earlier disk is named "${name}" as well.`, "Give each disk its own volume.");
    if (targets.length > 1) {
      refuse("PB2425", [], `The disk "${name}" is several things: ${targets.join(", ")}.`, "Keep one of them.");
    }
    const emptyDrive = disk.cdrom !== undefined && subject.settings.gates.has("DeclarativeHotplugVolumes");
    if (!names.has(name) && !emptyDrive) {
      refuse(
        "PB2420",
        ["name"],
        `There is no volume "${name}" for this disk.`,
        "Add a volume of this name to volumes.",
      );
    }
    if (!isDnsLabel(name)) {
      problems.push(
        problemAt(subject, [...at, "name"], {
          code: "PB2426",
          type: "FieldValueInvalid",
          // KubeVirt goes down to the disks twice here.
          field: nameOf(subject, ["domain", "devices", "disks", ...at, "name"]),
          message: `The disk name "${name}" is no DNS label.`,
          cure: "Use at most 63 small letters, digits and dashes, no dash at an end.",
        }),
      );
    }
    return problems;
  });
}
