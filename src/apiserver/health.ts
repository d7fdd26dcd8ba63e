import { noSuchResource } from "./refusals.ts";
import type { ServedDocument } from "./served-document.ts";

/** Something that must be so for the server to be ready. */
export interface HealthCheck {
  /** As `/readyz/NAME` names it. */
  readonly name: string;
  /** What is wrong, as a sentence; undefined where nothing is. */
  check(): Promise<string | undefined> | string | undefined;
}

/** Answers `/readyz`, `/livez` and `/healthz`, as a whole or by the name of a check. */
export interface Health {
  /**
   * 200 with `ok`, or 500 with each check's line; with `verbose` each line always. `exclude` leaves checks out.
   *
   * @throws ApiError 404 for a check that there is not.
   */
  serve(kind: HealthKind, name: string | undefined, query: URLSearchParams): Promise<ServedDocument>;
}

export type HealthKind = "livez" | "readyz" | "healthz";

export const healthKinds: readonly string[] = ["livez", "readyz", "healthz"] satisfies readonly HealthKind[];

/** A check that hangs is one that fails. */
const CHECK_MS = 5_000;
const TEXT = "text/plain; charset=utf-8";

/** `live`: what only a restart of the daemon would cure. `ready`: further checks, without which it does not serve well. */
export function makeHealth(live: readonly HealthCheck[], ready: readonly HealthCheck[]): Health {
  const checks: Readonly<Record<HealthKind, readonly HealthCheck[]>> = {
    livez: live,
    readyz: [...live, ...ready],
    healthz: [...live, ...ready],
  };
  return {
    async serve(kind, name, query) {
      const excluded = new Set(query.getAll("exclude"));
      const asked = checks[kind].filter((check) =>
        name === undefined ? !excluded.has(check.name) : check.name === name,
      );
      if (name !== undefined && asked.length === 0) throw noSuchResource();
      const found = await Promise.all(asked.map(async (check) => ({ name: check.name, wrong: await outcome(check) })));
      const failed = found.some(({ wrong }) => wrong !== undefined);
      if (!failed && !query.has("verbose")) return { type: TEXT, content: "ok" };
      const lines = found.map(({ name: of, wrong }) =>
        wrong === undefined ? `[+]${of} ok` : `[-]${of} failed: ${wrong}`,
      );
      lines.push(`${kind} check ${failed ? "failed" : "passed"}`);
      return { code: failed ? 500 : 200, type: TEXT, content: `${lines.join("\n")}\n` };
    },
  };
}

async function outcome(check: HealthCheck): Promise<string | undefined> {
  const late = Promise.withResolvers<string>();
  const timer = setTimeout(() => late.resolve(`no answer within ${CHECK_MS / 1_000} s`), CHECK_MS);
  try {
    return await Promise.race([Promise.resolve(check.check()), late.promise]);
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown);
  } finally {
    clearTimeout(timer);
  }
}
