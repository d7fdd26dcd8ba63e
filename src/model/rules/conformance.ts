import type { Interface } from "../api/interfaces.ts";
import type { Network } from "../api/networks.ts";
import type { VmiSpec } from "../api/vmi.ts";
import { type JudgedKind, judge } from "./judge.ts";
import type { Profile } from "./subject.ts";

/** What `--cases` answers for one case. */
export interface CaseAnswer {
  readonly id: string;
  readonly allowed: boolean;
  readonly causes: readonly {
    readonly type: string;
    readonly field: string;
    readonly code: string;
    readonly stricter?: true;
  }[];
  /** Networks and interfaces after the defaults, null where a list is empty; null where there is no telling. */
  readonly defaulted: {
    readonly networks: readonly Network[] | null;
    readonly interfaces: readonly Interface[] | null;
  } | null;
}

/** Fields that neither KubeVirt 1.8.4 nor 1.1.1 knows, and Patchbay does. */
const UNKNOWN_TO_KUBEVIRT = {
  networks: ["genie", "resourceClaim"],
  interfaces: ["portRanges"],
} as const;

/** Judges one case as KubeVirt's release would, fields that it does not know included. */
export function answerCase(id: string, kind: JudgedKind, object: unknown, configuration: unknown): CaseAnswer {
  const { problems, defaulted, profile } = judge(kind, object, configuration);
  const spec = defaulted === undefined ? undefined : specOf(defaulted.spec);
  const causes = [
    ...problems.map(({ type, field, code, stricter }) => ({
      type,
      field,
      code,
      ...(stricter === true ? { stricter } : {}),
    })),
    ...(spec === undefined ? [] : unknownFields(spec, profile)),
  ];
  const seen = new Set<string>();
  return {
    id,
    allowed: causes.length === 0,
    causes: causes.filter((cause) => {
      const key = JSON.stringify(cause);
      const again = seen.has(key);
      seen.add(key);
      return !again;
    }),
    defaulted:
      spec === undefined
        ? null
        : { networks: spec.networks ?? null, interfaces: spec.domain.devices.interfaces ?? null },
  };
}

function specOf(spec: VmiSpec | { readonly template: { readonly spec: VmiSpec } }): VmiSpec {
  return "template" in spec ? spec.template.spec : spec;
}

function unknownFields(spec: VmiSpec, profile: Profile | undefined): CaseAnswer["causes"] {
  const networks = spec.networks ?? [];
  const interfaces = spec.domain.devices.interfaces ?? [];
  const found =
    UNKNOWN_TO_KUBEVIRT.networks.some((field) => networks.some((network) => network[field] !== undefined)) ||
    UNKNOWN_TO_KUBEVIRT.interfaces.some((field) => interfaces.some((nic) => nic[field] !== undefined)) ||
    // 1.8.4 knows it, 1.1.1 does not.
    (profile === "v1.1" && interfaces.some((nic) => nic.passtBinding !== undefined));
  return found ? [{ type: "", field: "", code: "PB1002" }] : [];
}
