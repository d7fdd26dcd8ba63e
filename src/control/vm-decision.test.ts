import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachine, VmStatus } from "../model/api/vm.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import type { VmiPhase, VmiStatus } from "../model/api/vmi-status.ts";
import { keptInterfaces } from "../model/pods/kept-interfaces.ts";
import { decideVm, VM_FINALIZER, type VmAction } from "./vm-decision.ts";

const NOW = Date.parse("2026-01-01T01:00:00Z");
const AT = "2026-01-01T01:00:00Z";

function vmWith(spec: Partial<VirtualMachine["spec"]>, status: Partial<VmStatus> = {}): Stored<VirtualMachine> {
  return {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachine",
    metadata: {
      name: "web",
      namespace: "default",
      uid: "vm-1",
      resourceVersion: "1",
      generation: 3,
      finalizers: [VM_FINALIZER],
    },
    spec: {
      template: {
        metadata: { labels: { app: "x" }, annotations: { a: "b" } },
        spec: {
          domain: { devices: { interfaces: [{ name: "default", masquerade: {} }] } },
          networks: [{ name: "default", pod: {} }],
        },
      },
      ...spec,
    },
    status,
  };
}

/** The VM's VMI in a phase; `ran`: for how many seconds, where it did. */
function vmiIn(phase: VmiPhase, more: { readonly ran?: number; readonly uid?: string } = {}) {
  const end = "2026-01-01T00:59:59Z";
  const begin = new Date(Date.parse(end) - (more.ran ?? 0) * 1_000).toISOString();
  const status: VmiStatus = {
    phase,
    phaseTransitionTimestamps: [
      ...(more.ran === undefined ? [] : [{ phase: "Running", phaseTransitionTimestamp: begin }]),
      { phase, phaseTransitionTimestamp: end },
    ],
  };
  return {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: {
      name: "web",
      namespace: "default",
      uid: more.uid ?? "vmi-1",
      resourceVersion: "2",
      annotations: { "kubevirt.io/vm-generation": "2" },
      ownerReferences: [{ apiVersion: "kubevirt.io/v1", kind: "VirtualMachine", name: "web", uid: "vm-1" }],
    },
    spec: {
      domain: { devices: { interfaces: [{ name: "default", masquerade: {} }] } },
      networks: [{ name: "default", pod: {} }],
    },
    status,
  } satisfies Stored<VirtualMachineInstance>;
}

function decided(vm: Stored<VirtualMachine>, vmi?: Stored<VirtualMachineInstance>): readonly VmAction[] {
  return decideVm({ vm, vmi, now: NOW });
}

/** What is done, in order, but for the status. */
function deeds(vm: Stored<VirtualMachine>, vmi?: Stored<VirtualMachineInstance>): string {
  const acts = decided(vm, vmi).filter((action) => action.do !== "status" && action.do !== "event");
  return acts.map((action) => action.do).join(" ");
}

function statusOf(vm: Stored<VirtualMachine>, vmi?: Stored<VirtualMachineInstance>): Partial<VmStatus> {
  const action = decided(vm, vmi).find((one) => one.do === "status");
  assert.ok(action?.do === "status");
  return action.change(vm.status ?? {}, AT);
}

const stopAsked = { stateChangeRequests: [{ action: "Stop", uid: "vmi-1" }] } as const;
const startAsked = { stateChangeRequests: [{ action: "Start" }] } as const;

