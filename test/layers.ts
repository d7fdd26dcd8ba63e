// Holds the house's rules on the sources: who may import whom, and none in a circle; what the model may touch; where files
// may lie. Prints each breach with its place and the rule; exit code 1 when there is one.
import { spawnSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { circles } from "./circles.ts";
import { blank, importsOf, lineOf } from "./source-text.ts";

/** The layers that each layer may import, itself always among them. A folder of src that is not here is a breach. */
const below: Readonly<Record<string, readonly string[]>> = {
  model: [],
  client: ["model"],
  host: ["model"],
  web: ["model"],
  apiserver: ["client", "host", "model"],
  control: ["client", "host", "model"],
  node: ["client", "host", "model"],
  cli: ["apiserver", "control", "node", "client", "host", "model", "web"],
};

/** Rooms of the model that speak of VMIs, of which the host knows nothing. */
const vmiRooms = ["api", "rules", "bindings"];

const emptyNames = /^(utils?|helpers?|managers?|common|misc|shared|lib)$/;

/** Clock and randomness that the language itself has; the rest the compiler finds, which gets no other globals. */
const impure: readonly { readonly pattern: RegExp; readonly what: string }[] = [
  { pattern: /\bDate\s*\.\s*now\b/g, what: "Date.now, a clock" },
  { pattern: /\bnew\s+Date\s*(\(\s*\)|(?!\s*\())/g, what: "new Date() without a value, a clock" },
  { pattern: /(?<!\bnew\s+)(?<![.\w])Date\s*\(/g, what: "Date(), a clock" },
  { pattern: /\bMath\s*\.\s*random\b/g, what: "Math.random" },
];

/** A breach of a rule, at a line of a file below the root. */
export interface Breach {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

function importBreach(file: string, specifier: string, src: string, isTest: boolean): string | undefined {
  const from = relative(src, file).split("/");
  const layer = from[0] ?? "";
  if (!specifier.startsWith(".")) {
    return layer === "model" && !isTest && specifier.startsWith("node:")
      ? `the model is pure and must not import ${specifier}`
      : undefined;
  }
  const target = relative(src, resolve(dirname(file), specifier));
  if (target.startsWith("..")) {
    const data = target.endsWith(".json");
    return isTest || data ? undefined : `src must not import ${specifier}, which lies outside src`;
  }
  const [to = "", room = ""] = target.split("/");
  if (to !== layer && !(below[layer] ?? []).includes(to)) {
    return `${layer} must not import ${to} (${specifier}): imports run downward only`;
  }
  if (layer === "host" && to === "model" && vmiRooms.includes(room) && !isTest) {
    return `host must not import model/${room} (${specifier}): it knows nothing of VMIs beyond a Wiring`;
  }
  return undefined;
}

function placeBreach(path: string): string | undefined {
  const parts = path.split("/");
  const layer = parts[0] ?? "";
  if (parts.length > 1 && !(layer in below)) return `src/${layer} is no layer of the design`;
  if (parts.length === 1) return "a file must lie in a layer's folder";
  if (parts.length > 3) return "folders go two levels deep below src, no further";
  const empty = parts.map((part) => part.replace(/\..*$/, "")).find((part) => emptyNames.test(part));
  if (empty !== undefined) return `the name "${empty}" says nothing about what is in it`;
  return undefined;
}

/** Breaches of direction, place and names in the sources below `root`, and of purity as far as the language goes. */
export function breaches(root: string): readonly Breach[] {
  const src = join(root, "src");
  const told: Breach[] = [];
  for (const file of globSync(join(src, "**/*.ts")).sort()) {
    const short = relative(root, file);
    const source = readFileSync(file, "utf8");
    const isTest = file.endsWith(".test.ts");
    const place = placeBreach(relative(src, file));
    if (place !== undefined) told.push({ file: short, line: 1, message: place });
    for (const { specifier, line } of importsOf(source)) {
      const message =
        specifier === undefined
          ? "an import of a computed name cannot be checked: name the module"
          : importBreach(file, specifier, src, isTest);
      if (message !== undefined) told.push({ file: short, line, message });
    }
    if (!short.startsWith("src/model/") || isTest) continue;
    const code = blank(source, false);
    for (const { pattern, what } of impure) {
      for (const { index } of code.matchAll(pattern)) {
        told.push({ file: short, line: lineOf(source, index), message: `the model is pure and must not use ${what}` });
      }
    }
  }
  return told;
}

/** Files of the sources that import each other in a circle, by values or by types, told at the first one's import. */
export function importCircles(root: string): readonly Breach[] {
  const lines = new Map(
    globSync(join(root, "src/**/*.ts")).map((file): [string, ReadonlyMap<string, number>] => {
      const targets = importsOf(readFileSync(file, "utf8")).flatMap(({ specifier, line }): [string, number][] =>
        specifier?.startsWith(".") ? [[relative(root, resolve(dirname(file), specifier)), line]] : [],
      );
      return [relative(root, file), new Map(targets)];
    }),
  );
  const imports = new Map([...lines].map(([file, targets]) => [file, [...targets.keys()]]));
  return circles(imports).map(([file = "", ...others]) => ({
    file,
    line: lines.get(file)?.get(others[0] ?? file) ?? 1,
    message: `files must not import each other in a circle (${[file, ...others, file].join(" → ")}): move what they share to a file below them`,
  }));
}

/** What the model may use beside the language: pure classes and functions that every runtime has. */
const pureGlobals = `
interface TextEncoder { encode(text?: string): Uint8Array<ArrayBuffer>; }
declare var TextEncoder: { new (): TextEncoder };
interface TextDecoder { decode(bytes?: ArrayBufferView | ArrayBuffer): string; }
declare var TextDecoder: { new (label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean }): TextDecoder };
declare function structuredClone<T>(value: T): T;
declare function btoa(binary: string): string;
`;

/** Checks the model once more, by a compiler that knows no globals of Node or of a browser. */
export function impurities(root: string): readonly Breach[] {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-purity-"));
  try {
    const model = join(root, "src/model");
    writeFileSync(join(folder, "globals.d.ts"), pureGlobals);
    const config = {
      extends: join(root, "tsconfig.json"),
      compilerOptions: { types: [], lib: ["es2024", "esnext.iterator"] },
      include: [join(model, "**/*.ts"), join(folder, "globals.d.ts")],
      exclude: [join(model, "**/*.test.ts")],
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
    const tsc = join(import.meta.dirname, "../node_modules/.bin/tsc");
    const run = spawnSync(tsc, ["-p", folder, "--pretty", "false"], { cwd: root, encoding: "utf8", timeout: 300_000 });
    if (run.status === 0) return [];
    const told = run.stdout.split("\n").flatMap((text): Breach[] => {
      const [, file, line, message] = /^(.+?)\((\d+),\d+\): error TS\d+: (.*)$/.exec(text) ?? [];
      if (file === undefined || message === undefined) return [];
      const short = relative(root, resolve(root, file));
      return [
        {
          file: short,
          line: Number(line),
          message: `compiled without Node's globals: ${message.replace(/ Do you need to .*/, "")}`,
        },
      ];
    });
    if (told.length > 0) return told;
    return [{ file: "src/model", line: 1, message: `the compiler failed: ${run.stdout}${run.stderr}` }];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Calls of `needs` in tests whose answer is thrown away: the test would go on without what it needs. */
export function ignoredNeeds(root: string): readonly Breach[] {
  return [...globSync(join(root, "{src,test}/**/*.test.ts"))].sort().flatMap((file) => {
    const source = readFileSync(file, "utf8");
    return [...blank(source, false).matchAll(/^[^\S\n]*needs\(/gm)].map(({ index }) => ({
      file: relative(root, file),
      line: lineOf(source, index),
      message: "the answer of needs() must be used: if (!needs(t, …)) return;",
    }));
  });
}

/**
 * Calls of Node's promise functions whose promise is dropped. Biome finds the others, but knows no types of Node's own
 * modules.
 */
export function floatingNodePromises(root: string): readonly Breach[] {
  return [...globSync(join(root, "{src,test,bench}/**/*.ts"))].sort().flatMap((file) => {
    const source = readFileSync(file, "utf8");
    const code = blank(source, false);
    const names = [...blank(source, true).matchAll(/^import\s*\{([^}]*)\}\s*from\s*"node:[a-z]+\/promises"/gm)].flatMap(
      (match) =>
        (match[1] ?? "")
          .split(",")
          .map((part) =>
            part
              .replace(/^\s*type\b.*/, "")
              .replace(/^.*\bas\b/, "")
              .trim(),
          )
          .filter((name) => name !== ""),
    );
    if (names.length === 0) return [];
    // A statement begins after one that ended; an argument or an operand on a line of its own does not.
    const statement = new RegExp(`(?<=[;{}]\\s*)\\b(${names.join("|")})\\(`, "g");
    return [...code.matchAll(statement)].map(({ index, 1: name }) => ({
      file: relative(root, file),
      line: lineOf(source, index),
      message: `the promise of ${name ?? ""}() is dropped: await it, return it, or handle its failure`,
    }));
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const root = join(import.meta.dirname, "..");
  const told = [
    ...breaches(root),
    ...importCircles(root),
    ...impurities(root),
    ...ignoredNeeds(root),
    ...floatingNodePromises(root),
  ];
  for (const { file, line, message } of told) process.stdout.write(`${file}:${line}: ${message}\n`);
  const verdict = told.length === 0 ? "layers: in order" : `layers: ${told.length} breaches`;
  process.stdout.write(`${verdict}\n`);
  process.exitCode = told.length === 0 ? 0 : 1;
}
