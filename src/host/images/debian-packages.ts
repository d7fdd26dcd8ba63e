import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { Fault, isFault, sentence } from "../../model/fault.ts";
import { exclusively } from "./exclusive.ts";
import { runProgram } from "./run-program.ts";

/** Debian packages, fetched and unpacked without being installed. */
export interface DebianPackages {
  /** The package that a meta package such as `linux-image-amd64` depends on and whose name starts with `prefix`. */
  dependency(metaPackage: string, prefix: string): Promise<string>;
  /** Fetches packages and unpacks them all into one folder. */
  unpack(names: readonly string[], folder: string): Promise<void>;
  /**
   * Fetches what a system of these packages, and of those that every system of this release must have, consists of.
   *
   * PB5006 where the machine's sources are of another release.
   */
  system(release: string, names: readonly string[]): Promise<readonly DebianPackage[]>;
}

/** A package that was fetched. */
export interface DebianPackage {
  readonly name: string;
  /** Path of its file. */
  readonly file: string;
  /** What the source's list says of it: a paragraph of control fields (deb-control(5)). */
  readonly record: string;
}

/**
 * The machine's own package sources, read through lists and a cache in `folder`: nothing of the system's apt state changes.
 *
 * The lists are brought up to date first. Without a network the packages of an earlier build in the same folder are used;
 * where there are none, PB5006.
 */
export async function openDebianPackages(
  folder: string,
  onProgress: (line: string) => void,
  signal?: AbortSignal,
): Promise<DebianPackages> {
  const state = join(folder, "apt");
  const archives = join(folder, "archives");
  await mkdir(join(state, "lists", "partial"), { recursive: true });
  await mkdir(join(state, "cache", "archives", "partial"), { recursive: true });
  await mkdir(archives, { recursive: true });
  const options = [
    `Dir::State=${state}`,
    "Dir::State::status=/var/lib/dpkg/status",
    `Dir::Cache=${join(state, "cache")}`,
    "APT::Sandbox::User=root",
    "APT::Update::Error-Mode=any",
    "Acquire::Languages=none",
    "Acquire::Retries=1",
    "Acquire::http::Timeout=20",
    "Acquire::https::Timeout=20",
  ].flatMap((option) => ["-o", option]);
  // apt refuses a second process at once; builds that run at the same time take turns.
  const apt = (program: string, args: readonly string[], cwd = archives): Promise<Buffer> =>
    exclusively(join(folder, "lock"), () => run(program, [...options, "-q", ...args], cwd), {
      onWait: onProgress,
      signal,
    });
  const run = (program: string, args: readonly string[], cwd: string): Promise<Buffer> =>
    runProgram(program, args, { cwd, ...(signal === undefined ? {} : { signal }) });

  let outdated: unknown;
  onProgress("reading the package lists");
  try {
    await apt("apt-get", ["update"]);
  } catch (thrown) {
    signal?.throwIfAborted();
    if (isFault(thrown, "PB5007")) throw thrown;
    outdated = thrown;
    onProgress("the package lists cannot be brought up to date; trying those of an earlier build");
  }

  return {
    async dependency(metaPackage, prefix) {
      const listing = await fetched(() => apt("apt-cache", ["depends", metaPackage]), [metaPackage], outdated);
      const found = [...listing.toString().matchAll(/^ +Depends: (\S+)$/gm)].flatMap((match) => match[1] ?? []);
      const name = found.find((candidate) => candidate.startsWith(prefix));
      if (name === undefined) throw unavailable([metaPackage], new Error(`no ${prefix}… among its dependencies`));
      return name;
    },

    async unpack(names, target) {
      onProgress(`fetching ${names.join(", ")}`);
      await fetched(() => apt("apt-get", ["download", ...names]), names, outdated);
      const files = await newestFiles(apt, archives, names);
      await mkdir(target, { recursive: true });
      for (const file of files) await run("dpkg-deb", ["--extract", file, target], archives);
    },

    async system(release, names) {
      const targets = await apt("apt-get", ["indextargets", "--format", "$(CODENAME)"]);
      if (!targets.toString().split("\n").includes(release)) {
        throw unavailable(names, new Error(`the machine's package sources are not of Debian ${release}`));
      }
      // As on a machine that has no package yet.
      const status = join(folder, "no-packages");
      await writeFile(status, "");
      const bare = [`Dir::State::status=${status}`, "APT::Install-Recommends=false", "Dir::Cache::pkgcache="];
      const bareOptions = bare.flatMap((option) => ["-o", option]);
      const all = await apt("apt-cache", [...bareOptions, "dumpavail"]);
      const required = paragraphs(all).filter((record) => /^Priority: required$/m.test(record));
      const wanted = [...new Set([...required.flatMap((record) => fieldOf(record, "Package") ?? []), ...names])];
      onProgress(`fetching the packages of Debian ${release}`);
      const install = [...bareOptions, "--yes", "install", ...wanted];
      const plan = await fetched(() => apt("apt-get", ["--simulate", ...install]), names, outdated);
      const chosen = [...plan.toString().matchAll(/^Inst (\S+)/gm)].flatMap((match) => match[1] ?? []);
      await fetched(() => apt("apt-get", ["--download-only", ...install]), names, outdated);
      const folderOfFiles = join(state, "cache", "archives");
      const found = await findFiles(apt, folderOfFiles, chosen);
      await removeStale(folderOfFiles, found);
      return found;
    },
  };
}

