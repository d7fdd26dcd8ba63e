/** `npm run bench -- [NAME…] [--json F]`: runs the benches named, or all of them. Exit code 2 for a name that is none. */
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { api } from "./api.ts";
import { failures } from "./failures.ts";
import type { Bench, Row } from "./row.ts";
import { wiring } from "./wiring.ts";

const benches: readonly Bench[] = [wiring, failures, api];

const { values, positionals } = parseArgs({ allowPositionals: true, options: { json: { type: "string" } } });
const unknown = positionals.filter((name) => !benches.some((bench) => bench.name === name));
if (unknown.length > 0) {
  process.stderr.write(
    `no bench is named ${unknown.join(", ")}; there are: ${benches.map(({ name }) => name).join(", ")}\n`,
  );
  process.exit(2);
}
const rows: Row[] = [];
for (const bench of benches.filter(({ name }) => positionals.length === 0 || positionals.includes(name))) {
  process.stderr.write(`${bench.name}: ${bench.about}\n`);
  const measured = await bench.run((line) => process.stderr.write(`  ${line}\n`));
  rows.push(...measured);
  for (const row of measured) process.stdout.write(`${inWords(row)}\n`);
}
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(rows, undefined, 2)}\n`);

function inWords(row: Row): string {
  const peer =
    row.peer === undefined
      ? ""
      : `; ${row.peer.name}: p50 ${row.peer.p50} ${row.unit}, p95 ${row.peer.p95} ${row.unit}`;
  const p99 = row.p99 === undefined ? "" : `, p99 ${row.p99} ${row.unit}`;
  const ratio = row.ratio === undefined ? "" : `; ${row.ratio} times as fast`;
  const goal = row.goal === undefined ? "" : `; goal ${row.goal}: ${row.met === true ? "met" : "missed"}`;
  return `${row.name}: p50 ${row.p50} ${row.unit}, p95 ${row.p95} ${row.unit}${p99} (n=${row.n})${peer}${ratio}${goal}`;
}
