import { link, mkdir, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Fault, isFault } from "../../model/fault.ts";
import type { DebianPackage } from "./debian-packages.ts";
import { digestOf } from "./reference.ts";
import { watchProgram } from "./run-program.ts";

/** Makes a system's root folder. */
export interface RootOptions {
  /** Has the unpacked package debootstrap. */
  readonly tools: string;
  readonly release: string;
  readonly packages: readonly DebianPackage[];
  /** Empty folder for what is needed meanwhile, on the file system of the packages. */
  readonly work: string;
  readonly onProgress: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Of a command that failed, and of what it said. */
const LONGEST_COMMAND = 120;
const MOST_LINES = 3;
/** Lines of debootstrap between two that are told. */
const TOLD_EACH = 25;

/**
 * Installs packages into `root` by debootstrap, out of a mirror of just these files: what apt verified is fetched once, and
 * nothing asks the network again. Needs root; mounts are seen by nobody else. Fails with PB5005, PB5007.
 */
export async function installSystem(root: string, options: RootOptions): Promise<void> {
  const { tools, release, packages, work, onProgress, signal } = options;
  const mirror = join(work, "mirror");
  await makeMirror(mirror, release, packages);
  const programs = join(work, "programs");
  await mkdir(programs);
  // debootstrap wants the program even where nothing is fetched by it.
  await symlink("/bin/false", join(programs, "wget"));
  let lines = 0;
  await inNamespaces(
    [join(tools, "usr/sbin/debootstrap")],
    [
      "--variant=minbase",
      "--no-check-gpg",
      // Its own resolver knows no virtual packages: everything is named.
      `--include=${packages.map(({ name }) => name).join(",")}`,
      release,
      root,
      `file://${mirror}`,
    ],
    {
      env: { DEBOOTSTRAP_DIR: join(tools, "usr/share/debootstrap"), PATH: `${programs}:${PATH}` },
      onLine(line) {
        const [, what] = /^I: (Configuring \S+|Extracting \S+|Unpacking \S+)/.exec(line) ?? [];
        if (what !== undefined && lines++ % TOLD_EACH === 0) onProgress(what.toLowerCase());
      },
      signal,
    },
  );
}

const PATH = "/usr/sbin:/usr/bin:/sbin:/bin";

/** Runs a command of a system in its root folder. */
export async function inSystem(root: string, argv: readonly string[], signal?: AbortSignal): Promise<void> {
  await inNamespaces(["chroot", root], argv, { env: { PATH }, onLine: () => {}, signal });
}

/** With mounts and processes of its own, which end with it. */
async function inNamespaces(
  program: readonly string[],
  args: readonly string[],
  options: {
    readonly env: Readonly<Record<string, string>>;
    readonly onLine: (line: string) => void;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<void> {
  const { env, onLine, signal } = options;
  const argv = ["--mount", "--pid", "--fork", "--kill-child", "--", ...program, ...args];
  // These programs say on standard output, too, why they end.
  const last: string[] = [];
  const hear = (line: string): void => {
    last.push(line);
    if (last.length > MOST_LINES) last.shift();
    onLine(line);
  };
  const { ended } = watchProgram("unshare", argv, {
    env,
    onLine: hear,
    killSignal: "SIGKILL",
    ...(signal && { signal }),
  });
  await ended.catch((thrown: unknown) => {
    signal?.throwIfAborted();
    if (!isFault(thrown, "PB5005")) throw thrown;
    const told = [...last, String(thrown.data["words"] ?? thrown.message)].join(" ");
    throw new Fault("PB5005", `${[...program, ...args].join(" ").slice(0, LONGEST_COMMAND)} failed: ${told}`, {
      place: program.at(-1) ?? "",
      cure: "Building needs root with the right to make devices and mounts, as a machine or a privileged container has them.",
      data: thrown.data,
      cause: thrown,
    });
  });
}

/** A repository (deb822 lists) of these packages. */
async function makeMirror(mirror: string, release: string, packages: readonly DebianPackage[]): Promise<void> {
  const lists = join(mirror, "dists", release, "main", "binary-amd64");
  await mkdir(lists, { recursive: true });
  await mkdir(join(mirror, "pool"));
  for (const { file } of packages) await link(file, join(mirror, "pool", basename(file)));
  const listing = Buffer.from(
    packages
      .map(({ file, record }) => `${record.trim().replace(/^Filename: .*$/m, `Filename: pool/${basename(file)}`)}\n\n`)
      .join(""),
  );
  await writeFile(join(lists, "Packages"), listing);
  const digest = digestOf(listing).slice("sha256:".length);
  await writeFile(
    join(dirname(dirname(lists)), "Release"),
    [
      "Suite: stable",
      `Codename: ${release}`,
      "Architectures: amd64",
      "Components: main",
      "SHA256:",
      ` ${digest} ${listing.length} main/binary-amd64/Packages`,
      "",
    ].join("\n"),
  );
}
