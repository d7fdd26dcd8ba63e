import { attachConsole } from "../host/guest/console.ts";
import { guestFiles } from "../host/guest/guest-files.ts";
import { Fault } from "../model/fault.ts";
import { getVmi, vmiReference, withApi } from "./api-access.ts";
import { dataPaths } from "./paths.ts";

/** Options of `patchbay console`. */
export interface ConsoleOptions {
  readonly dataDir: string;
  readonly namespace: string;
}

/** Connects the terminal with a VMI's serial console until Ctrl-]. */
export async function consoleOf(name: string, options: ConsoleOptions): Promise<number> {
  const paths = dataPaths(options.dataDir);
  const vmi = await withApi(paths, (client) => getVmi(client, vmiReference(name, options.namespace)));
  const [podUid] = Object.keys(vmi.status?.activePods ?? {});
  if (podUid === undefined || vmi.status?.phase !== "Running") {
    throw new Fault(
      "PB6114",
      `The VM ${vmi.metadata.namespace}/${vmi.metadata.name} does not run (phase ${vmi.status?.phase ?? "none"}).`,
      {
        place: name,
        cure: `kubectl describe vmi -n ${vmi.metadata.namespace} ${vmi.metadata.name}`,
      },
    );
  }
  await attachConsole(guestFiles(`${paths.guests}/${podUid}`).serial, process.stdin, process.stdout);
  return 0;
}
