import { readFileSync } from "node:fs";
import type { Logger } from "pino";
import { changeStatus } from "../client/change-status.ts";
import type { KubeClient } from "../client/client.ts";
import type { EventRecorder } from "../client/events.ts";
import { type Cache, inform } from "../client/informer.ts";
import { makeReconcileQueue } from "../client/reconcile-queue.ts";
import { findQemuUser } from "../host/guest/process.ts";
import { executeSriov } from "../host/linux/sriov-execute.ts";
import { readSriovInventory, SYS } from "../host/linux/sriov-inventory.ts";
import { grantGroup, revokeGroup } from "../host/linux/vfio-group.ts";
import { vfioHolders } from "../host/linux/vfio-holders.ts";
import { writeWhole } from "../host/whole-file.ts";
import type { Node } from "../model/api/core.ts";
import { nodeResource, sriovPolicyResource } from "../model/api/references.ts";
import type { KubeObject } from "../model/api/resource.ts";
import { type Fault, isFault, toFault } from "../model/fault.ts";
import { isJsonObject } from "../model/json.ts";
import { type DevicePool, resourceCounts } from "../model/pods/device-resources.ts";
import { type PhysicalFunction, type SriovInventory, VFIO_DRIVER } from "../model/sriov/inventory.ts";
import { RESOURCE_PREFIX } from "../model/sriov/network-definition.ts";
import {
  isForNode,
  type Policy,
  type PolicyProblem,
  policyKey,
  type WantedCard,
  wantedCards,
} from "../model/sriov/policies.ts";
import { type PolicyStatus, withNodeAnswer } from "../model/sriov/policy-status.ts";
import { poolsOf, type ResourceProblem } from "../model/sriov/pools.ts";
import {
  decideSriov,
  type EarlierCard,
  giveBackSteps,
  type Holders,
  type SriovDevice,
  type SriovStep,
  withoutEffect,
} from "../model/sriov/steps.ts";
import type { DeviceSource } from "./device-resources.ts";
import type { PodRecords } from "./records.ts";

export interface SriovOptions {
  readonly client: KubeClient;
  readonly events: EventRecorder;
  readonly nodeName: string;
  readonly records: PodRecords;
  /** What the node's cards were before the first policy, by address: `D/sriov.json`. */
  readonly stateFile: string;
  readonly log: Logger;
  /** Called when the node may offer other devices than before. */
  readonly changed: () => void;
  /** Where sysfs is; tests have a folder of its shape, and a hand that plays the kernel. */
  readonly sys?: string;
  /** Where the files of VFIO's devices are. */
  readonly dev?: string;
  readonly execute?: (step: SriovStep) => Promise<void>;
}

/** Makes this node's cards as policies want them, and hands out what they make. */
export interface SriovKeeper {
  readonly source: DeviceSource;
  close(): Promise<void>;
}

type StoredNode = Node & KubeObject;
/** What cards were before Patchbay changed them, by their addresses. */
type Before = Readonly<Record<string, EarlierCard>>;

const KEY = "cards";
/** So often what the cards are is compared with what they are to be. */
const VERIFY_MS = 10_000;
const LAST_RETRY_MS = 10_000;
/** Functions, links, the driver's module, drivers, and a look that finds nothing left to do; more would go in circles. */
const MOST_ROUNDS = 6;

/**
 * Makes the policies of this node so, one step after another, and tells each policy what became of it.
 *
 * INVARIANTS: a card's earlier state is on disk before it is changed; nothing is done to what a pod's record holds, nor to
 * what another program drives, from under which the kernel would take it.
 */