describe("a run strategy", () => {
  const cases: readonly [string, Partial<VirtualMachine["spec"]>, Partial<VmStatus>, VmiPhase | undefined, string][] = [
    ["Always starts", { runStrategy: "Always" }, {}, undefined, "vmi.create"],
    ["running: true is Always", { running: true }, {}, undefined, "vmi.create"],
    ["Always leaves a guest that runs", { runStrategy: "Always" }, {}, "Running", ""],
    ["Always starts again after a shutdown", { runStrategy: "Always" }, {}, "Succeeded", "vmi.delete"],
    ["Always starts again after a failure", { runStrategy: "Always" }, {}, "Failed", "vmi.delete"],
    ["Always restarts when asked", { runStrategy: "Always" }, stopAsked, "Running", "vmi.delete"],
    ["Halted stops", { runStrategy: "Halted" }, {}, "Running", "vmi.delete"],
    ["running: false is Halted", { running: false }, {}, "Running", "vmi.delete"],
    ["Halted starts nothing", { runStrategy: "Halted" }, {}, undefined, ""],
    ["Halted that is started paused becomes Always", { runStrategy: "Halted" }, startAsked, undefined, "unhalt"],
    ["Manual waits to be asked", { runStrategy: "Manual" }, {}, undefined, ""],
    ["Manual starts when asked", { runStrategy: "Manual" }, startAsked, undefined, "vmi.create"],
    ["Manual stops when asked", { runStrategy: "Manual" }, stopAsked, "Running", "vmi.delete"],
    ["Manual keeps what has ended", { runStrategy: "Manual" }, {}, "Failed", ""],
    ["Once starts", { runStrategy: "Once" }, {}, undefined, "vmi.create"],
    ["Once does not start again after a shutdown", { runStrategy: "Once" }, {}, "Succeeded", ""],
    ["Once does not start again after a failure", { runStrategy: "Once" }, {}, "Failed", ""],
    ["RerunOnFailure starts", { runStrategy: "RerunOnFailure" }, {}, undefined, "vmi.create"],
    ["RerunOnFailure starts again after a failure", { runStrategy: "RerunOnFailure" }, {}, "Failed", "vmi.delete"],
    ["RerunOnFailure clears a guest that shut down", { runStrategy: "RerunOnFailure" }, {}, "Succeeded", "vmi.delete"],
    [
      "RerunOnFailure then stays stopped",
      { runStrategy: "RerunOnFailure" },
      { runStrategy: "RerunOnFailure" },
      undefined,
      "",
    ],
    [
      "RerunOnFailure starts when asked",
      { runStrategy: "RerunOnFailure" },
      { runStrategy: "RerunOnFailure", ...startAsked },
      undefined,
      "vmi.create",
    ],
  ];
  for (const [name, spec, status, phase, expected] of cases) {
    test(name, () =>
      assert.equal(
        deeds(vmWith(spec, status), phase === undefined ? undefined : vmiIn(phase, { ran: 1_000 })),
        expected,
      ),
    );
  }

  test("RerunOnFailure keeps in its status that a start follows, before the failed VMI goes", () => {
    const vm = vmWith({ runStrategy: "RerunOnFailure" }, { runStrategy: "RerunOnFailure" });
    const failed = vmiIn("Failed", { ran: 1_000 });
    assert.deepEqual(
      decided(vm, failed).map((action) => action.do),
      ["status", "vmi.delete", "event"],
    );
    const status = statusOf(vm, failed);
    assert.deepEqual(status.stateChangeRequests, [{ action: "Start" }]);
    assert.equal(deeds({ ...vm, status }), "vmi.create");
    assert.deepEqual(statusOf({ ...vm, status }, failed).stateChangeRequests, [{ action: "Start" }], "once");
  });

  test("a restart is a stop and then a start; each goes when it is met", () => {
    const vm = vmWith(
      { runStrategy: "Manual" },
      { stateChangeRequests: [...stopAsked.stateChangeRequests, { action: "Start" }] },
    );
    assert.equal(deeds(vm, vmiIn("Running")), "vmi.delete");
    assert.equal(deeds(vm), "vmi.create");
    assert.deepEqual(statusOf(vm).stateChangeRequests, [{ action: "Start" }]);
    assert.equal(statusOf(vm, vmiIn("Scheduling", { uid: "vmi-2" })).stateChangeRequests, undefined);
  });

  test("a VMI that is going is waited for", () => {
    const going = vmiIn("Running");
    const deleted = { ...going, metadata: { ...going.metadata, deletionTimestamp: AT } };
    assert.equal(deeds(vmWith({ runStrategy: "Always" }), deleted), "");
    assert.equal(statusOf(vmWith({ runStrategy: "Always" }), deleted).printableStatus, "Stopping");
  });
});

