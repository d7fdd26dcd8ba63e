import { parseQuantity } from "../guest/quantity.ts";
import type { Problem, RuleCode } from "./problem.ts";
import { nameOf, problemAt, type Subject } from "./subject.ts";

/** Least memory that may be asked for, in bytes. */
const LEAST_MEMORY = 1_000_000n;

/** What the pod asks of its node: nothing below zero, a request within its limit. */
export function judgeResources(subject: Subject): Problem[] {
  return (["memory", "cpu"] as const).flatMap((resource) => judgeResource(subject, resource));
}

function judgeResource(subject: Subject, resource: "memory" | "cpu"): Problem[] {
  const { requests, limits } = subject.spec.domain.resources ?? {};
  const limit = amountOf(limits?.[resource], resource);
  const request = requested(subject, resource, amountOf(requests?.[resource], resource), limit);
  const problems: Problem[] = [];
  const refuse = (code: RuleCode, key: "requests" | "limits", what: string, cure: string): void => {
    const at = ["domain", "resources", key, resource];
    const message = `${nameOf(subject, at)} is ${what}.`;
    problems.push(problemAt(subject, at, { code, type: "FieldValueInvalid", message, cure }));
  };
  if (request < 0n) refuse("PB2427", "requests", "negative", "Use 0 or more, or leave it out.");
  if (limit < 0n) refuse("PB2427", "limits", "negative", "Use 0 or more, or leave it out.");
  if (resource === "memory" && request > 0n && request < LEAST_MEMORY) {
    refuse("PB2428", "requests", "less than 1M", "Say the unit as well, such as 64Mi.");
  }
  if (limit > 0n && request > limit) {
    refuse("PB2429", "requests", "greater than the limit", "Raise the limit, or lower the request.");
  }
  return problems;
}

/** What is requested where nobody says it: KubeVirt takes the limit, and for memory else what the guest is to see. */
function requested({ spec }: Subject, resource: "memory" | "cpu", request: bigint, limit: bigint): bigint {
  if (request !== 0n || limit !== 0n) return request === 0n ? limit : request;
  const { memory, resources } = spec.domain;
  if (resource === "cpu" || resources?.requests?.["memory"] !== undefined) return request;
  const seen = amountOf(memory?.guest ?? memory?.hugepages?.pageSize, resource);
  return seen > 0n ? seen : request;
}

/** Bytes of memory, thousandths of a processor; 0 where nothing is said. */
function amountOf(value: string | number | undefined, resource: "memory" | "cpu"): bigint {
  if (value === undefined) return 0n;
  const text = String(value);
  if (resource === "memory") return parseQuantity(text) ?? 0n;
  const thousandths = /^([+-]?(?:\d+\.?\d*|\.\d+))(m?)$/.exec(text);
  if (thousandths === null) return (parseQuantity(text) ?? 0n) * 1000n;
  const amount = Math.ceil(Number(thousandths[1]) * (thousandths[2] === "m" ? 1 : 1000));
  // Of more than 308 digits.
  return Number.isFinite(amount) ? BigInt(amount) : (parseQuantity(text) ?? 0n) * 1000n;
}
