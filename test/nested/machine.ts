import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type MachineParts, machineParts } from "./machine-parts.ts";
import { newQemu, type UnpackedQemu } from "./new-qemu.ts";

/** How a command is run in the nested machine. */
export interface MachineOptions {
  /** Working directory, the same inside and outside. */
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Kernel modules that are there from the beginning; others come when the kernel asks for them. */
  readonly modules?: readonly string[];
  /** With a network card `pf0` that can make virtual functions, on a network of its own (10.99.0.0/24), and an IOMMU. */
  readonly card?: boolean;
  /** From QEMU's start on. */
  readonly timeLimitMs: number;
  /** Hears what the command writes, standard output and error in their order. */
  readonly onOutput: (bytes: Uint8Array) => void;
  /** Hears what the runner does. */
  readonly onProgress: (line: string) => void;
  readonly signal?: AbortSignal;
}

const MEMORY_MIB = 2048;
// One, and without AVX: on two with AVX, under Debian 12's QEMU 7.2, processes of Node died now and then of SIGSEGV or SIGTRAP.
const CPUS = 1;
const CPU = "max,la57=off,avx=off,avx2=off,fma=off,f16c=off";
// With more the firmware puts the card's windows at 768 GiB, where the registers of its functions read zero.
const CARD_CPU = `${CPU},phys-bits=36`;
const CARD_MEMORY_MIB = 3072;
const CARD_CPUS = 2;
const CARD: readonly string[] = [
  ...["-device", "intel-iommu,intremap=on,caching-mode=on"],
  ...["-device", "pcie-root-port,id=rp0,chassis=1,pref32-reserve=8M,mem-reserve=8M"],
  // It answers DHCP and echoes at 10.99.0.2, and leads nowhere.
  ...["-netdev", "user,id=card,restrict=on,net=10.99.0.0/24"],
  ...["-device", "igb,bus=rp0,netdev=card,mac=02:00:00:00:0f:00,romfile="],
];
const CONSOLE_LINES = 40;
const CARD_MODULES = ["igb", "vfio-pci", "vfio_iommu_type1"];
/** Of `timeout(1)`. */
const TIMED_OUT = 124;
const SHARE = "multidevs=remap,security_model=none";
/** No console output that costs time, no self-tests, no calibration of clocks that QEMU keeps exact anyway. */
const KERNEL_ARGS =
  "console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check nowatchdog mitigations=off cryptomgr.notests apparmor=0 audit=0 net.ifnames=0 random.trust_cpu=on";

/**
 * Runs a command as root on Debian's own kernel: in a machine under QEMU without KVM whose root is this machine's, read
 * through 9p; what is written there goes with it. Gives the command's exit status, 124 where it did not end in time.
 *
 * Fails where the machine ends before the command does, with the last lines of its console.
 */
