import { type KubeClient, makeKubeClient } from "../client/client.ts";
import { loadKubeconfig } from "../client/kubeconfig.ts";
import { vmiResource } from "../model/api/references.ts";
import { isApiError } from "../model/api/status.ts";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import { Fault } from "../model/fault.ts";
import { shellWord } from "../model/shell-word.ts";
import { livingDaemon } from "./daemon-process.ts";
import type { DataPaths } from "./paths.ts";

/** A VMI as the API has it. */
export type Vmi = Stored<VirtualMachineInstance>;

/** Works with the API of the data folder's daemon; PB6112 where none runs. */
export async function withApi<T>(paths: DataPaths, work: (client: KubeClient) => Promise<T>): Promise<T> {
  if (livingDaemon(paths) === undefined) {
    throw new Fault("PB6112", `No daemon answers for ${paths.root}.`, {
      place: paths.root,
      cure: `Start one: patchbay up --detach --data-dir ${shellWord(paths.root)}`,
    });
  }
  const client = makeKubeClient(loadKubeconfig(paths.kubeconfig));
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

/** Reads `name`, `namespace/name`, `vmi/name` or `vmi/namespace/name`; PB6115 for anything else. */
export function vmiReference(text: string, namespace: string): { readonly namespace: string; readonly name: string } {
  const parts = text.replace(/^(vmis?|virtualmachineinstances?)\//, "").split("/");
  const [first = "", second] = parts;
  if (parts.length > 2 || parts.includes("")) {
    throw new Fault("PB6115", `"${text}" is not the name of a VirtualMachineInstance.`, {
      place: text,
      cure: "Write NAME or NAMESPACE/NAME. List them: kubectl get vmi -A",
    });
  }
  return second === undefined ? { namespace, name: first } : { namespace: first, name: second };
}

/** The VMI of that name; PB6115 where there is none. */
export async function getVmi(
  client: KubeClient,
  ref: { readonly namespace: string; readonly name: string },
): Promise<Vmi> {
  try {
    return await client.get<Vmi>(vmiResource, ref);
  } catch (thrown) {
    if (!isApiError(thrown, "NotFound")) throw thrown;
    throw new Fault("PB6115", `There is no VirtualMachineInstance ${ref.namespace}/${ref.name}.`, {
      place: `${ref.namespace}/${ref.name}`,
      cure: "List them: kubectl get vmi -A",
    });
  }
}