describe("failures in a row", () => {
  /** Seconds until the next start, for guests that failed one after the other after so many seconds (or before they ran). */
  function waits(ran: readonly (number | undefined)[]): number[] {
    let status: Partial<VmStatus> = {};
    return ran.map((seconds, index) => {
      const vm = vmWith({ runStrategy: "Always" }, status);
      const failed = vmiIn("Failed", { uid: `vmi-${index}`, ...(seconds === undefined ? {} : { ran: seconds }) });
      status = statusOf(vm, failed);
      assert.deepEqual(statusOf({ ...vm, status }, failed), status, "one failure counts once");
      return (Date.parse(status.startFailure?.retryAfterTimestamp ?? "") - NOW) / 1_000;
    });
  }

  test("are waited for ever longer, at most 300 s, where the guest never ran", () => {
    assert.deepEqual(waits(Array.from({ length: 8 }, () => undefined)), [10, 20, 40, 80, 160, 300, 300, 300]);
  });

  test("are let off once where it ran, and begin anew after five minutes", () => {
    assert.deepEqual(waits([2, 2, 2, 400, 2]), [0, 10, 20, 0, 10]);
  });

  test("show as CrashLoopBackOff, and the next start waits", () => {
    const startFailure = { consecutiveFailCount: 2, retryAfterTimestamp: "2026-01-01T01:00:07Z" };
    const vm = vmWith({ runStrategy: "Always" }, { startFailure });
    assert.deepEqual(decided(vm).at(-1), { do: "again", ms: 7_000 });
    assert.equal(statusOf(vm).printableStatus, "CrashLoopBackOff");
    const late = vmWith({ runStrategy: "Always" }, { startFailure: { ...startFailure, retryAfterTimestamp: AT } });
    assert.equal(deeds(late), "vmi.create");
    const rerun = vmWith({ runStrategy: "RerunOnFailure" }, { startFailure, runStrategy: "Halted" });
    assert.equal(statusOf(rerun).runStrategy, "Halted", "a start that waits is still owed");
  });

  test("are forgotten when the guest shuts down by itself, and with another strategy", () => {
    const startFailure = { consecutiveFailCount: 2, lastFailedVMIUID: "vmi-0" };
    const shut = statusOf(vmWith({ runStrategy: "Always" }, { startFailure }), vmiIn("Succeeded", { ran: 3 }));
    assert.equal(shut.startFailure, undefined);
    assert.equal(statusOf(vmWith({ runStrategy: "Manual" }, { startFailure })).startFailure, undefined);
  });
});

