import type { StatusCause } from "../model/api/admission.ts";
import type { KubeObject } from "../model/api/resource.ts";
import { KEPT_INTERFACES_ANNOTATION, readKeptInterfaces } from "../model/pods/kept-interfaces.ts";
import { PAUSED_ANNOTATION } from "../model/pods/pause.ts";
import { isSpoofGuardOn, SPOOF_GUARD_ANNOTATION } from "../model/rules/spoof-guard.ts";

/** What is wrong with those annotations of a VMI that the node acts on; others are nobody's business here. */
export function judgeOwnAnnotations({ metadata }: KubeObject): readonly StatusCause[] {
  const { annotations = {} } = metadata;
  const kept = annotations[KEPT_INTERFACES_ANNOTATION];
  const paused = annotations[PAUSED_ANNOTATION];
  const guard = annotations[SPOOF_GUARD_ANNOTATION];
  return [
    ...(kept === undefined || readKeptInterfaces(kept) !== undefined
      ? []
      : [
          cause(
            KEPT_INTERFACES_ANNOTATION,
            "FieldValueInvalid",
            'PB1003: It is no JSON list of NICs such as [{"name":"default","mac":"02:00:00:00:00:01"}]. Leave it out: the VM controller writes it.',
          ),
        ]),
    ...(paused === undefined || paused === "true" || paused === "false"
      ? []
      : [cause(PAUSED_ANNOTATION, "FieldValueNotSupported", 'PB1005: It is neither "true" nor "false".')]),
    ...(guard === undefined || isSpoofGuardOn(guard) !== undefined
      ? []
      : [cause(SPOOF_GUARD_ANNOTATION, "FieldValueNotSupported", 'PB1005: It is neither "true" nor "false".')]),
  ];
}

function cause(annotation: string, reason: string, message: string): StatusCause {
  return { reason, message, field: `metadata.annotations[${annotation}]` };
}
