/** What there is of a kind that Patchbay does not serve. */
export interface ForeignKind {
  /** Whose it is, as a phrase. */
  readonly owner: string;
  /** What to do without it, as a sentence. */
  readonly instead: string;
}

const OF_A_TEMPLATE = "Write each VM of its template as a VirtualMachine or VirtualMachineInstance.";
const OF_A_VM = "Write what it says into the VirtualMachine itself.";
const NOTHING = "Leave it out here: nothing reads it.";

/** KubeVirt's kinds by their group (KubeVirt 1.8), less those that Patchbay serves. */
const KUBEVIRT: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "kubevirt.io": { VirtualMachineInstanceReplicaSet: OF_A_TEMPLATE, VirtualMachineInstancePreset: OF_A_VM },
  "pool.kubevirt.io": { VirtualMachinePool: OF_A_TEMPLATE },
  "instancetype.kubevirt.io": {
    VirtualMachineInstancetype: OF_A_VM,
    VirtualMachineClusterInstancetype: OF_A_VM,
    VirtualMachinePreference: OF_A_VM,
    VirtualMachineClusterPreference: OF_A_VM,
  },
  "clone.kubevirt.io": { VirtualMachineClone: "Write the clone as a VirtualMachine with MACs of its own." },
  "snapshot.kubevirt.io": {
    VirtualMachineSnapshot: NOTHING,
    VirtualMachineSnapshotContent: NOTHING,
    VirtualMachineRestore: NOTHING,
  },
  "export.kubevirt.io": { VirtualMachineExport: NOTHING },
  "backup.kubevirt.io": { VirtualMachineBackup: NOTHING, VirtualMachineBackupTracker: NOTHING },
  "migrations.kubevirt.io": { MigrationPolicy: NOTHING },
};

/** Kinds of Kubernetes whose names are near those of kinds that are served. */
const KUBERNETES: Readonly<Record<string, string>> = {
  "v1 Endpoints": NOTHING,
  "apiregistration.k8s.io APIService": NOTHING,
};

/** A kind that is known and not served, whatever version its group is written in; undefined for any other. */
export function foreignKind(apiVersion: string, kind: string): ForeignKind | undefined {
  const [group = ""] = apiVersion.split("/");
  const kinds = Object.hasOwn(KUBEVIRT, group) ? KUBEVIRT[group] : undefined;
  const instead = kinds !== undefined && Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
  if (instead !== undefined) return { owner: "KubeVirt's", instead };
  const name = `${group} ${kind}`;
  const other = Object.hasOwn(KUBERNETES, name) ? KUBERNETES[name] : undefined;
  return other === undefined ? undefined : { owner: "Kubernetes'", instead: other };
}