function paragraphs(listing: Uint8Array): readonly string[] {
  return Buffer.from(listing)
    .toString()
    .split("\n\n")
    .filter((paragraph) => paragraph.trim() !== "");
}

function fieldOf(record: string, field: string): string | undefined {
  return new RegExp(`^${field}: (.+)$`, "m").exec(record)?.[1];
}

/** The files that apt keeps for these packages; files of versions that are no longer wanted are removed. */
async function newestFiles(
  apt: (program: string, args: readonly string[]) => Promise<Buffer>,
  archives: string,
  names: readonly string[],
): Promise<string[]> {
  const found = await findFiles(apt, archives, names);
  const present = await readdir(archives);
  const kept = found.map(({ file }) => basename(file));
  const stale = present.filter((other) => names.some((name) => other.startsWith(`${name}_`)) && !kept.includes(other));
  await Promise.all(stale.map((other) => rm(join(archives, other), { force: true })));
  return found.map(({ file }) => file);
}

/** The newest version of each package, which must be among the files. */
async function findFiles(
  apt: (program: string, args: readonly string[]) => Promise<Buffer>,
  archives: string,
  names: readonly string[],
): Promise<readonly DebianPackage[]> {
  const listing = await apt("apt-cache", ["show", "--no-all-versions", ...names]);
  const records = new Map(paragraphs(listing).map((record) => [fieldOf(record, "Package"), record]));
  const present = new Set(await readdir(archives));
  return names.map((name) => {
    const record = records.get(name) ?? "";
    // apt writes the colon of an epoch as %3a.
    const version = fieldOf(record, "Version")?.replace(":", "%3a");
    const file = `${name}_${version}_${fieldOf(record, "Architecture")}.deb`;
    if (!present.has(file)) throw unavailable([name], new Error(`${file} is not among the files fetched`));
    return { name, file: join(archives, file), record };
  });
}

/** Removes packages that an earlier build fetched and this one does not want. */
async function removeStale(archives: string, wanted: readonly DebianPackage[]): Promise<void> {
  const kept = new Set(wanted.map(({ file }) => basename(file)));
  const stale = (await readdir(archives)).filter((name) => name.endsWith(".deb") && !kept.has(name));
  await Promise.all(stale.map((name) => rm(join(archives, name), { force: true })));
}

async function fetched<T>(fetch: () => Promise<T>, names: readonly string[], outdated: unknown): Promise<T> {
  try {
    return await fetch();
  } catch (thrown) {
    if (isFault(thrown, "PB5007")) throw thrown;
    throw unavailable(names, outdated ?? thrown);
  }
}

function unavailable(names: readonly string[], cause: unknown): Fault {
  const why = isFault(cause) ? sentence(cause) : cause instanceof Error ? cause.message : String(cause);
  return new Fault("PB5006", `The Debian packages ${names.join(", ")} cannot be fetched: ${why}`, {
    cure: "See that `apt-get update` works: /etc/apt/sources.list must name a Debian 12 mirror that this machine reaches.",
    data: { packages: names },
    cause,
  });
}