export function keepSriov(options: SriovOptions): SriovKeeper {
  const { client, events, nodeName, records, stateFile, log } = options;
  const sys = options.sys ?? SYS;
  const execute = options.execute ?? ((step: SriovStep) => executeSriov(step, sys));
  const closing = new AbortController();
  const known = Promise.withResolvers<void>();
  let wanted: readonly WantedCard[] = [];
  let impeded: readonly ResourceProblem[] = [];
  let offered = "";
  const told = new Map<string, string>();

  const queue = makeReconcileQueue(reconcile, {
    parallel: 1,
    lastRetryMs: LAST_RETRY_MS,
    failed: (_, error, waitMs) => log.warn({ error, waitMs }, "the policies of network cards are not made so"),
  });
  const look = (): void => queue.add(KEY);
  const failed = (error: unknown, waitMs: number): void => log.warn({ error, waitMs }, "the API cannot be watched");
  const handlers = { add: look, update: look, delete: look, synced: look, failed };
  const policies: Cache<Policy & KubeObject> = inform<Policy & KubeObject>(
    client,
    sriovPolicyResource,
    {},
    handlers,
    closing.signal,
  );
  const nodes: Cache<StoredNode> = inform<StoredNode>(
    client,
    nodeResource,
    { fieldSelector: `metadata.name=${nodeName}` },
    handlers,
    closing.signal,
  );

  /** Devices that pods of this node have. */
  function ofPods(): Holders {
    return new Map(
      records
        .all()
        .flatMap(({ pod: { namespace, name }, devices = [] }) =>
          devices.map(({ device }) => [device.id, `${namespace}/${name}`] as const),
        ),
    );
  }

  /** Virtual functions that other programs drive: another daemon's guests, libvirt's. */
  function ofOthers({ cards }: SriovInventory, own: Holders): Holders {
    const driven = cards.flatMap(({ vfs }) => vfs.filter(({ pci, driver }) => driver === VFIO_DRIVER && !own.has(pci)));
    return vfioHolders(
      driven.map(({ pci }) => pci),
      sys,
      options.dev,
    );
  }

  function inUse(inventory: SriovInventory): Holders {
    const own = ofPods();
    return new Map([...ofOthers(inventory, own), ...own]);
  }

  async function reconcile(): Promise<void> {
    const node = nodes.get(nodeName);
    if (!policies.synced || node === undefined) return;
    try {
      await makeSo(node);
    } finally {
      // Also where something is in the way: what waits for devices is to hear of it.
      known.resolve();
    }
  }

  async function makeSo(node: StoredNode): Promise<void> {
    const all = policies.list();
    const own = all.filter((policy) => isForNode(policy, node.metadata.labels ?? {}));
    const isIdle = own.length === 0 && wanted.length === 0 && impeded.length === 0;
    if (isIdle && Object.keys(readBefore(stateFile)).length === 0) return;
    const { problems, devices } = await make(own);
    impeded = own.flatMap((policy) => {
      const resource = `${RESOURCE_PREFIX}${policy.spec.resourceName}`;
      return problems.flatMap((one) => (one.policy === policyKey(policy) ? [{ ...one, resource }] : []));
    });
    await giveBack();
    const offer = JSON.stringify(resourceCounts(pools()));
    if (offer !== offered) options.changed();
    offered = offer;
    for (const policy of all) {
      const key = policyKey(policy);
      const answer = own.includes(policy) ? answerOf(key, problems, devices) : undefined;
      await tell(policy, answer);
    }
    queue.after(KEY, VERIFY_MS);
  }

  function pools(): readonly DevicePool[] {
    const inventory = readSriovInventory(sys);
    const own = ofPods();
    const others = ofOthers(inventory, own);
    return poolsOf(wanted, decideSriov(wanted, inventory, new Map([...others, ...own])).devices, others, impeded);
  }

  /** Does step by step what the policies want, until nothing is left that can be done. */
  async function make(
    own: readonly Policy[],
  ): Promise<{ readonly problems: readonly PolicyProblem[]; readonly devices: readonly SriovDevice[] }> {
    const refused = new Map<string, readonly PolicyProblem[]>();
    for (let round = 1; ; round += 1) {
      const inventory = readSriovInventory(sys);
      const wish = wantedCards(own, inventory);
      wanted = wish.cards;
      const decision = decideSriov(wanted, inventory, inUse(inventory));
      const todo = decision.steps.filter(({ step }) => !refused.has(JSON.stringify(step)));
      if (todo.length === 0 || round > MOST_ROUNDS) {
        const left =
          round > MOST_ROUNDS
            ? todo.flatMap((one) => one.policies.map((policy) => ({ policy, fault: withoutEffect(one.step) })))
            : [];
        return {
          problems: [...wish.problems, ...decision.problems, ...[...refused.values()].flat(), ...left],
          devices: decision.devices,
        };
      }
      for (const { policies: of, step } of todo) {
        closing.signal.throwIfAborted();
        remember(step, inventory.cards);
        try {
          await execute(step);
          log.info(step, "a network card is changed");
        } catch (thrown) {
          const fault = toFault(thrown, "PB4206");
          refused.set(
            JSON.stringify(step),
            of.map((policy) => ({ policy, fault })),
          );
        }
      }
    }
  }

  /** Keeps what a card was before the first step to it. */
  function remember(step: SriovStep, cards: readonly PhysicalFunction[]): void {
    const before = readBefore(stateFile);
    const card = cards.find((one) => isAbout(step, one));
    if (card === undefined || before[card.pci] !== undefined) return;
    const { pci, vfs, mtu } = card;
    const vfio = vfs.flatMap((vf) => (vf.override === VFIO_DRIVER ? [vf.pci] : []));
    const earlier: EarlierCard = {
      numVfs: vfs.length,
      ...(mtu === undefined ? {} : { mtu }),
      ...(vfio.length === 0 ? {} : { vfio }),
    };
    writeWhole(stateFile, JSON.stringify({ ...before, [pci]: earlier }));
  }

  /** Cards that no policy wants any more become what they were, once no guest holds a part of them. */
  async function giveBack(): Promise<void> {
    const before = readBefore(stateFile);
    for (const [pci, earlier] of Object.entries(before)) {
      if (wanted.some((card) => card.pci === pci)) continue;
      const inventory = readSriovInventory(sys);
      const card = inventory.cards.find((one) => one.pci === pci);
      const { steps, busy } =
        card === undefined ? { steps: [], busy: false } : giveBackSteps(earlier, card, inUse(inventory));
      if (busy) continue;
      try {
        for (const step of steps) await execute(step);
      } catch (thrown) {
        if (!isFault(thrown)) throw thrown;
        log.warn({ pci, code: thrown.code, message: thrown.message }, "a network card is not given back");
        continue;
      }
      const others = Object.entries(readBefore(stateFile)).filter(([address]) => address !== pci);
      writeWhole(stateFile, JSON.stringify(Object.fromEntries(others)));
      log.info({ pci }, "a network card is given back");
    }
  }

  async function tell(
    policy: Policy & KubeObject,
    answer: { fault?: Fault; devices: number } | undefined,
  ): Promise<void> {
    const key = policyKey(policy);
    const { fault } = answer ?? {};
    if (fault !== undefined && told.get(key) !== fault.message) {
      events.event(
        policy,
        "Warning",
        fault.code,
        `${fault.message}${fault.cure === undefined ? "" : ` ${fault.cure}`}`,
      );
    }
    if (fault === undefined) told.delete(key);
    else told.set(key, fault.message);
    await changeStatus<PolicyStatus, Policy & KubeObject>(client, sriovPolicyResource, policy, (status, at) =>
      withNodeAnswer(status, nodeName, answer, at),
    );
  }

  return {
    source: {
      owns: (resource) => resource.startsWith(RESOURCE_PREFIX),
      ready: known.promise,
      pools,
      prepare: async ({ id }) => grantGroup(id, findQemuUser(), sys),
      reset: async ({ id }) => revokeGroup(id, sys),
    },
    async close() {
      closing.abort();
      await queue.close();
    },
  };
}

