import { conforms } from "../api/conformity.ts";
import { valueAt } from "../api/field-path.ts";
import type { BindingField } from "../api/interfaces.ts";
import { checkShape, QUANTITY, type ShapeProblem } from "../api/shape.ts";
import { type VirtualMachine, virtualMachine } from "../api/vm.ts";
import { type VirtualMachineInstance, type VmiSpec, virtualMachineInstance, vmiSpec } from "../api/vmi.ts";
import { withZeroes } from "../api/zeroes.ts";
import { advise } from "./advice.ts";
import { judgeBindings, judgeStates } from "./bindings.ts";
import { judgeBootOrder } from "./boot-order.ts";
import { judgeCloudInit } from "./cloud-init.ts";
import { withDefaults } from "./defaults.ts";
import { judgeDhcpOptions } from "./dhcp.ts";
import { judgeDiskSettings } from "./disk-settings.ts";
import { judgeDns } from "./dns.ts";
import { judgeInterfaces } from "./interfaces.ts";
import { judgeLaunchSecurity } from "./launch-security.ts";
import { judgeMachine, judgeMemory } from "./machine.ts";
import { judgeMetadata } from "./metadata.ts";
import { judgeNetworks, LONGEST_LIST } from "./networks.ts";
import { judgePortRanges } from "./port-ranges.ts";
import { judgePorts } from "./ports.ts";
import { judgeProbes } from "./probes.ts";
import type { Problem } from "./problem.ts";
import { readSpec } from "./reading.ts";
import { judgeResources } from "./resources.ts";
import { judgeRunStrategy } from "./run-strategy.ts";
import { type Settings, settingsOf } from "./settings.ts";
import { nicsOf, type Profile, type Subject } from "./subject.ts";
import { unmadeOfVm } from "./unmade.ts";
import { judgeVolumes } from "./volumes.ts";

/** The kinds that the rules are about. */
export const JUDGED_KINDS = ["VirtualMachineInstance", "VirtualMachine"] as const;
export type JudgedKind = (typeof JUDGED_KINDS)[number];

export interface Verdict {
  readonly problems: readonly Problem[];
  /** What is allowed and unwise. */
  readonly advice: readonly Problem[];
  /** Whose rules held; absent where none came to be asked. */
  readonly profile?: Profile;
  /**
   * The object with its defaults, as it would be stored; absent where its shape does not allow to say or where the
   * default NIC is not permitted. A VirtualMachine keeps its template as it is.
   */
  readonly defaulted?: VirtualMachineInstance | VirtualMachine;
}

/**
 * Judges a VirtualMachineInstance or VirtualMachine that is to be created, as KubeVirt's admission does.
 *
 * `configuration` is `spec.configuration` of the KubeVirt resource. Problems of shape come alone: the rules need an
 * object that can be read. Never throws.
 */
export function judge(kind: JudgedKind, object: unknown, configuration?: unknown): Verdict {
  const schema = kind === "VirtualMachine" ? virtualMachine : virtualMachineInstance;
  if (!conforms(schema, object)) {
    const misshapen = checkShape(schema, object).filter((problem) => matters(problem, valueAt(object, problem.at)));
    if (misshapen.length > 0) return { problems: misshapen.map(shapeProblem), advice: [] };
  }
  const settings = settingsOf(configuration);
  return kind === "VirtualMachine"
    ? judgeVm(object as VirtualMachine, settings)
    : judgeVmi(object as VirtualMachineInstance, settings);
}

function judgeVmi(object: VirtualMachineInstance, settings: Settings): Verdict {
  const filled = withDefaults(readSpec(withZeroes(vmiSpec, object.spec) as VmiSpec), settings);
  if (!filled.done) return { problems: [refusedDefault(filled.problem)], advice: [] };
  const subject = subjectOf(filled.spec, ["spec"], settings);
  return {
    problems: [
      ...judgeSpec(subject),
      ...judgeMemory(subject),
      ...judgeMetadata(object.metadata ?? {}, ["metadata"], settings),
    ],
    advice: advise(subject, nicsOf(subject)),
    profile: subject.profile,
    defaulted: { ...object, spec: filled.spec },
  };
}