describe("the VMI of a VM", () => {
  function made(vm: Stored<VirtualMachine>) {
    const action = decided(vm).find((one) => one.do === "vmi.create");
    assert.ok(action?.do === "vmi.create");
    return action.vmi;
  }

  test("is the template, owned by the VM, with MACs that follow from the VM", () => {
    const vm = vmWith({ runStrategy: "Always" });
    const vmi = made(vm);
    assert.deepEqual(vmi["spec"], vm.spec.template.spec);
    assert.equal(vmi.metadata.labels?.["app"], "x");
    assert.equal(vmi.metadata.annotations?.["a"], "b");
    assert.equal(vmi.metadata.annotations?.["kubevirt.io/vm-generation"], "3");
    assert.equal(vmi.metadata.ownerReferences?.[0]?.controller, true);
    const [kept] = keptInterfaces(vmi.metadata.annotations ?? {});
    assert.match(kept?.mac ?? "", /^[0-9a-f][26ae](:[0-9a-f]{2}){5}$/);
    assert.deepEqual(keptInterfaces(made(vm).metadata.annotations ?? {}), [kept], "the same each time");
    const other = { ...vm, metadata: { ...vm.metadata, uid: "vm-2" } };
    assert.notEqual(keptInterfaces(made(other).metadata.annotations ?? {})[0]?.mac, kept?.mac);
  });

  test("asks for the addresses that the last one had; a MAC of the manifest stays", () => {
    const spec = {
      domain: { devices: { interfaces: [{ name: "default", masquerade: {}, macAddress: "02:00:00:00:00:01" }] } },
      networks: [{ name: "default", pod: {} }],
    };
    const running = vmiIn("Running");
    const nic = { name: "default", podInterfaceName: "eth0", ipAddresses: ["10.0.0.9", "fd00::9"] };
    const vm = vmWith({ runStrategy: "Always", template: { spec } });
    const status = statusOf(vm, { ...running, status: { ...running.status, interfaces: [nic] } });
    assert.deepEqual(status.interfaces, [{ name: "default", ipAddresses: ["10.0.0.9", "fd00::9"] }]);
    const again = made({ ...vm, status });
    assert.deepEqual(keptInterfaces(again.metadata.annotations ?? {}), [
      { name: "default", ips: ["10.0.0.9", "fd00::9"] },
    ]);
  });

  test("one of the VM's name that another controls is left alone, and the VM says so once", () => {
    const owner = { apiVersion: "example.io/v1", kind: "Fleet", name: "web", uid: "other", controller: true };
    const metadata = { ...vmiIn("Running").metadata, ownerReferences: [owner] };
    const stranger = { ...vmiIn("Running"), metadata };
    const vm = vmWith({ runStrategy: "Always" });
    assert.equal(deeds(vm, stranger), "");
    assert.equal(deeds(vmWith({ runStrategy: "Halted" }), stranger), "");
    const status = statusOf(vm, stranger);
    const failure = status.conditions?.find(({ type }) => type === "Failure");
    assert.equal(failure?.reason, "PB6117");
    assert.match(failure?.message ?? "", /that Fleet "web" controls/);
    assert.ok(decided(vm, stranger).some((action) => action.do === "event"));
    assert.ok(!decided({ ...vm, status }, stranger).some((action) => action.do === "event"));
  });

  test("one of the VM's name that nobody controls is adopted, unless one of the two is on its way out", () => {
    const owner = { apiVersion: "v1", kind: "Node", name: "vm", uid: "other" };
    for (const ownerReferences of [undefined, [], [owner]]) {
      const { ownerReferences: _, ...metadata } = vmiIn("Running").metadata;
      const orphan = {
        ...vmiIn("Running"),
        metadata: { ...metadata, ...(ownerReferences === undefined ? {} : { ownerReferences }) },
      };
      for (const runStrategy of ["Always", "Halted", "Manual"] as const) {
        assert.deepEqual(decided(vmWith({ runStrategy }), orphan), [{ do: "vmi.adopt", vmi: orphan }]);
      }
      const going = { ...orphan, metadata: { ...orphan.metadata, deletionTimestamp: AT } };
      const vm = vmWith({ runStrategy: "Always" });
      assert.equal(deeds(vm, going), "");
      const failure = statusOf(vm, going).conditions?.find(({ type }) => type === "Failure");
      assert.match(failure?.message ?? "", /is being deleted/);
      assert.equal(deeds({ ...vm, metadata: { ...vm.metadata, deletionTimestamp: AT } }, orphan), "finalizer.remove");
    }
  });

  test("that was refused is not tried again at once", () => {
    const refused = { reason: "PB6118", message: "no" };
    const actions = decideVm({ vm: vmWith({ runStrategy: "Always" }), vmi: undefined, now: NOW, refused });
    assert.deepEqual(
      actions.map((action) => action.do),
      ["status", "event"],
    );
  });
});

