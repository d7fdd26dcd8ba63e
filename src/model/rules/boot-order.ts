import { fieldPath } from "../api/field-path.ts";
import type { Problem } from "./problem.ts";
import { interfacePath, interfacesOf, problemAt, type Subject } from "./subject.ts";

/** The order of booting: from 1, each place once among disks and interfaces. */
export function judgeBootOrder(subject: Subject): Problem[] {
  const taken = new Set<number>();
  const disks = (subject.spec.domain.devices.disks ?? []).flatMap(({ name, bootOrder }, index): Problem[] => {
    if (bootOrder === undefined) return [];
    const at = ["domain", "devices", "disks", index, "bootOrder"];
    if (bootOrder < 1) {
      const message = `The disk "${name}" has the boot order ${bootOrder}.`;
      return [problemAt(subject, at, { code: "PB2057", type: "FieldValueInvalid", message, cure: "Count from 1." })];
    }
    const again = taken.has(bootOrder);
    taken.add(bootOrder);
    const message = `The boot order ${bootOrder} of the disk "${name}" is taken.`;
    return again ? [problemAt(subject, at, { code: "PB2058", type: "FieldValueInvalid", message, cure: ONCE })] : [];
  });
  const interfaces = interfacesOf(subject.spec).flatMap(({ name, bootOrder }, index): Problem[] => {
    if (bootOrder === undefined) return [];
    const at = [...interfacePath(index), "bootOrder"];
    if (bootOrder < 1) {
      // KubeVirt counts interfaces directly below the root here.
      const field = fieldPath([...subject.root, index, "bootOrder"]);
      const message = `The interface "${name}" has the boot order ${bootOrder}.`;
      const cure = "Count from 1.";
      return [problemAt(subject, at, { code: "PB2046", type: "FieldValueInvalid", field, message, cure })];
    }
    const again = taken.has(bootOrder);
    taken.add(bootOrder);
    const message = `The boot order ${bootOrder} of the interface "${name}" is taken.`;
    return again ? [problemAt(subject, at, { code: "PB2047", type: "FieldValueInvalid", message, cure: ONCE })] : [];
  });
  return [...disks, ...interfaces];
}

const ONCE = "Use each place once among disks and interfaces.";
