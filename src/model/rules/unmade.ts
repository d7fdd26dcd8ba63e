import type { VmSpec } from "../api/vm.ts";
import { unmadeIn } from "../guest/unmade.ts";
import { objectAt, textAt } from "../json.ts";
import { asksForMemory } from "./machine.ts";
import type { Problem } from "./problem.ts";
import { problemAt, type Subject } from "./subject.ts";

const LEAVE = "Leave it out, unless the manifest is for a cluster alone.";
const PLUG = "Use disk or cdrom, unless the manifest is for a cluster alone.";
const FILES = "Use configMap or secret, which make a disk of files here.";
const CURES: Readonly<Record<string, string>> = {
  dataVolume: "Use containerDisk, or a persistentVolumeClaim whose disk image you fill (docs/claims.md).",
  lun: PLUG,
  floppy: PLUG,
  serviceAccount: FILES,
  downwardAPI: FILES,
};

/** What a guest asks for and none is given here: it is told before the guest is to start (PB2511). */
export function unmadeParts(subject: Subject): Problem[] {
  return unmadeIn(subject.spec).map((at) => {
    const kind = String(at.at(-1));
    const why = kind === "dataVolume" ? "nothing here fills a DataVolume" : "no guest is given that here";
    return problemAt(subject, at, {
      code: "PB2511",
      type: "FieldValueNotSupported",
      message: `A guest with ${kind} is not started: ${why}.`,
      cure: CURES[kind] ?? LEAVE,
    });
  });
}

/** What a VM asks for beside its template, and comes to nothing: sizes by name, and volumes that an importer fills. */
export function unmadeOfVm(subject: Subject, spec: VmSpec): Problem[] {
  const vm = { ...subject, root: ["spec"] };
  const named = (key: "instancetype" | "preference"): string => {
    const name = textAt(spec[key] ?? {}, "name");
    return name === undefined ? key : `${key} "${name}"`;
  };
  const isSized = asksForMemory(subject.spec.domain);
  return [
    ...(spec.instancetype === undefined
      ? []
      : [
          problemAt(vm, ["instancetype"], {
            code: isSized ? "PB2509" : "PB2511",
            type: "FieldValueNotSupported",
            message: isSized
              ? `The ${named("instancetype")} has no effect here: the guest is as large as the template says.`
              : `A guest whose size is an ${named("instancetype")} is not started: nothing here knows sizes by name.`,
            cure: "Write domain.cpu.cores and domain.memory.guest in the template instead.",
          }),
        ]),
    ...(spec.preference === undefined
      ? []
      : [
          problemAt(vm, ["preference"], {
            code: "PB2509",
            type: "FieldValueNotSupported",
            message: `The ${named("preference")} has no effect here: the guest has what the template says.`,
            cure: "Write what it stands for in the template, such as the buses of disks and the models of interfaces.",
          }),
        ]),
    ...unfilledTemplates(subject, spec),
  ];
}

/** Templates of DataVolumes, which CDI would make and fill on a cluster. */
function unfilledTemplates(subject: Subject, { dataVolumeTemplates = [] }: VmSpec): Problem[] {
  const templates = { ...subject, root: ["spec", "dataVolumeTemplates"] };
  return dataVolumeTemplates.map((template, index) => {
    const name = textAt(objectAt(template, "metadata"), "name") ?? "";
    const image = registryImage(template);
    const instead = image === undefined ? "" : `In its volume write containerDisk: {image: "${image}"} instead. Or a`;
    return problemAt(templates, [index], {
      code: "PB2511",
      type: "FieldValueNotSupported",
      message: `The DataVolume "${name}" of a template is neither made nor filled: that takes a cluster's importer (CDI).`,
      cure: `${instead || "A"}pply a PersistentVolumeClaim "${name}", fill its disk image (docs/claims.md), and write persistentVolumeClaim: {claimName: "${name}"} in its volume.`,
    });
  });
}

/** The image that CDI would take the disk from: that of a containerDisk. */
function registryImage(template: Readonly<Record<string, unknown>>): string | undefined {
  const url = textAt(objectAt(objectAt(objectAt(template, "spec"), "source"), "registry"), "url");
  return url === undefined ? undefined : /^docker:\/\/(\S+)$/.exec(url)?.[1];
}
