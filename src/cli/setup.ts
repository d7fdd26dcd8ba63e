import { check, cureText, type Found, lacking } from "../host/setup/check.ts";
import { bring } from "../host/setup/install.ts";

/** Options of `patchbay setup`. */
export interface SetupOptions {
  readonly check?: boolean;
  readonly output?: "text" | "json";
}

/** One row of `patchbay setup --check -o json`. */
interface Row {
  readonly name: string;
  readonly found: boolean;
  /** It could not be looked for; `reason` says why. */
  readonly untried: boolean;
  readonly required: boolean;
  readonly where: string | null;
  readonly reason: string | null;
  readonly why: string;
  readonly neededBy: readonly string[];
  readonly cure: string;
}

function row({ need, sighting }: Found): Row {
  return {
    name: need.name,
    found: sighting.state === "found",
    untried: sighting.state === "untried",
    required: need.level === "required",
    where: sighting.state === "found" ? sighting.where : null,
    reason: sighting.state === "found" ? null : (sighting.because ?? "not found"),
    why: need.why,
    neededBy: need.neededBy,
    cure: cureText(need.cure),
  };
}

function lines(rows: readonly Row[]): string {
  const width = Math.max(...rows.map(({ name }) => name.length));
  return rows
    .map((each) => {
      const name = each.name.padEnd(width);
      if (each.found) return `found    ${name}  ${each.where ?? ""}`;
      if (each.untried) return `untried  ${name}  ${each.reason ?? ""}`;
      const state = each.required ? "MISSING " : "absent  ";
      return `${state} ${name}  ${each.why}; ${each.reason ?? ""}\n         ${" ".repeat(width)}  brought by: ${each.cure}`;
    })
    .join("\n");
}

function summary(found: readonly Found[]): string {
  const missing = lacking(found).map(({ need }) => need.name);
  const absent = found.filter(({ need, sighting }) => need.level === "useful" && sighting.state === "missing");
  const without =
    absent.length === 0 ? "" : ` Without ${absent.map(({ need }) => need.name).join(", ")}, which is fine for most.`;
  return missing.length === 0
    ? `This machine has everything that Patchbay needs.${without}`
    : `This machine lacks: ${missing.join(", ")}.${without}`;
}

/** Lists or brings what the machine needs; answers the exit code: 0 when nothing needed is missing. */
export async function setup(options: SetupOptions): Promise<number> {
  const json = options.output === "json";
  let found = check();
  if (options.check !== true && lacking(found).some(({ need }) => need.cure.kind !== "advice")) {
    await bring(lacking(found), (line) => process.stderr.write(`${line}\n`));
    found = check();
  }
  const missing = lacking(found);
  if (json) process.stdout.write(`${JSON.stringify({ ok: missing.length === 0, needs: found.map(row) }, null, 2)}\n`);
  else {
    const shown = options.check === true ? found : missing;
    if (shown.length > 0) process.stdout.write(`${lines(shown.map(row))}\n`);
    process.stdout.write(`${summary(found)}\n`);
  }
  return missing.length === 0 ? 0 : 1;
}
