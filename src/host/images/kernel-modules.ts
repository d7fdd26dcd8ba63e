import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { Fault } from "../../model/fault.ts";

/** Loadable modules with the two index files that modprobe reads. */
export interface ModuleSet {
  /** In load order: what a module needs stands before it. */
  readonly modules: readonly { readonly file: string; readonly data: Uint8Array }[];
  /** modules.dep, as modprobe(8) reads it; files lie in one folder. */
  readonly dependencies: string;
  /** modules.alias. */
  readonly aliases: string;
}

interface Module {
  readonly name: string;
  readonly file: string;
  readonly data: Buffer;
  readonly depends: readonly string[];
  /** Soft dependencies: loaded before where the kernel has them. They may be aliases of other modules. */
  readonly wishes: readonly string[];
  readonly aliases: readonly string[];
}

/** What ends a signed module (include/linux/module_signature.h). */
const SIGNATURE_MARK = Buffer.from("~Module signature appended~\n");
/** sizeof(struct module_signature): its last four bytes are the signature's length, big-endian. */
const SIGNATURE_HEADER = 12;

/**
 * Picks modules and everything they need from an unpacked kernel's `kernel` folder.
 *
 * Signatures are left out: checking one costs an emulated guest tens of milliseconds, and Debian's kernel loads unsigned
 * modules when it is not locked down. Names that the kernel has built in are passed over; others fail with PB5008.
 */
export async function selectModules(
  folder: string,
  wanted: readonly string[],
  builtIn: ReadonlySet<string>,
): Promise<ModuleSet> {
  const paths = await modulePaths(folder);
  const selected = new Map<string, Module>();
  const select = async (name: string): Promise<void> => {
    if (selected.has(name) || builtIn.has(name)) return;
    const path = paths.get(name);
    if (path === undefined) {
      throw new Fault("PB5008", `The kernel has no module ${name}.`, { place: folder, data: { module: name } });
    }
    const module = await readModule(path);
    for (const needed of module.depends) await select(needed);
    for (const wished of module.wishes) if (paths.has(wished)) await select(wished);
    selected.set(name, module);
  };
  for (const name of wanted) await select(canonical(name));
  const modules = [...selected.values()];
  return {
    modules,
    dependencies: modules.map((module) => `${module.file}:${needs(module, selected)}\n`).join(""),
    aliases: modules.flatMap((module) => module.aliases.map((alias) => `alias ${alias} ${module.name}\n`)).join(""),
  };
}

/** Names of the modules that are part of the kernel itself, of its `modules.builtin`. */
export function builtInModules(listing: string): Set<string> {
  return new Set(listing.split("\n").flatMap((line) => (line === "" ? [] : [moduleName(line)])));
}

function canonical(name: string): string {
  return name.replaceAll("-", "_");
}

function moduleName(path: string): string {
  return canonical(basename(path, ".ko"));
}

async function modulePaths(folder: string): Promise<Map<string, string>> {
  const files = await readdir(folder, { recursive: true });
  return new Map(files.filter((file) => file.endsWith(".ko")).map((file) => [moduleName(file), join(folder, file)]));
}

async function readModule(path: string): Promise<Module> {
  const data = withoutSignature(await readFile(path));
  return {
    name: moduleName(path),
    file: basename(path),
    data,
    depends: names(information(data, "depends").flatMap((list) => list.split(","))),
    wishes: names(softNeeds(data)),
    aliases: information(data, "alias"),
  };
}

function names(list: readonly string[]): string[] {
  return list.filter((name) => name !== "").map(canonical);
}

/** `softdep=pre: a b post: c`: only what is to be loaded before. */
function softNeeds(data: Buffer): string[] {
  return information(data, "softdep").flatMap((text) => {
    const before = /pre:([^:]*?)(?:post:|$)/.exec(text)?.[1] ?? "";
    return before.trim().split(/\s+/);
  });
}

/** Values of one key of the section .modinfo, whose members are `key=value` ended by a zero byte. */
function information(data: Buffer, key: string): string[] {
  const mark = Buffer.from(`\0${key}=`);
  const values: string[] = [];
  for (let at = data.indexOf(mark); at >= 0; at = data.indexOf(mark, at + 1)) {
    const start = at + mark.length;
    values.push(data.toString("latin1", start, data.indexOf(0, start)));
  }
  return values;
}

function withoutSignature(data: Buffer): Buffer {
  const mark = data.length - SIGNATURE_MARK.length;
  if (mark < SIGNATURE_HEADER || !data.subarray(mark).equals(SIGNATURE_MARK)) return data;
  return data.subarray(0, mark - SIGNATURE_HEADER - data.readUInt32BE(mark - 4));
}

/** A line of modules.dep: nearest need first, so that reading it backwards is the order to load. */
function needs(module: Module, all: ReadonlyMap<string, Module>): string {
  const order: string[] = [];
  const visit = (one: Module): void => {
    for (const name of [...one.depends, ...one.wishes]) {
      const needed = all.get(name);
      if (needed === undefined || order.includes(needed.file)) continue;
      visit(needed);
      order.push(needed.file);
    }
  };
  visit(module);
  return order
    .reverse()
    .map((file) => ` ${file}`)
    .join("");
}
