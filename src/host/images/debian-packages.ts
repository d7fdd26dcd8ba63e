import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { Fault, isFault, sentence } from "../../model/fault.ts";
import { exclusively } from "./exclusive.ts";
import { runProgram } from "./run-program.ts";

/** Debian packages, fetched and unpacked without being installed. */
export interface DebianPackages {
  /** The package that a meta package such as `linux-image-amd64` depends on and whose name starts with `prefix`. */
  dependency(metaPackage: string, prefix: string): Promise<string>;
  /** Fetches packages and unpacks them all into one folder. */
  unpack(names: readonly string[], folder: string): Promise<void>;
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
  };
}

/** The files that apt keeps for these packages; files of versions that are no longer wanted are removed. */
async function newestFiles(
  apt: (program: string, args: readonly string[]) => Promise<Buffer>,
  archives: string,
  names: readonly string[],
): Promise<string[]> {
  const listing = (await apt("apt-cache", ["show", "--no-all-versions", ...names])).toString();
  const records = listing.split("\n\n").map((record) => ({
    name: /^Package: (.+)$/m.exec(record)?.[1],
    version: /^Version: (.+)$/m.exec(record)?.[1],
    architecture: /^Architecture: (.+)$/m.exec(record)?.[1],
  }));
  const present = await readdir(archives);
  return Promise.all(
    names.map(async (name) => {
      const record = records.find((candidate) => candidate.name === name);
      // apt writes the colon of an epoch as %3a.
      const file = `${name}_${record?.version?.replace(":", "%3a")}_${record?.architecture}.deb`;
      if (!present.includes(file)) throw unavailable([name], new Error(`${file} is not among the files fetched`));
      const stale = present.filter((other) => other.startsWith(`${name}_`) && other !== file);
      await Promise.all(stale.map((other) => rm(join(archives, other), { force: true })));
      return join(archives, file);
    }),
  );
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
