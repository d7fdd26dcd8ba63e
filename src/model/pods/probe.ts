import type { VmiSpec } from "../api/vmi.ts";

/** How a guest is probed, defaults filled in as Kubernetes has them. Plain data. */
export interface ProbePlan {
  readonly way: ProbeWay;
  readonly initialDelayMs: number;
  readonly timeoutMs: number;
  readonly periodMs: number;
  /** Successes, or failures, in a row that count. */
  readonly successThreshold: number;
  readonly failureThreshold: number;
}

export type ProbeWay =
  | { readonly kind: "tcp"; readonly host?: string; readonly port: number }
  | {
      readonly kind: "http";
      readonly host?: string;
      readonly port: number;
      readonly path: string;
      readonly secure: boolean;
      readonly headers: readonly (readonly [string, string])[];
    }
  | { readonly kind: "exec"; readonly command: readonly string[] }
  | { readonly kind: "agentPing" }
  /** It always fails. */
  | { readonly kind: "never"; readonly why: string };

/** What is known by probing so far. */
export interface ProbeState {
  /** Outcomes in a row that were like the last one. */
  readonly row: number;
  readonly last?: boolean;
  /** What counts; absent before one of the thresholds was reached. */
  readonly verdict?: boolean;
}

type Probe = NonNullable<VmiSpec["readinessProbe"]>;

/** The plan of a VMI's probe; undefined where it has none. */
export function probePlan(spec: VmiSpec, key: "readinessProbe" | "livenessProbe"): ProbePlan | undefined {
  const probe = spec[key];
  if (probe === undefined) return undefined;
  const { initialDelaySeconds = 0, timeoutSeconds, periodSeconds, successThreshold, failureThreshold } = probe;
  const atLeastOne = (value: number | undefined, otherwise: number): number => Math.max(1, value || otherwise);
  return {
    way: wayOf(spec, probe),
    initialDelayMs: Math.max(0, initialDelaySeconds) * 1000,
    timeoutMs: atLeastOne(timeoutSeconds, 1) * 1000,
    periodMs: atLeastOne(periodSeconds, 10) * 1000,
    // One success brings a guest back to life, whatever is asked for (Kubernetes' rule for liveness).
    successThreshold: key === "livenessProbe" ? 1 : atLeastOne(successThreshold, 1),
    failureThreshold: atLeastOne(failureThreshold, 3),
  };
}

function wayOf(spec: VmiSpec, { tcpSocket, httpGet, exec, guestAgentPing }: Probe): ProbeWay {
  const target = httpGet ?? tcpSocket;
  if (target !== undefined) {
    const port = portOf(spec, target.port);
    if (port === undefined) return { kind: "never", why: `no interface has a port "${target.port}"` };
    const host = target.host ? { host: target.host } : {};
    if (httpGet === undefined) return { kind: "tcp", port, ...host };
    const headers = (httpGet.httpHeaders ?? []).map(({ name, value }) => [name, value] as const);
    const path = httpGet.path || "/";
    return { kind: "http", port, ...host, path, secure: httpGet.scheme === "HTTPS", headers };
  }
  if (exec !== undefined) {
    const command = exec.command ?? [];
    return command.length === 0 ? { kind: "never", why: "it has no command" } : { kind: "exec", command };
  }
  return guestAgentPing === undefined ? { kind: "never", why: "it does not say how to probe" } : { kind: "agentPing" };
}

/** A port's number, by its number or by its name among the interfaces' ports. */
function portOf({ domain }: VmiSpec, port: number | string): number | undefined {
  const number = Number(port);
  if (Number.isInteger(number) && number > 0 && number < 65_536) return number;
  const ports = (domain.devices.interfaces ?? []).flatMap((nic) => nic.ports ?? []);
  return ports.find(({ name }) => name === port)?.port;
}

/** The state after another outcome. */
export function probed(state: ProbeState, ok: boolean, plan: ProbePlan): ProbeState {
  const row = state.last === ok ? state.row + 1 : 1;
  const reached = row >= (ok ? plan.successThreshold : plan.failureThreshold);
  const verdict = reached ? ok : state.verdict;
  return { row, last: ok, ...(verdict === undefined ? {} : { verdict }) };
}
