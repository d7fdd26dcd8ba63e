import { type FieldPath, fieldPath } from "../api/field-path.ts";
import type { Interface } from "../api/interfaces.ts";
import type { Network } from "../api/networks.ts";
import type { VmiSpec } from "../api/vmi.ts";
import type { CauseType, Problem, RuleCode } from "./problem.ts";
import type { Settings } from "./settings.ts";

/** Whose rules hold: KubeVirt 1.1.1's where a binding is used that later ones dropped, else 1.8.4's. */
export type Profile = "v1.1" | "v1.8";

/** A VMI's spec that is judged, wherever it stands, with all that the verdict depends on. */
export interface Subject {
  /** Defaults applied, zero values as KubeVirt reads them. */
  readonly spec: VmiSpec;
  /** `spec` of a VMI, `spec.template.spec` of a VM. */
  readonly root: FieldPath;
  readonly settings: Settings;
  readonly profile: Profile;
}

/** One interface of a subject with its network. */
export interface Nic {
  readonly subject: Subject;
  readonly nic: Interface;
  readonly index: number;
  /** The network of that name; absent where there is none, the last one where there are several. */
  readonly network?: Network;
}

/** What is wrong, and what to do; the rest follows from the place. */
export interface Fault {
  readonly code: RuleCode;
  readonly type: CauseType;
  readonly message: string;
  readonly expected?: string;
  readonly cure?: string;
  readonly stricter?: true;
  /** Where KubeVirt names another field than the one at fault. */
  readonly field?: string;
}

/** A problem at a place below the subject's root. */
export function problemAt(subject: Subject, keys: FieldPath, { field, ...fault }: Fault): Problem {
  const at = [...subject.root, ...keys];
  return { ...fault, field: field ?? fieldPath(at), at };
}

/** A problem at a place below an interface. */
export function nicProblem(nic: Nic, keys: FieldPath, fault: Fault): Problem {
  return problemAt(nic.subject, [...interfacePath(nic.index), ...keys], fault);
}

/** Where an interface stands below the root. */
export function interfacePath(index: number): FieldPath {
  return ["domain", "devices", "interfaces", index];
}

/** A place below the root as text. */
export function nameOf(subject: Subject, keys: FieldPath): string {
  return fieldPath([...subject.root, ...keys]);
}

export function interfacesOf(spec: VmiSpec): readonly Interface[] {
  return spec.domain.devices.interfaces ?? [];
}

export function networksOf(spec: VmiSpec): readonly Network[] {
  return spec.networks ?? [];
}

/** The interfaces with their networks. */
export function nicsOf(subject: Subject): Nic[] {
  const networkByName = new Map(networksOf(subject.spec).map((network) => [network.name, network]));
  return interfacesOf(subject.spec).map((nic, index) => {
    const network = networkByName.get(nic.name);
    return { subject, nic, index, ...(network === undefined ? {} : { network }) };
  });
}