describe("a VM's status", () => {
  test("mirrors the VMI's conditions, and has none of them without a VMI", () => {
    const vm = vmWith({ runStrategy: "Always" });
    const conditions = [
      { type: "Ready", status: "True" },
      { type: "LiveMigratable", status: "True" },
    ] as const;
    const running = { ...vmiIn("Running"), status: { phase: "Running", conditions } } as const;
    const status = statusOf(vm, running);
    assert.deepEqual([status.printableStatus, status.ready, status.created], ["Running", true, true]);
    assert.deepEqual(status.conditions, conditions);
    const stopped = statusOf(vmWith({ runStrategy: "Halted" }, status));
    assert.deepEqual([stopped.printableStatus, stopped.ready, stopped.created], ["Stopped", false, false]);
    assert.deepEqual(
      stopped.conditions?.map(({ type, reason }) => `${type} ${reason}`),
      ["Ready VMINotExists"],
    );
  });

  test("says why a VMI does not get on", () => {
    const vm = vmWith({ runStrategy: "Always" });
    const shown = (type: string, status: "True" | "False", reason: string, phase: VmiPhase): string => {
      const conditions = [{ type, status, reason }];
      return statusOf(vm, { ...vmiIn(phase), status: { phase, conditions } }).printableStatus ?? "";
    };
    assert.equal(shown("PodScheduled", "False", "PB6104", "Pending"), "ErrorUnschedulable");
    assert.equal(shown("Synchronized", "False", "PB5001", "Scheduled"), "ErrImagePull");
    assert.equal(shown("Synchronized", "False", "PB3018", "Scheduled"), "Starting");
    assert.equal(shown("Paused", "True", "PausedByUser", "Running"), "Paused");
  });

  test("is the very same where nothing is new, so that nothing is written", () => {
    const vm = vmWith({ runStrategy: "Always" }, startAsked);
    const status = statusOf(vm, vmiIn("Running"));
    assert.equal(statusOf({ ...vm, status }, vmiIn("Running")), status);
  });

  test("tells a change that needs a restart, and which generation runs", () => {
    const changed = vmWith({
      runStrategy: "Always",
      template: {
        spec: {
          domain: { cpu: { cores: 2 }, devices: { interfaces: [{ name: "default", masquerade: {} }] } },
          networks: [{ name: "default", pod: {} }],
        },
      },
    });
    const status = statusOf(changed, vmiIn("Running"));
    const condition = status.conditions?.find(({ type }) => type === "RestartRequired");
    assert.match(condition?.message ?? "", /spec\.template\.spec\.domain\.cpu/);
    assert.deepEqual([status.desiredGeneration, status.observedGeneration], [3, 2]);
    const edited = vmiIn("Running");
    edited.metadata.annotations = { "kubevirt.io/vm-generation": "none" };
    assert.equal(statusOf(changed, edited).observedGeneration, 3);
    const same = statusOf(vmWith({ runStrategy: "Always" }, status), vmiIn("Running"));
    assert.ok(!same.conditions?.some(({ type }) => type === "RestartRequired"));
    assert.equal(same.observedGeneration, 3);
  });
});

describe("a VM that is deleted", () => {
  function leaving(...more: readonly string[]): Stored<VirtualMachine> {
    const vm = vmWith({ runStrategy: "Always" });
    return { ...vm, metadata: { ...vm.metadata, deletionTimestamp: AT, finalizers: [VM_FINALIZER, ...more] } };
  }

  test("takes its VMI along, and goes after it", () => {
    assert.equal(deeds(leaving(), vmiIn("Running")), "vmi.delete");
    assert.equal(statusOf(leaving(), vmiIn("Running")).printableStatus, "Terminating");
    assert.equal(deeds(leaving()), "finalizer.remove");
  });

  test("leaves its VMI where it is to be orphaned", () => {
    assert.equal(deeds(leaving("orphan"), vmiIn("Running")), "");
    const { ownerReferences: _, ...metadata } = vmiIn("Running").metadata;
    assert.equal(deeds(leaving(), { ...vmiIn("Running"), metadata }), "finalizer.remove");
  });
});

test("the template's link states go to the running VMI, an unplugged NIC's and a finished VMI's do not", () => {
  const template = (...states: readonly (string | undefined)[]) =>
    vmWith({
      template: {
        spec: {
          domain: {
            devices: {
              interfaces: states.map((state, index) => ({
                name: ["default", "second"][index] ?? "",
                bridge: {},
                ...(state === undefined ? {} : { state }),
              })),
            },
          },
        },
      },
    });
  const running = (phase: VmiPhase, ...states: readonly (string | undefined)[]) => ({
    ...vmiIn(phase),
    spec: template(...states).spec.template.spec ?? { domain: { devices: {} } },
  });
  const changes = (vm: Stored<VirtualMachine>, vmi: Stored<VirtualMachineInstance>) =>
    decided(vm, vmi).flatMap((action) => (action.do === "vmi.links" ? action.changes : []));
  assert.deepEqual(changes(template("up", "down"), running("Running", "down", undefined)), [
    { index: 0, name: "default", state: "up" },
    { index: 1, name: "second", state: "down" },
  ]);
  assert.deepEqual(changes(template(undefined), running("Running", "up")), []);
  assert.deepEqual(changes(template("up", "absent"), running("Running", "up", "down")), []);
  assert.deepEqual(changes(template("up", "down"), running("Running", "up", "absent")), []);
  assert.deepEqual(changes(template("up"), running("Failed", "down")), []);
});

test("a VM without the controller's finalizer gets it before anything else", () => {
  const vm = vmWith({ runStrategy: "Always" });
  const { finalizers: _, ...metadata } = vm.metadata;
  assert.equal(deeds({ ...vm, metadata }), "finalizer.add vmi.create");
});
