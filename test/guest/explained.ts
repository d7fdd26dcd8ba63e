import assert from "node:assert/strict";
import type { BindingField } from "../../src/model/api/interfaces.ts";
import type { Claim, Topic } from "../../src/model/explain/claim.ts";
import type { ExplainedNic, Explanation } from "../../src/model/explain/explain.ts";
import { eventually, type TestHost } from "../daemon.ts";

/** What `patchbay explain VMI` says of the only NIC of a VMI, once it goes by the VMI's own pod. */
export async function explained(host: TestHost, name: string): Promise<ExplainedNic> {
  const explanation = await eventually(`the facts of ${name}`, async () => {
    const { code, stdout, stderr } = await host.patchbay(["explain", name, "-o", "json"]);
    assert.equal(code, 0, stderr);
    const said: Explanation = JSON.parse(stdout);
    return said.running && said;
  });
  const [nic] = explanation.nics;
  assert.ok(nic !== undefined);
  return nic;
}

/** Finds the claims of a binding. */
export function claimOf(binding: BindingField): (nic: ExplainedNic, topic: Topic) => Claim {
  return (nic, topic) => {
    const found = nic.claims.find(({ id }) => id === `${binding}.${topic}`);
    assert.ok(found !== undefined, topic);
    return found;
  };
}

export function texts(value: unknown): readonly string[] {
  assert.ok(Array.isArray(value));
  return value.map(String);
}

/** Whether an echo request to an address is answered, within so many seconds, while the guest stands still. */
export async function answersFrozen(host: TestHost, name: string, address: string, seconds = 2): Promise<boolean> {
  const { qemuPid } = await host.guest(name);
  process.kill(qemuPid, "SIGSTOP");
  try {
    return await answers(host, address, seconds);
  } finally {
    process.kill(qemuPid, "SIGCONT");
  }
}

/** Long enough for an answer that is to come. */
export const COMES_SECONDS = 30;

/** Whether an echo request to an address is answered within so many seconds. */
export async function answers(host: TestHost, address: string, seconds = 5): Promise<boolean> {
  const family = address.includes(":") ? "-6" : "-4";
  const { code } = await host.run(["busybox", "ping", family, "-c", "1", "-W", String(seconds), address]);
  return code === 0;
}
