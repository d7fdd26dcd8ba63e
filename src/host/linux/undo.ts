import { inverse } from "../../model/wiring/inverse.ts";
import { stepText } from "../../model/wiring/step-text.ts";
import type { Actual, Step } from "../../model/wiring/steps.ts";
import { readSysctls } from "./actual.ts";
import { executeHere, type Outcome } from "./execute.ts";
import { type Memory, rememberHere, restoreHere } from "./restore.ts";
import { closeFdsNow } from "./tap.ts";

/** A kernel before steps were executed: all that is needed to bring it back. */
export interface Before {
  readonly actual: Actual;
  /** Values of the sysctls that the kernel changes by itself when steps write others. */
  readonly dependent: Readonly<Record<string, string>>;
  /** Where steps change links that were there. */
  readonly memory?: Memory;
}

/**
 * Completes `actual` by what the kernel changes of its own accord when `steps` are executed: writing the forwarding of
 * all links sets that of each, and IPv4's sets accept_redirects as well (ip-sysctl.rst of the kernel); a link that goes
 * down loses its routes, its neighbours and its IPv6 addresses.
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
  const changesLinks = steps.some((step) => step.do === "link.set" && links.includes(step.name));
  return { actual, dependent: readSysctls(keys), ...(changesLinks ? { memory: rememberHere() } : {}) };
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
  left.push(...attempt(dependents(before)));
  return before.memory === undefined ? left : [...left, ...restoreHere(before.memory)];
}

function dependents(before: Before): Step[] {
  const now = readSysctls(Object.keys(before.dependent));
  return Object.entries(before.dependent)
    .filter(([key, value]) => now[key] !== undefined && now[key] !== value)
    .map(([key, value]): Step => ({ do: "sysctl.write", key, value }));
}

const GONE: ReadonlySet<unknown> = new Set(["ENODEV", "ENOENT"]);

function attempt(steps: readonly Step[]): string[] {
  return steps.flatMap((step) => {
    const { failure } = executeHere([step]);
    // Of a link that is not there nothing is left, nor of its sysctls.
    if (failure === undefined || GONE.has(failure.fault.data["errno"])) return [];
    return [`${stepText(step)}: ${failure.fault.message}`];
  });
}
