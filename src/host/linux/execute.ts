import { type Fault, toFault } from "../../model/fault.ts";
import { renderTable, replaceTable } from "../../model/wiring/nft.ts";
import { stepText } from "../../model/wiring/step-text.ts";
import type { Step, StepKind } from "../../model/wiring/steps.ts";
import { batch, type NetlinkRequest, refusal, withRouteSocket } from "./netlink-socket.ts";
import { runNft } from "./nftables.ts";
import { linkIndex } from "./rtnetlink.ts";
import {
  addAddress,
  addLink,
  addLocalRoute,
  deleteAddress,
  deleteLink,
  deleteLocalRoute,
  renameLink,
  setLearning,
  setLink,
} from "./rtnetlink-requests.ts";
import { writeSysctl } from "./sysctl.ts";
import { openTap } from "./tap.ts";

/** What became of steps. */
export interface Outcome {
  /** Those that were done; with them a `link.set` that failed, of which a part may have been done. */
  readonly done: readonly Step[];
  /** fds by tap name, one a queue, of the taps that were opened. */
  readonly taps: ReadonlyMap<string, readonly number[]>;
  /** Why the steps after `done` were not done. */
  readonly failure?: { readonly step: Step; readonly fault: Fault };
}

/**
 * How a step reaches the kernel. Those by `rtnetlink` or `nftables` that follow each other go there together; links are
 * made one by one, as what follows needs their indexes.
 */
type Action =
  | { readonly by: "tap"; readonly name: string; readonly queues: number }
  /** The first that the kernel has: not every one has every kind of link. */
  | { readonly by: "link"; readonly choices: readonly (() => NetlinkRequest)[] }
  | { readonly by: "rtnetlink"; readonly request: (index: (link: string) => number) => NetlinkRequest }
  | { readonly by: "sysctl"; readonly key: string; readonly value: string }
  | { readonly by: "nftables"; readonly commands: string };

type Executors = { readonly [Kind in StepKind]: (step: Extract<Step, { readonly do: Kind }>) => Action };

const executors: Executors = {
  "tap.open": ({ tap }) => ({ by: "tap", name: tap.name, queues: tap.queues }),
  "link.add": ({ link: { name, kind, mac, mtu } }) => ({
    by: "link",
    choices: LINK_KINDS[kind].map((kernelKind) => () => addLink(name, kernelKind, mac, mtu)),
  }),
  "link.rename": ({ name, to }) => ({ by: "link", choices: [() => renameLink(linkIndex(name), to)] }),
  "link.delete": ({ name }) => ({ by: "rtnetlink", request: () => deleteLink(name) }),
  "link.set": ({ name, do: _, master, ...change }) => ({
    by: "rtnetlink",
    request: (index) =>
      setLink(name, {
        ...change,
        ...(master === undefined ? {} : { master: master === null ? 0 : index(master) }),
      }),
  }),
  "port.learning": ({ name, on }) => ({ by: "rtnetlink", request: (index) => setLearning(index(name), on, name) }),
  "address.add": ({ link, cidr }) => ({ by: "rtnetlink", request: (index) => addAddress(index(link), cidr, link) }),
  "address.delete": ({ link, cidr }) => ({
    by: "rtnetlink",
    request: (index) => deleteAddress(index(link), cidr, link),
  }),
  "route.add": ({ link, destination }) => ({
    by: "rtnetlink",
    request: (index) => addLocalRoute(index(link), destination, link),
  }),
  "route.delete": ({ link, destination }) => ({
    by: "rtnetlink",
    request: (index) => deleteLocalRoute(index(link), destination, link),
  }),
  "sysctl.write": ({ key, value }) => ({ by: "sysctl", key, value }),
  "table.create": ({ table }) => ({ by: "nftables", commands: `${renderTable(table)}\n` }),
  "table.replace": ({ table }) => ({ by: "nftables", commands: replaceTable(table) }),
  "table.restore": ({ family, name, listing }) => ({
    by: "nftables",
    commands: `table ${family} ${name}\ndelete table ${family} ${name}\n${listing}\n`,
  }),
  "table.delete": ({ family, name }) => ({
    by: "nftables",
    commands: `table ${family} ${name}\ndelete table ${family} ${name}\n`,
  }),
};

/** A dummy is never up, so that a bridge without ports does as well where the kernel has none. */
const LINK_KINDS = { bridge: ["bridge"], dummy: ["dummy", "bridge"] } as const;

function actionOf(step: Step): Action {
  return (executors[step.do] as (step: Step) => Action)(step);
}

interface Planned<A extends Action = Action> {
  readonly step: Step;
  readonly action: A;
}

interface Progress {
  readonly done: Step[];
  readonly taps: Map<string, readonly number[]>;
}

type Failure = NonNullable<Outcome["failure"]>;

