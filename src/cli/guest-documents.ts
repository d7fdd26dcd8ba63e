import type { DocumentSubresource, SubresourceCall } from "../apiserver/subresources.ts";
import { conflict } from "../control/vm-requests.ts";
import type { AgentAnswers, AgentReport } from "../model/guest/agent.ts";
import type { JsonObject } from "../model/json.ts";
import type { Vmi } from "./api-access.ts";

/** What of a guest's agent can be read through the API. */
export interface GuestDocumentParts {
  /** A VMI that runs. Throws ApiError where there is none. */
  readonly running: (call: SubresourceCall) => Promise<Vmi>;
  /** What is known of the agent in a pod's guest. */
  readonly agentOf: (podUid: string) => AgentReport | undefined;
}

type Place = Omit<DocumentSubresource, "subresource" | "verb" | "read">;

/** KubeVirt's calls that tell what the agent in a guest says, as `virtctl guestosinfo`, `userlist` and `fslist` make them. */
export function guestDocuments(place: Place, { running, agentOf }: GuestDocumentParts): readonly DocumentSubresource[] {
  const document = (
    subresource: string,
    content: (said: AgentAnswers, agent: AgentReport) => JsonObject,
  ): DocumentSubresource => ({
    ...place,
    subresource,
    verb: "get",
    async read(call) {
      const vmi = await running(call);
      const agent = Object.keys(vmi.status?.activePods ?? {}).flatMap((uid) => agentOf(uid) ?? [])[0];
      if (agent?.channel === "open" && agent.said !== undefined) return content(agent.said, agent);
      throw conflict({ name: call.name }, "VMI does not have guest agent connected", "virtualmachineinstance");
    },
  });
  return [
    document("guestosinfo", osInfo),
    document("userlist", ({ users = [] }) => list("VirtualMachineInstanceGuestOSUserList", users)),
    document("filesystemlist", ({ filesystems = [] }) => list("VirtualMachineInstanceFileSystemList", filesystems)),
  ];
}

function osInfo({ os, hostname, timezone, version, users = [], filesystems = [] }: AgentAnswers): JsonObject {
  return {
    kind: "VirtualMachineInstanceGuestAgentInfo",
    apiVersion: "subresources.kubevirt.io/v1",
    ...(version === undefined ? {} : { guestAgentVersion: version }),
    ...(hostname === undefined ? {} : { hostname }),
    os: { ...os },
    ...(timezone === undefined ? {} : { timezone }),
    userList: users,
    fsInfo: { disks: filesystems },
  };
}

function list(kind: string, items: readonly object[]): JsonObject {
  return { kind, apiVersion: "subresources.kubevirt.io/v1", metadata: {}, items };
}
