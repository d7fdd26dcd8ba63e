import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { exclusively } from "../../src/host/images/exclusive.ts";
import { runProgram } from "../../src/host/images/run-program.ts";

const CACHE = process.env["PATCHBAY_TEST_CACHE"] ?? "/var/cache/patchbay-test";
const LIBRARIES = "usr/lib/x86_64-linux-gnu";

/** A QEMU that is not installed: how it is run. */
export interface UnpackedQemu {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/**
 * QEMU from the backports of this machine's own Debian mirror, unpacked once: its emulated network card igb, new in 8.0,
 * makes virtual functions. Nothing is installed.
 */
export async function newQemu(onProgress: (line: string) => void): Promise<UnpackedQemu> {
  const folder = join(CACHE, "new-qemu");
  await mkdir(CACHE, { recursive: true });
  await exclusively(
    `${folder}.lock`,
    async () => {
      const there: readonly string[] = await readdir(folder).catch(() => []);
      if (there.includes("usr")) return;
      const work = await mkdtemp(join(CACHE, "new-qemu-"));
      try {
        onProgress("fetching QEMU from Debian's backports");
        await unpack(work);
        await rm(folder, { recursive: true, force: true });
        await rename(join(work, "root"), folder);
      } finally {
        await rm(work, { recursive: true, force: true });
      }
    },
    { onWait: onProgress },
  );
  return {
    program: join(folder, "usr/bin/qemu-system-x86_64"),
    args: ["-L", join(folder, "usr/share/seabios"), "-L", join(folder, "usr/share/qemu")],
    env: { LD_LIBRARY_PATH: join(folder, LIBRARIES), QEMU_MODULE_DIR: join(folder, LIBRARIES, "qemu") },
  };
}

async function unpack(work: string): Promise<void> {
  const release = /^VERSION_CODENAME=(\S+)$/m.exec(await readFile("/etc/os-release", "utf8"))?.[1] ?? "";
  const [lists, archives, sources] = ["lists", "cache/archives", "sources"].map((name) => join(work, name));
  for (const path of [join(lists ?? "", "partial"), join(archives ?? "", "partial"), sources ?? ""]) {
    await mkdir(path, { recursive: true });
  }
  await writeFile(join(sources ?? "", "backports.list"), await sourceLines(release));
  const options = [
    ["Dir::Etc::sourcelist", "/dev/null"],
    ["Dir::Etc::sourceparts", sources],
    ["Dir::State::Lists", lists],
    ["Dir::Cache", join(work, "cache")],
    ["Acquire::Languages", "none"],
    ["APT::Sandbox::User", "root"],
    ["APT::Install-Recommends", "false"],
  ].flatMap(([key, value]) => ["-o", `${key}=${value}`]);
  await runProgram("apt-get", [...options, "-q", "update"]);
  // With the libraries that it wants and this machine does not have.
  const names = ["qemu-system-x86", "qemu-system-common", "qemu-system-data", "seabios"];
  const wanted = names.map((name) => `${name}/${release}-backports`);
  const install = ["-q", "--yes", "--download-only", "-t", `${release}-backports`, "install", ...wanted];
  await runProgram("apt-get", [...options, ...install]);
  const files = (await readdir(archives ?? "")).filter((name) => name.endsWith(".deb"));
  for (const file of files) await runProgram("dpkg-deb", ["--extract", join(archives ?? "", file), join(work, "root")]);
}

/** The machine's own Debian archives, and the backports beside them, as lines of a sources.list. */
async function sourceLines(release: string): Promise<string> {
  const format = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)";
  const listing = await runProgram("apt-get", ["indextargets", "--format", format, "Created-By: Packages"]);
  const lines = listing
    .toString()
    .split("\n")
    .flatMap((line) => {
      const [uri, name, component, origin] = line.split("|");
      if (origin !== "Debian" || component !== "main") return [];
      const own = `deb ${uri} ${name} main`;
      return name === release ? [own, `deb ${uri} ${release}-backports main`] : [own];
    });
  return `${[...new Set(lines)].join("\n")}\n`;
}