function judgeVm(object: VirtualMachine, settings: Settings): Verdict {
  const { template } = object.spec;
  // KubeVirt reads a template without a spec as one with an empty spec.
  const spec = readSpec(withZeroes(vmiSpec, template.spec ?? { domain: { devices: {} } }) as VmiSpec);
  const filled = withDefaults(spec, settings);
  const defaulted = { ...object, spec: { ...object.spec, template: { ...template, spec } } };
  if (!filled.done) return { problems: [refusedDefault(filled.problem)], advice: [], defaulted };
  const subject = subjectOf(filled.spec, ["spec", "template", "spec"], settings);
  return {
    problems: [
      ...judgeRunStrategy(object.spec, settings),
      ...judgeMetadata(template.metadata ?? {}, ["spec", "template", "metadata"], settings),
      ...judgeSpec(subject),
    ],
    advice: [...unmadeOfVm(subject, object.spec), ...advise(subject, nicsOf(subject))],
    profile: subject.profile,
    defaulted,
  };
}

function judgeSpec(subject: Subject): Problem[] {
  const nics = nicsOf(subject);
  return [
    ...judgeNetworks(subject),
    ...judgeInterfaces(subject, nics),
    ...judgeBindings(nics),
    ...judgeStates(subject, nics),
    ...judgePorts(subject, nics),
    ...judgePortRanges(nics),
    ...judgeDhcpOptions(nics),
    ...judgeBootOrder(subject),
    ...judgeProbes(subject),
    ...judgeDns(subject),
    ...judgeLaunchSecurity(subject),
    ...judgeVolumes(subject),
    ...judgeDiskSettings(subject),
    ...judgeCloudInit(subject),
    ...judgeMachine(subject),
    ...judgeResources(subject),
  ];
}

function subjectOf(spec: VmiSpec, root: Subject["root"], settings: Settings): Subject {
  return { spec, root, settings, profile: profileOf(spec, settings) };
}

/** Bindings that KubeVirt 1.3 dropped. */
const RETIRED_BINDINGS = ["slirp", "passt", "macvtap"] as const satisfies readonly BindingField[];

/** Bindings that KubeVirt dropped, and lists longer than newer webhooks look at, are judged as KubeVirt 1.1 did. */
function profileOf(spec: VmiSpec, settings: Settings): Profile {
  const { interfaces = [], disks = [] } = spec.domain.devices;
  const { networks = [], volumes = [] } = spec;
  const old =
    settings.defaultBinding === "slirp" ||
    [interfaces, disks, networks, volumes].some((list) => list.length > LONGEST_LIST) ||
    interfaces.some((nic) => RETIRED_BINDINGS.some((field) => nic[field] !== undefined));
  return old ? "v1.1" : "v1.8";
}

function refusedDefault(problem: Pick<Problem, "code" | "message" | "cure">): Problem {
  return { ...problem, type: "", field: "", at: ["spec"] };
}

/**
 * KubeVirt's webhooks do not look at the shape of metadata and status, and read a missing word, number or boolean as
 * empty: rules deal with those. Null in metadata is nothing to them, and amounts may be broken numbers.
 */
function matters({ at, kind, type, expected }: ShapeProblem, value: unknown): boolean {
  if (value === null && (at[0] === "metadata" || at.join(".") === "status")) return false;
  if (kind === "type" && typeof value === "number" && Number.isFinite(value) && expected === QUANTITY) return false;
  if (kind === "unknown") return at[0] !== "metadata" && at[0] !== "status";
  if (kind !== "missing") return true;
  return type !== "string" && type !== "integer" && type !== "boolean" && at.join(".") !== "spec.template.spec";
}

const SHAPE_CODES = { unknown: "PB1002", type: "PB1003", missing: "PB1004", value: "PB1005" } as const;

function shapeProblem({ path, at, kind, expected, found, hint }: ShapeProblem): Problem {
  const message =
    kind === "unknown"
      ? `${path} is not a known field.`
      : kind === "missing"
        ? `${path} is missing.`
        : `${path} is ${found}, and should be ${expected}.`;
  return {
    type: "",
    field: "",
    at,
    code: SHAPE_CODES[kind],
    message,
    ...(hint === undefined ? {} : { cure: `${hint.charAt(0).toUpperCase()}${hint.slice(1)}` }),
  };
}