export async function runInMachine(argv: readonly string[], options: MachineOptions): Promise<number> {
  const parts = await machineParts(options.onProgress);
  const control = mkdtempSync(join(tmpdir(), "patchbay-nested-"));
  try {
    const [consoleFile, status] = [join(control, "console"), join(control, "status")];
    writeFileSync(consoleFile, "");
    writeFileSync(join(control, "start"), startScript(argv, options, parts));
    writeFileSync(join(control, "modprobe"), `#!${parts.busybox} sh\nexec ${parts.busybox} modprobe "$@"\n`);
    chmodSync(join(control, "modprobe"), 0o755);
    const qemu = options.card === true ? await newQemu(options.onProgress) : INSTALLED;
    const ended = await runQemu(qemu, qemuArgs(parts, control, consoleFile, options.card === true), options);
    const told = read(status).trim();
    if (/^\d+$/.test(told)) return Number(told);
    options.signal?.throwIfAborted();
    const last = read(consoleFile).trimEnd().split("\n").slice(-CONSOLE_LINES);
    if (ended.overdue) {
      for (const line of [...last, `stopped after ${options.timeLimitMs / 1000} s`]) options.onProgress(line);
      return TIMED_OUT;
    }
    throw new Error(
      ["the nested machine ended before its command did", ended.how, ended.words.trim(), ...last].join("\n"),
    );
  } finally {
    rmSync(control, { recursive: true, force: true });
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function qemuArgs({ kernel, initrd }: MachineParts, control: string, consoleFile: string, card: boolean): string[] {
  const device = (name: string, more: string): string[] => ["-device", `${name},${more}`];
  return [
    ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "q35"],
    ...["-accel", "tcg,thread=multi", "-cpu", card ? CARD_CPU : CPU, "-smp", `${card ? CARD_CPUS : CPUS}`],
    ...["-m", `${card ? CARD_MEMORY_MIB : MEMORY_MIB}`, ...(card ? CARD : [])],
    ...["-kernel", kernel, "-initrd", initrd, "-append", card ? `${KERNEL_ARGS} intel_iommu=on iommu=pt` : KERNEL_ARGS],
    ...["-chardev", `file,id=console,path=${consoleFile}`, "-serial", "chardev:console"],
    ...["-fsdev", `local,id=root,path=/,readonly=on,${SHARE}`, ...device("virtio-9p-pci", "fsdev=root,mount_tag=root")],
    ...["-fsdev", `local,id=control,path=${control},${SHARE}`],
    ...device("virtio-9p-pci", "fsdev=control,mount_tag=control"),
    ...["-chardev", "stdio,id=output,signal=off"],
    ...device("virtio-serial-pci", "id=serial"),
    ...device("virtserialport", "bus=serial.0,chardev=output"),
  ];
}

interface Ended {
  readonly how: string;
  readonly overdue: boolean;
  /** What QEMU itself said. */
  readonly words: string;
}

const INSTALLED: UnpackedQemu = { program: "qemu-system-x86_64", args: [], env: {} };

async function runQemu(
  { program, args: own, env }: UnpackedQemu,
  args: readonly string[],
  options: MachineOptions,
): Promise<Ended> {
  const { signal, timeLimitMs, onOutput } = options;
  signal?.throwIfAborted();
  // The machine ends with this process, however that ends.
  const child = spawn("setpriv", ["--pdeathsig", "KILL", "nice", "-n", "5", program, ...own, ...args], {
    env: { ...process.env, ...env },
    // Where its input ends, QEMU takes nothing of the port for output.
    stdio: ["pipe", "pipe", "pipe"],
  });
  let words = "";
  child.stdout.on("data", onOutput);
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    words = `${words}${text}`.slice(-4000);
  });
  let overdue = false;
  const kill = (): void => void child.kill("SIGKILL");
  const limit = setTimeout(() => {
    overdue = true;
    kill();
  }, timeLimitMs);
  signal?.addEventListener("abort", kill, { once: true });
  try {
    return await new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (status, by) =>
        resolve({ how: `QEMU ended with ${by ?? `status ${status}`}`, overdue, words }),
      );
    });
  } finally {
    clearTimeout(limit);
    signal?.removeEventListener("abort", kill);
  }
}

/** The first process's script once the root is there; it ends the machine. */
function startScript(argv: readonly string[], options: MachineOptions, parts: MachineParts): string {
  const { cwd, env = {}, modules = [] } = options;
  return `export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
c=/run/nested
exec </dev/null >/dev/console 2>&1
mkdir -p /dev/pts /dev/shm /run/lock /run/netns /lib/modules
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount --bind ${quoted(parts.modules)} /lib/modules
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/0 /dev/stdin
ln -s /proc/self/fd/1 /dev/stdout
ln -s /proc/self/fd/2 /dev/stderr
echo $c/modprobe >/proc/sys/kernel/modprobe
for module in ${[...(options.card === true ? CARD_MODULES : []), ...modules].join(" ")}; do $c/modprobe $module || echo "nested: no module $module"; done
ip link set lo up
for link in /sys/class/net/*; do
  case $(readlink $link/device/driver) in */igb) ip link set $(basename $link) name pf0 ;; esac
done
hostname nested
mkfifo /run/output
for port in /dev/vport*p1; do cat /run/output >$port & done
reader=$!
(
  cd ${quoted(cwd)} || exit 125
  exec env ${Object.entries(env)
    .map(([name, value]) => quoted(`${name}=${value}`))
    .join(" ")} ${argv.map(quoted).join(" ")}
) >/run/output 2>&1
status=$?
# What is left in the pipe; a process that was left behind may hold it open.
for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 $reader 2>/dev/null || break; sleep 0.1; done
echo $status >$c/status
${quoted(parts.busybox)} reboot -f
`;
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
