import { Fault } from "../../model/fault.ts";
import { type Actual, inverse, type Step, stepText } from "../../model/wiring/steps.ts";
import { readActualHere, readSysctls } from "./actual.ts";
import { executeHere, type Outcome } from "./execute.ts";
import { within } from "./netns.ts";
import { closeFdsNow } from "./tap.ts";

/** A kernel before steps were executed: all that is needed to bring it back. */
export interface Before {
  readonly actual: Actual;
  /** Values of the sysctls that the kernel changes by itself when steps write others. */
  readonly dependent: Readonly<Record<string, string>>;
}

/**
 * Completes `actual` by what the kernel changes of its own accord when `steps` are executed: writing the forwarding of
 * all links sets that of each, and IPv4's sets accept_redirects as well (ip-sysctl.rst of the kernel).
 */
export function readBeforeHere(actual: Actual, steps: readonly Step[]): Before {
  const written = new Set(steps.map((step) => (step.do === "sysctl.write" ? step.key : "")));
  const links = ["all", "default", ...actual.links.map(({ name }) => name)];
  const keys: string[] = [];
  if (written.has("net/ipv4/ip_forward") || written.has("net/ipv4/conf/all/forwarding")) {
    keys.push(...links.map((link) => `net/ipv4/conf/${link}/forwarding`), "net/ipv4/conf/all/accept_redirects");
  }
  if (written.has("net/ipv6/conf/all/forwarding")) {
    keys.push(...links.map((link) => `net/ipv6/conf/${link}/forwarding`));
  }
  return { actual, dependent: readSysctls(keys) };
}

/**
 * Takes back what was done, the last first, in the current namespace, and gives the texts of what could not be taken
 * back. Taps of the outcome are closed; that may block for 30 ms each.
 */
export function undoHere(outcome: Pick<Outcome, "done" | "taps">, before: Before): string[] {
  const left: string[] = [];
  for (const step of outcome.done.toReversed()) {
    const fds = step.do === "tap.open" ? outcome.taps.get(step.tap.name) : undefined;
    if (fds !== undefined) closeFdsNow(fds);
    else left.push(...attempt(inverse(step, before.actual)));
  }
  return [...left, ...attempt(sideEffects(outcome.done, before))];
}

/** What the inverses do not reach: dependent sysctls, and the addresses and routes that a link lost while it was down. */
function sideEffects(done: readonly Step[], before: Before): Step[] {
  const now = readSysctls(Object.keys(before.dependent));
  const sysctls = Object.entries(before.dependent)
    .filter(([key, value]) => now[key] !== undefined && now[key] !== value)
    .map(([key, value]): Step => ({ do: "sysctl.write", key, value }));
  const changed = new Set(done.flatMap((step) => (step.do === "link.set" ? [step.name] : [])));
  const links = before.actual.links.filter(({ name }) => changed.has(name));
  if (links.length === 0) return sysctls;
  const there = readActualHere({ routedLinks: [...changed], sysctls: [], tables: [] }).links;
  const lost = links.flatMap((link): Step[] => {
    const kept = there.find(({ name }) => name === link.name);
    if (kept === undefined) return [];
    const addresses = link.addresses.filter((cidr) => !kept.addresses.includes(cidr));
    const routes = link.localRoutes.filter((destination) => !kept.localRoutes.includes(destination));
    return [
      ...addresses.map((cidr): Step => ({ do: "address.add", link: link.name, cidr })),
      ...routes.map((destination): Step => ({ do: "route.add", link: link.name, destination })),
    ];
  });
  return [...lost, ...sysctls];
}

function attempt(steps: readonly Step[]): string[] {
  return steps.flatMap((step) => {
    const { failure } = executeHere([step]);
    return failure === undefined ? [] : [`${stepText(step)}: ${failure.fault.message}`];
  });
}

/**
 * Takes back `steps`, which were executed on a kernel that was `before`, in the namespace at `netns`.
 *
 * @throws Fault PB4000 that lists what could not be taken back; all the rest is.
 */
export function undo(netns: string, steps: readonly Step[], before: Actual): void {
  const left = within(netns, () => undoHere({ done: steps, taps: new Map() }, { actual: before, dependent: {} }));
  if (left.length === 0) return;
  throw new Fault("PB4000", `Not everything could be undone in ${netns}: ${left.join(" ")}`, {
    place: netns,
    cure: "Delete the pod: its namespace goes with everything in it.",
    data: { left },
  });
}
