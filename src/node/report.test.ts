import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { makeFolder, startSample } from "../../test/kernel/apiserver-sample.ts";
import { lastFirst } from "../../test/last-first.ts";
import { changeStatus } from "../client/change-status.ts";
import { makeEventRecorder } from "../client/events.ts";
import { definitions } from "../model/api/kinds.ts";
import { vmiResource } from "../model/api/references.ts";
import type { KubeObject } from "../model/api/resource.ts";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import type { VmiStatus } from "../model/api/vmi-status.ts";
import { Fault } from "../model/fault.ts";
import { makeReporter } from "./report.ts";

type Vmi = Stored<VirtualMachineInstance>;

test("a guest that runs on with a fault is not said to be down", async (t) => {
  const after = lastFirst(t);
  const { folder, remove } = makeFolder();
  after(remove);
  const { client, stop } = await startSample(folder, { definitions });
  after(() => stop());
  const events = makeEventRecorder(client, "test", pino({ level: "silent" }));
  after(() => events.flush());
  const report = makeReporter(client, events, { nodeName: "here", accel: "tcg", accelReason: "" });
  const { metadata } = await client.create<KubeObject>(vmiResource, {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name: "one", namespace: "default" },
    spec: { domain: { devices: {} } },
  });
  const stored = (): Promise<Vmi> => client.get<Vmi>(vmiResource, metadata);
  const reasons = async (): Promise<readonly (string | undefined)[]> => {
    const { status } = await stored();
    return ["Synchronized", "Ready"].map((type) => status?.conditions?.find((one) => one.type === type)?.reason);
  };
  const fault = new Fault("PB6105", 'The macvtap "net1" of the running guest was deleted.');

  await report.failing(await stored(), fault);
  assert.deepEqual(await reasons(), ["PB6105", "GuestNotRunning"]);
  await changeStatus<VmiStatus, Vmi>(client, vmiResource, await stored(), (status) => ({
    ...status,
    phase: "Running",
  }));
  await report.failing(await stored(), fault);
  assert.deepEqual(await reasons(), ["PB6105", "PB6105"]);
});
