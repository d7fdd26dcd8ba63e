import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { Fault, isFault } from "../model/fault.ts";
import { packageVersion } from "./package-files.ts";
import type { SetupOptions } from "./setup.ts";

/** Options that every command takes. */
export interface GlobalOptions {
  readonly dataDir: string;
}

/** `-o json` of the commands that report. */
function outputOption(...more: readonly string[]): Option {
  return new Option("-o, --output <format>", "how to report").choices(["text", "json", ...more]).default("text");
}

const DATA_DIR = "PATCHBAY_DATA_DIR";

/** `--data-dir`. A variable that is set and empty counts as one that is not set. */
function dataDirOption(): Option {
  const option = new Option("--data-dir <folder>", "where the store, images, sockets and logs live")
    .argParser(named)
    .default("/var/lib/patchbay");
  return process.env[DATA_DIR] === "" ? option : option.env(DATA_DIR);
}

/** A folder's name. An empty one, of a shell's variable that is not set, would mean the folder that one is in. */
function named(folder: string): string {
  if (folder === "") throw new InvalidArgumentError("Name a folder.");
  return folder;
}

/**
 * The commands. Each module is imported when its command runs, so that none pays for another's start.
 *
 * `ended` gets the exit code of the command that ran.
 */
function build(ended: (code: number) => void): Command {
  const program = new Command("patchbay");
  program
    .description("Plugs virtual machines into networks: KubeVirt's manifests and kubectl on one Linux machine.")
    .version(packageVersion(), "-V, --version", "print the version")
    .addOption(dataDirOption())
    .showHelpAfterError("Run it with --help to see how it is used.")
    .exitOverride();

  program
    .command("setup")
    .description("install what this machine lacks, or only list it")
    .option("--check", "list each need, found or not, and what brings it; change nothing")
    .addOption(outputOption())
    .addHelpText("after", "\nExit code: 0 when nothing needed is missing, 1 when something is, 2 on wrong usage.")
    .action(async (options: SetupOptions) => ended(await (await import("./setup.ts")).setup(options)));

  addDaemonCommands(program, ended);
  addManifestCommands(program, ended);
  addExplainCommand(program, ended);
  addImageCommands(program, ended);
  return program;
}

/** Options of a daemon's start. */
function upOptions(command: Command): Command {
  return command
    .option("--address <address>", "IP address on which the API listens; 0.0.0.0 or :: for all of them", "127.0.0.1")
    .option("--port <port>", "port of the API; 0: any free one", "16443")
    .option("--node-name <name>", "name of this node; default: the host name")
    .option("--image-dir <folder>", "where images live; default: images below the data folder", named)
    .option(
      "--cni-conf-dir <folder>",
      "CNI configurations; default: the embedded network's, below the data folder",
      named,
    )
    .option("--cni-bin-dir <folders>", "CNI plugins, separated by colons; default: /usr/lib/cni:/opt/cni/bin")
    .option("--cni-timeout <seconds>", "how long one CNI plugin may take", "10");
}

function addDaemonCommands(program: Command, ended: (code: number) => void): void {
  upOptions(program.command("up").description("run the daemon: API, controllers and node in one process"))
    .option("--detach", "return when it is ready, and let it run")
    .action(async (_options, command: Command) => ended(await (await import("./up.ts")).up(command.optsWithGlobals())));
  program
    .command("down")
    .description("stop the daemon; its guests go on")
    .option("--vms", "stop every VM as well, and leave nothing behind")
    .action(async (_options, command: Command) =>
      ended(await (await import("./down.ts")).down(command.optsWithGlobals())),
    );
  program
    .command("console")
    .description("the serial console of a VMI; Ctrl-] leaves it")
    .argument("<vmi>", "name, or namespace/name")
    .option("-n, --namespace <namespace>", "where the VMI is", "default")
    .action(async (name: string, _options, command: Command) =>
      ended(await (await import("./console.ts")).consoleOf(name, command.optsWithGlobals())),
    );
  program
    .command("domxml")
    .description("a VMI as libvirt domain XML: its guest as it runs, or as it would be; only to read")
    .argument("<vmi>", "name, or namespace/name")
    .option("-n, --namespace <namespace>", "where the VMI is", "default")
    .addOption(outputOption())
    .action(async (name: string, _options, command: Command) =>
      ended(await (await import("./domxml.ts")).domxml(name, command.optsWithGlobals())),
    );
  upOptions(
    program.command("demo").description("set up, boot the example, fetch its page over IPv4 and IPv6, clean up"),
  ).action(async (_options, command: Command) =>
    ended(await (await import("./demo.ts")).demo(command.optsWithGlobals())),
  );
}

