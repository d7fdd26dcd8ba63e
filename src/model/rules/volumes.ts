import { isDnsLabel } from "../api/names.ts";
import type { Problem } from "./problem.ts";
import { nameOf, problemAt, type Subject } from "./subject.ts";

/** Disks and volumes: names, one source each, and a volume for each disk. */
export function judgeVolumes(subject: Subject): Problem[] {
  return [...volumes(subject), ...disks(subject)];
}

/** What a VMI needs and a template may still lack: a disk or filesystem for each volume. */
export function judgeUnusedVolumes(subject: Subject): Problem[] {
  const { disks: own = [], filesystems = [] } = subject.spec.domain.devices;
  const users = new Set<unknown>([...own.map((disk) => disk.name), ...filesystems.map((entry) => entry["name"])]);
  return (subject.spec.volumes ?? []).flatMap(({ name, memoryDump }, index) => {
    if (memoryDump !== undefined || users.has(name)) return [];
    const problem = problemAt(subject, ["volumes", index, "name"], {
      code: "PB2423",
      type: "FieldValueInvalid",
      message: `No disk or filesystem uses the volume "${name}".`,
      cure: "Add a disk of this name to domain.devices.disks, or remove the volume.",
    });
    // KubeVirt puts volumes below the domain here.
    return [
      {
        ...problem,
        field: problemAt(subject, ["domain", "volumes", index, "name"], {
          code: "PB2423",
          type: "FieldValueInvalid",
          message: "",
        }).field,
      },
    ];
  });
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