function answerOf(
  key: string,
  problems: readonly PolicyProblem[],
  devices: readonly SriovDevice[],
): { readonly fault?: Fault; readonly devices: number } {
  const own = problems.find(({ policy }) => policy === key);
  const count = devices.filter(({ policy }) => policy === key).length;
  return { devices: count, ...(own === undefined ? {} : { fault: own.fault }) };
}

function isAbout(step: SriovStep, card: PhysicalFunction): boolean {
  switch (step.do) {
    case "card.functions":
      return step.pci === card.pci;
    case "link.mtu":
    case "link.up":
      return step.link === card.link;
    case "driver.bind":
      return card.vfs.some(({ pci }) => pci === step.pci);
    case "driver.load":
      return false;
  }
}

/** A file that cannot be read is none: the cards are then left as they are in the end. */
function readBefore(file: string): Before {
  try {
    const value: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (!isJsonObject(value)) return {};
    return Object.fromEntries(
      Object.entries(value).flatMap(([pci, one]) => {
        if (!isJsonObject(one) || typeof one["numVfs"] !== "number") return [];
        const { numVfs, mtu, vfio } = one;
        const own = Array.isArray(vfio) ? vfio.filter((each) => typeof each === "string") : [];
        return [[pci, { numVfs, ...(typeof mtu === "number" ? { mtu } : {}), vfio: own }] as const];
      }),
    );
  } catch {
    return {};
  }
}