/** Executes steps in the current namespace, in their order, up to the first that fails. Undoes nothing. */
export function executeHere(steps: readonly Step[]): Outcome {
  const progress: Progress = { done: [], taps: new Map() };
  for (const group of together(steps.map((step) => ({ step, action: actionOf(step) })))) {
    const failure = runGroup(group, progress);
    if (failure !== undefined) return { ...progress, failure };
  }
  return progress;
}

function together(planned: readonly Planned[]): Planned[][] {
  const groups: Planned[][] = [];
  for (const one of planned) {
    const last = groups.at(-1);
    if (last?.[0]?.action.by === one.action.by) last.push(one);
    else groups.push([one]);
  }
  return groups;
}

function runGroup(group: readonly Planned[], progress: Progress): Failure | undefined {
  const rtnetlink = group.filter((one): one is Planned<Action & { by: "rtnetlink" }> => one.action.by === "rtnetlink");
  if (rtnetlink.length > 0) return runBatch(rtnetlink, progress);
  const nftables = group.filter((one): one is Planned<Action & { by: "nftables" }> => one.action.by === "nftables");
  if (nftables.length > 0) return runTransaction(nftables, progress);
  for (const { step, action } of group) {
    try {
      if (action.by === "tap") progress.taps.set(action.name, openTap(action.name, action.queues));
      if (action.by === "link") makeLink(action.choices);
      if (action.by === "sysctl") writeSysctl(action.key, action.value);
    } catch (thrown) {
      return { step, fault: toFault(thrown, "PB4000") };
    }
    progress.done.push(step);
  }
  return undefined;
}

const UNSUPPORTED = ["EOPNOTSUPP", "ENOTSUP"];

function makeLink(choices: readonly (() => NetlinkRequest)[]): void {
  for (const [position, choice] of choices.entries()) {
    const request = choice();
    const [verdict] = withRouteSocket((fd) => batch(fd, [request]));
    if (verdict === undefined || verdict.ok) return;
    const fault = refusal(request.about, verdict);
    if (position === choices.length - 1 || !UNSUPPORTED.includes(String(fault.data["errno"]))) throw fault;
  }
}

/** One send of all messages. The kernel executes also those after one that fails: `done` has what it said yes to. */
function runBatch(group: readonly Planned<Action & { by: "rtnetlink" }>[], progress: Progress): Failure | undefined {
  const requests: NetlinkRequest[] = [];
  const known = new Map<string, number>();
  const index = (link: string): number => {
    const found = known.get(link) ?? linkIndex(link);
    known.set(link, found);
    return found;
  };
  for (const { step, action } of group) {
    try {
      requests.push(action.request(index));
    } catch (thrown) {
      return { step, fault: toFault(thrown, "PB4000") };
    }
  }
  try {
    let failure: Failure | undefined;
    for (const [position, verdict] of withRouteSocket((fd) => batch(fd, requests)).entries()) {
      const step = group[position]?.step;
      if (step === undefined) continue;
      const ok = verdict.ok || isGone(step, verdict.errno);
      if (ok || step.do === "link.set") progress.done.push(step);
      if (!ok && !verdict.ok)
        failure ??= { step, fault: refusal(requests[position]?.about ?? stepText(step), verdict) };
    }
    return failure;
  } catch (thrown) {
    // No telling what the kernel did of them: every one counts as done, so that each is undone.
    progress.done.push(...group.map(({ step }) => step));
    const [first] = group;
    return first === undefined ? undefined : { step: first.step, fault: toFault(thrown, "PB4000") };
  }
}

/** The kernel takes IPv6 addresses away by itself when their link goes down. */
function isGone(step: Step, errno: string): boolean {
  return step.do === "address.delete" && errno === "EADDRNOTAVAIL";
}

/** All or nothing. */
function runTransaction(
  group: readonly Planned<Action & { by: "nftables" }>[],
  progress: Progress,
): Failure | undefined {
  try {
    runNft(group.map(({ action }) => action.commands).join(""));
  } catch (thrown) {
    return culprit(group) ?? failureOf(group, thrown);
  }
  progress.done.push(...group.map(({ step }) => step));
  return undefined;
}

/** The first step of a refused transaction that the kernel refuses by itself as well. */
function culprit(group: readonly Planned<Action & { by: "nftables" }>[]): Failure | undefined {
  for (const { step, action } of group) {
    try {
      runNft(action.commands, { check: true });
    } catch (thrown) {
      return { step, fault: toFault(thrown, "PB4000") };
    }
  }
  return undefined;
}

function failureOf(group: readonly Planned[], thrown: unknown): Failure | undefined {
  const [first] = group;
  return first === undefined ? undefined : { step: first.step, fault: toFault(thrown, "PB4000") };
}