function addManifestCommands(program: Command, ended: (code: number) => void): void {
  const files = ["-f, --filename <file...>", "files, folders, or - for stdin"] as const;
  upOptions(program.command("run").description("apply manifests, wait for the guests, and say how to reach them"))
    .requiredOption(...files)
    .option("--timeout <seconds>", "how long to wait for each VM", "120")
    .addOption(outputOption())
    .action(async (_options, command: Command) =>
      ended(await (await import("./run.ts")).run(command.optsWithGlobals())),
    );
  program
    .command("validate")
    .description("findings of manifests and CNI configurations, each and together; needs no root and no daemon")
    .option(...files)
    .option("--config <file>", "the KubeVirt resource, or the older ConfigMap, whose settings hold")
    .option(
      "--live",
      "look at the daemon's objects and at this host as well: definitions, images, plugins, links, pools",
    )
    .option("--cases <file>", "answer admission cases instead, one JSON line each")
    .option("--explain <code>", "print the page of a code, such as PB2020")
    .addOption(outputOption("sarif"))
    .addHelpText("after", "\nExit code: 0 when no finding is an error, 1 when one is, 2 on wrong usage.")
    .action(async (_options, command: Command) =>
      ended(await (await import("./validate.ts")).validate(command.optsWithGlobals())),
    );
  program
    .command("plan")
    .description("what would be built for the VMIs of manifests; nothing is done")
    .requiredOption(...files)
    .option("--config <file>", "the KubeVirt resource whose configuration holds")
    .addOption(outputOption("svg"))
    .action(async (_options, command: Command) => ended((await import("./plan.ts")).plan(command.optsWithGlobals())));
}

function addExplainCommand(program: Command, ended: (code: number) => void): void {
  program
    .command("explain")
    .description("in plain words: who reaches each NIC, what it reaches, MTU, MAC, what is served, migration, needs")
    .argument("[vmi]", "a VMI of the daemon: name, or namespace/name")
    .option("-f, --filename <file...>", "manifests instead: files, folders, or - for stdin")
    .option("--config <file>", "the KubeVirt resource whose configuration holds")
    .option("-n, --namespace <namespace>", "where the VMI is", "default")
    .addOption(outputOption())
    .action(async (name: string | undefined, _options, command: Command) =>
      ended(await (await import("./explain.ts")).explain(name, command.optsWithGlobals())),
    );
}

