import type { RefusedSubresource, Subresource } from "../apiserver/subresources.ts";
import type { KubeClient } from "../client/client.ts";
import { ApiError, failure } from "../model/api/status.ts";
import type { PodLogParts } from "../node/pod-logs.ts";
import { textOfPodLog } from "./pod-logs.ts";

/** What the calls are carried out with. */
export interface PodSubresourceParts extends PodLogParts {
  /** There once the API answers. */
  readonly client: () => KubeClient;
}

const OF_POD = { group: "", versions: ["v1"], plural: "pods" } as const;

/** What instead of a call that needs containers. */
const INSTEAD = {
  exec: "log in on the guest's serial console (./patchbay console VMI, virtctl console VMI) or by ssh",
  attach: "the guest's serial console is ./patchbay console VMI, or virtctl console VMI",
  portforward: "use virtctl port-forward, or on this machine the addresses that `kubectl get vmi -o wide` shows",
  ephemeralcontainers: "log in on the guest's serial console (./patchbay console VMI, virtctl console VMI)",
} as const;

/** Kubernetes' calls below pods, as kubectl makes them: `logs` is answered, the others say what to do instead. */
export function podSubresources({ client, ...parts }: PodSubresourceParts): readonly Subresource[] {
  return [
    { ...OF_POD, subresource: "log", verb: "get", text: (call) => textOfPodLog(client(), parts, call) },
    ...Object.entries(INSTEAD).map(([subresource, instead]) => refused(subresource, instead)),
  ];
}

function refused(subresource: string, instead: string): RefusedSubresource {
  return {
    ...OF_POD,
    subresource,
    verb: "none",
    refusal: ({ name }) => {
      const message = `pods/${subresource} is not served: the pod "${name}" is a virtual machine's and runs no containers; ${instead}`;
      return new ApiError("PB6010", failure(405, "MethodNotAllowed", message, { name, kind: "pods" }));
    },
  };
}
