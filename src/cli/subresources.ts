import { join } from "node:path";
import type { Duplex } from "node:stream";
import type { GroupDocument, Subresource, SubresourceCall } from "../apiserver/subresources.ts";
import type { KubeClient } from "../client/client.ts";
import { pauseVmi } from "../control/pause-requests.ts";
import { conflict, restartVm, startVm, stopVm } from "../control/vm-requests.ts";
import { openConsole } from "../host/guest/console.ts";
import { guestFiles } from "../host/guest/guest-files.ts";
import { openScreen } from "../host/guest/screen.ts";
import { vmiResource } from "../model/api/references.ts";
import { ApiError, failure } from "../model/api/status.ts";
import { isFault, sentence } from "../model/fault.ts";
import type { AgentReport } from "../model/guest/agent.ts";
import type { Vmi } from "./api-access.ts";
import { guestDocuments } from "./guest-documents.ts";
import { connectPort } from "./port-forward.ts";

/** What the calls are carried out with. */
export interface SubresourceParts {
  /** There once the API answers. */
  readonly client: () => KubeClient;
  /** `D/guests`. */
  readonly guestsDir: string;
  /** What is known of the agent in a pod's guest. */
  readonly agentOf: (podUid: string) => AgentReport | undefined;
}

const PLACE = { group: "subresources.kubevirt.io", versions: ["v1", "v1alpha3"] } as const;

/** What virtctl compares its own version with: the KubeVirt whose rules hold here. */
export const kubevirtVersion: GroupDocument = {
  ...PLACE,
  name: "version",
  content: {
    gitVersion: "v1.8.4+patchbay",
    gitCommit: "",
    gitTreeState: "clean",
    buildDate: "1970-01-01T00:00:00Z",
    goVersion: "",
    compiler: "node",
    platform: "linux/amd64",
  },
};

/** KubeVirt's calls below VMs and VMIs, as virtctl makes them. */
export function kubevirtSubresources({ client, guestsDir, agentOf }: SubresourceParts): readonly Subresource[] {
  const folder: GuestFolder = (vmi) => join(guestsDir, Object.keys(vmi.status?.activePods ?? {})[0] ?? "");
  const ofVm = { ...PLACE, plural: "virtualmachines", verb: "update", answers: 202 } as const;
  const ofVmi = { ...PLACE, plural: "virtualmachineinstances" } as const;
  const pausing = { ...ofVmi, verb: "update", answers: 200 } as const;
  return [
    { ...ofVm, subresource: "start", act: (call) => startVm(client(), call) },
    { ...ofVm, subresource: "stop", act: (call) => stopVm(client(), call) },
    { ...ofVm, subresource: "restart", act: (call) => restartVm(client(), call) },
    { ...pausing, subresource: "pause", act: (call) => pauseVmi(client(), call, true) },
    { ...pausing, subresource: "unpause", act: (call) => pauseVmi(client(), call, false) },
    {
      ...ofVmi,
      subresource: "console",
      verb: "get",
      protocols: ["plain.kubevirt.io", "binary"],
      open: (call) => consoleOf(client(), folder, call),
    },
    {
      ...ofVmi,
      subresource: "vnc",
      verb: "get",
      protocols: ["plain.kubevirt.io", "binary"],
      open: (call) => vncOf(client(), folder, call),
    },
    ...["virtualmachines", "virtualmachineinstances"].map(
      (plural): Subresource => ({
        ...PLACE,
        plural,
        subresource: "portforward",
        takes: 2,
        verb: "get",
        protocols: ["plain.kubevirt.io", "binary"],
        open: async (call) => connectPort(await runningVmi(client(), call), call.path),
      }),
    ),
    ...guestDocuments(ofVmi, { running: (call) => runningVmi(client(), call), agentOf }),
  ];
}

type GuestFolder = (vmi: Vmi) => string;

/** The serial console of a guest of this machine. */
async function consoleOf(client: KubeClient, folder: GuestFolder, call: SubresourceCall): Promise<Duplex> {
  const vmi = await runningVmi(client, call);
  return unlessRefused(call, () => openConsole(guestFiles(folder(vmi)).serial));
}

/** The screen of a guest of this machine, as QEMU's VNC server speaks. */
async function vncOf(client: KubeClient, folder: GuestFolder, call: SubresourceCall): Promise<Duplex> {
  const vmi = await runningVmi(client, call);
  if (vmi.spec.domain.devices.autoattachGraphicsDevice === false) {
    throw new ApiError("PB6010", failure(400, "BadRequest", "No graphics devices are present."));
  }
  return unlessRefused(call, () => openScreen(guestFiles(folder(vmi)).vnc));
}

async function runningVmi(client: KubeClient, { namespace, name }: SubresourceCall): Promise<Vmi> {
  const vmi = await client.get<Vmi>(vmiResource, { namespace, name });
  if (vmi.status?.phase === "Running" && Object.keys(vmi.status.activePods ?? {}).length > 0) return vmi;
  throw conflict({ name }, "VMI is not running", "virtualmachineinstance");
}

async function unlessRefused({ name }: SubresourceCall, open: () => Promise<Duplex>): Promise<Duplex> {
  try {
    return await open();
  } catch (thrown) {
    if (!isFault(thrown, "PB5061") && !isFault(thrown, "PB5078")) throw thrown;
    throw conflict({ name }, sentence(thrown), "virtualmachineinstance");
  }
}