function addImageCommands(program: Command, ended: (code: number) => void): void {
  const image = program.command("image").description("the local image store");
  const add = (usage: string, description: string): Command =>
    image
      .command(usage)
      .description(description)
      .option("--image-dir <folder>", "where images live; default: images below the data folder", named)
      .addOption(outputOption());
  add("build-guest", "make patchbay/guest:latest out of Debian's kernel and busybox").action(
    async (_options, command: Command) =>
      ended(await (await import("./image.ts")).imageBuildGuest(command.optsWithGlobals())),
  );
  add("build-debian", "make patchbay/debian:12, a Debian 12 cloud disk for containerDisk; takes minutes, needs root")
    .addHelpText(
      "after",
      "\nIts packages come from this machine's apt sources and are kept in the data folder. It reads cloud-init's data\n(NoCloud and ConfigDrive) and has systemd-networkd, qemu-guest-agent, iperf3, ethtool and tcpdump. A manifest's image\nname leads to it after `patchbay image tag patchbay/debian:12 NAME`.",
    )
    .action(async (_options, command: Command) =>
      ended(await (await import("./image.ts")).imageBuildDebian(command.optsWithGlobals())),
    );
  add("ls", "list the images: name, digest, and size as they are stored").action(async (_options, command: Command) =>
    ended(await (await import("./image.ts")).imageList(command.optsWithGlobals())),
  );
  add("pull <name>", "bring an image from its registry, with skopeo and its credentials")
    .addHelpText(
      "after",
      "\nA NAME without a registry is one of Docker Hub: debian is docker.io/library/debian:latest.",
    )
    .action(async (name: string, _options, command: Command) =>
      ended(await (await import("./image.ts")).imagePull(name, command.optsWithGlobals())),
    );
  add(
    "import <name> <path>",
    "take an image from an OCI layout, an OCI archive or a Docker archive, or make one of a qcow2 disk",
  ).action(async (name: string, path: string, _options, command: Command) =>
    ended(await (await import("./image.ts")).imageImport(name, path, command.optsWithGlobals())),
  );
  add("tag <name> <other>", "give an image another name").action(
    async (name: string, other: string, _options, command: Command) =>
      ended(await (await import("./image.ts")).imageTag(name, other, command.optsWithGlobals())),
  );
  add("rm <name>", "remove a name, and with the last one the image; guests that run keep their disks").action(
    async (name: string, _options, command: Command) =>
      ended(await (await import("./image.ts")).imageRemove(name, command.optsWithGlobals())),
  );
}

/** What a thrown thing says on the terminal: code, sentence, place and cure of a fault; the stack of a defect. */
function describe(thrown: unknown): string {
  if (!isFault(thrown)) {
    const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
    return `patchbay: this is a defect in Patchbay, please report it:\n${text}`;
  }
  const place = thrown.place === undefined ? "" : `\n  at ${thrown.place}`;
  const cure = thrown.cure === undefined ? "" : `\n  ${thrown.cure.replaceAll("\n", "\n  ")}`;
  return `patchbay: ${thrown.code}: ${thrown.message}${place}${cure}`;
}

const OWN_FOLDER = "Run the command with sudo, or name a folder of this user's own with --data-dir.";

/** What the kernel says of the machine and its user, with the cure. */
const OF_THE_MACHINE: Readonly<Record<string, readonly [said: string, cure: string]>> = {
  ENOSPC: ["A disk is full", "Free space on it (df shows which one is full)."],
  EDQUOT: ["A disk is full", "Free space on it (df shows which one is full)."],
  EROFS: ["A disk is read-only", "Name a folder on another one with --data-dir."],
  EACCES: ["This user may not do it", OWN_FOLDER],
  EPERM: ["This user may not do it", OWN_FOLDER],
};

/** A full disk and a user without the rights are nobody's defect, wherever they are met. */
function machineFault(thrown: unknown): Fault | undefined {
  if (!(thrown instanceof Error) || !("code" in thrown)) return undefined;
  const [said, cure] = OF_THE_MACHINE[String(thrown.code)] ?? [];
  if (said === undefined || cure === undefined) return undefined;
  return new Fault("PB6001", `${said}: ${thrown.message}.`, {
    ...("path" in thrown ? { place: String(thrown.path) } : {}),
    cure,
    cause: thrown,
  });
}

/** Runs one command line; answers the exit code: 0 fine, 1 findings or failure, 2 usage. */
export async function main(argv: readonly string[]): Promise<number> {
  let code = 0;
  const program = build((ended) => {
    code = ended;
  });
  try {
    if (argv.length === 0) {
      program.outputHelp({ error: true });
      return 2;
    }
    await program.parseAsync(argv, { from: "user" });
    return code;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
    process.stderr.write(`${describe(machineFault(thrown) ?? thrown)}\n`);
    return 1;
  }
}
