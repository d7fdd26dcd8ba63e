import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { exclusively } from "../src/host/images/exclusive.ts";

const execute = promisify(execFile);
const CACHE = join(process.env["PATCHBAY_TEST_CACHE"] ?? "/var/cache/patchbay-test", "kubectl");
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** Where each version comes from. */
const releases = {
  "1.20": { suite: "bookworm", package: "kubernetes-client" },
  "1.32": { suite: "trixie", package: "kubectl" },
} as const;

/** A version of kubectl that Patchbay promises to work with. */
export type KubectlVersion = keyof typeof releases;

/** Every one of them. */
export const kubectlVersions: readonly KubectlVersion[] = ["1.20", "1.32"];

function binary(version: KubectlVersion): string {
  return join(CACHE, version, "kubectl");
}

/** True when a version was brought already. */
export function isKubectlHere(version: KubectlVersion): boolean {
  return existsSync(binary(version));
}

/**
 * The path of a kubectl of this version, brought once for all tests of a machine out of Debian's package of it.
 *
 * The package is unpacked in PATCHBAY_TEST_CACHE, else in /var/cache/patchbay-test; it is not installed, and apt's own
 * state is not touched. Fails where the machine's Debian mirror cannot be reached.
 */
export async function kubectlBinary(version: KubectlVersion): Promise<string> {
  if (isKubectlHere(version)) return binary(version);
  await mkdir(CACHE, { recursive: true });
  return exclusively(join(CACHE, "lock"), async () => {
    if (!isKubectlHere(version)) await bring(version);
    return binary(version);
  });
}

async function bring(version: KubectlVersion): Promise<void> {
  const errors: unknown[] = [];
  for (const mirror of await mirrors()) {
    try {
      return await bringFrom(mirror, version);
    } catch (thrown) {
      errors.push(thrown);
    }
  }
  throw new AggregateError(errors, `kubectl ${version} comes from none of the sources that apt-get knows: ${errors}`);
}

async function bringFrom(mirror: string, version: KubectlVersion): Promise<void> {
  const work = await mkdtemp(join(CACHE, "bringing-"));
  try {
    const release = releases[version];
    const apt = await privateApt(work, mirror, release.suite);
    await apt(["update"]);
    const archives = join(work, "archives");
    await mkdir(archives);
    await apt(["download", release.package], archives);
    const [file, ...more] = await readdir(archives);
    if (file === undefined || more.length > 0)
      throw new Error(`apt-get download ${release.package} fetched no one file`);
    await execute("dpkg-deb", ["--extract", join(archives, file), join(work, "root")]);
    const unpacked = join(work, "root", "usr", "bin", "kubectl");
    const { stdout } = await execute(unpacked, ["version", "--client", "-o", "json"]);
    const minor = /"gitVersion": "v(\d+\.\d+)\./.exec(stdout)?.[1];
    if (minor !== version)
      throw new Error(`${release.package} of ${release.suite} is kubectl ${minor}, not ${version}`);
    await mkdir(join(CACHE, version), { recursive: true });
    await rename(unpacked, binary(version));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** apt-get with one suite of a mirror as its only source, and all its state below `folder`. */
async function privateApt(
  folder: string,
  mirror: string,
  suite: string,
): Promise<(args: readonly string[], cwd?: string) => Promise<unknown>> {
  const [sources, state, cache] = [join(folder, "sources"), join(folder, "state"), join(folder, "cache")];
  for (const path of [sources, join(state, "lists", "partial"), join(cache, "archives", "partial")]) {
    await mkdir(path, { recursive: true });
  }
  await writeFile(
    join(sources, "debian.sources"),
    `Types: deb\nURIs: ${mirror}\nSuites: ${suite}\nComponents: main\nSigned-By: ${KEYRING}\n`,
  );
  const options = [
    "Dir::Etc::sourcelist=/dev/null",
    `Dir::Etc::sourceparts=${sources}`,
    "Dir::Etc::preferences=/dev/null",
    "Dir::Etc::preferencesparts=/dev/null",
    `Dir::State=${state}`,
    "Dir::State::status=/dev/null",
    `Dir::Cache=${cache}`,
    "APT::Sandbox::User=root",
    "APT::Update::Error-Mode=any",
    "Acquire::Languages=none",
    "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
    "Acquire::Retries=1",
    "Acquire::http::Timeout=20",
    "Acquire::https::Timeout=20",
  ].flatMap((option) => ["-o", option]);
  return (args, cwd = folder) => execute("apt-get", [...options, "-q", ...args], { cwd });
}

/** Where the machine gets whole releases from; which of these is Debian's own, the keyring tells. */
async function mirrors(): Promise<readonly string[]> {
  const format = ["--no-release-info", "--format", "$(RELEASE) $(REPO_URI)"];
  const { stdout } = await execute("apt-get", ["indextargets", ...format]);
  const whole = stdout.split("\n").flatMap((line) => /^[a-z]+ (\S+)$/.exec(line)?.[1] ?? []);
  if (whole.length === 0) throw new Error("apt-get knows no source of packages; see /etc/apt/sources.list");
  return [...new Set(whole)];
}
