import { type FieldPath, fieldPath } from "../api/field-path.ts";
import type { Problem } from "./problem.ts";
import type { Settings } from "./settings.ts";
import { isSpoofGuardOn, SPOOF_GUARD_ANNOTATION } from "./spoof-guard.ts";

/** Labels that only KubeVirt's own programs may set. */
const RESERVED_LABELS = [
  "kubevirt.io/created-by",
  "kubevirt.io/migrationJobUID",
  "kubevirt.io/nodeName",
  "kubevirt.io/migrationTargetNodeName",
  "kubevirt.io/schedulable",
  "kubevirt.io/install-strategy",
];

const GATED_ANNOTATIONS = [
  { annotation: "kubevirt.io/ignitiondata", gate: "ExperimentalIgnitionSupport" },
  { annotation: "hooks.kubevirt.io/hookSidecars", gate: "Sidecar" },
] as const;

/** Labels and annotations of a VMI, or of the template of a VM. */
export function judgeMetadata(
  metadata: {
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  },
  root: FieldPath,
  settings: Settings,
): Problem[] {
  const labels = Object.keys(metadata.labels ?? {}).filter((label) => RESERVED_LABELS.includes(label));
  const annotations = GATED_ANNOTATIONS.filter(
    ({ annotation, gate }) => (metadata.annotations?.[annotation] ?? "") !== "" && !settings.gates.has(gate),
  );
  const guard = metadata.annotations?.[SPOOF_GUARD_ANNOTATION];
  return [
    ...(guard === undefined || isSpoofGuardOn(guard) !== undefined ? [] : [neither(SPOOF_GUARD_ANNOTATION, root)]),
    ...labels.map(
      (label): Problem => ({
        code: "PB2402",
        type: "FieldValueNotSupported",
        field: fieldPath([...root, "labels"]),
        at: [...root, "labels", label],
        message: `The label ${label} is reserved.`,
        cure: "Remove it: the system sets it by itself.",
      }),
    ),
    ...annotations.map(
      ({ annotation, gate }): Problem => ({
        code: "PB2403",
        type: "FieldValueInvalid",
        field: fieldPath([...root, "annotations"]),
        at: [...root, "annotations", annotation],
        message: `The annotation ${annotation} is used, and the feature gate ${gate} is not open.`,
        cure: `Add ${gate} to spec.configuration.developerConfiguration.featureGates of the KubeVirt resource.`,
      }),
    ),
  ];
}

function neither(annotation: string, root: FieldPath): Problem {
  const at = [...root, "annotations", annotation];
  return {
    code: "PB1005",
    type: "FieldValueNotSupported",
    field: fieldPath(at),
    at,
    message: `The annotation ${annotation} is neither "true" nor "false".`,
    expected: '"true" or "false"',
    cure: 'Write "true" or "false", or leave it out: then the KubeVirt resource\'s says it.',
  };
}
