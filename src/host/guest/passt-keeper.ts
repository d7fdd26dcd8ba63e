import { Fault, isFault } from "../../model/fault.ts";
import type { GuestNic } from "../../model/wiring/wiring.ts";
import { netdevId } from "./nic-arguments.ts";
import {
  findPassts,
  type Passt,
  type PasstNic,
  type PasstPlace,
  passtNics,
  passtWords,
  startPasst,
  stopPasst,
} from "./passt.ts";
import { watchForStandstill } from "./passt-standstill.ts";
import { isRunning } from "./process.ts";
import type { Qmp } from "./qmp.ts";
import type { ChildExit } from "./running-guest.ts";

/** Keeps the passt processes of one guest running as long as the guest runs: one a NIC, never two. */
export interface PasstKeeper {
  /** Fulfilled once each NIC has its process for the first time, or cannot have one: {@link fault} says which. */
  readonly begun: Promise<void>;
  /** Why a NIC has none just now; undefined while each has its own. */
  fault(): Fault | undefined;
  /** Ends the processes, and waits until they are gone. */
  stop(): Promise<void>;
  /** Lets go of the processes, which run on; another keeper finds them. */
  release(): void;
}

/** What passts are kept for. */
export interface KeptGuest extends PasstPlace {
  readonly nics: readonly GuestNic[];
  readonly qmp: Pick<Qmp, "onEvent" | "closed" | "execute">;
  /** Hears whenever {@link PasstKeeper.fault} is another. */
  readonly changed: () => void;
}

/** Waits before a passt that ended is started again: the first, and the longest. */
const FIRST_WAIT_MS = 1_000;
const LAST_WAIT_MS = 30_000;
/** A passt that ran so long is no sign that the next one ends at once. */
const STEADY_MS = 60_000;

/** Finds the passt of each NIC, or starts it. What fails is {@link PasstKeeper.fault}, and is tried again. */
export function keepPassts(guest: KeptGuest): PasstKeeper {
  const kept = passtNics(guest.nics, guest.runDir).map((wanted) => keepOne(wanted, guest));
  return {
    begun: Promise.all(kept.map(({ begun }) => begun)).then(() => undefined),
    fault: () => kept.map(({ fault }) => fault()).find((fault) => fault !== undefined),
    stop: async () => void (await Promise.all(kept.map(({ stop }) => stop()))),
    release() {
      for (const { release } of kept) release();
    },
  };
}

/** Ends the passts of a guest that nobody keeps. */
export async function endPassts(nics: readonly GuestNic[], runDir: string): Promise<void> {
  const found = passtNics(nics, runDir).flatMap((wanted) => findPassts(wanted));
  await Promise.all(found.map((passt) => stopPasst(passt)));
}

function keepOne(wanted: PasstNic, guest: KeptGuest): PasstKeeper {
  let passt: Passt | undefined;
  let unwatch = (): void => undefined;
  let fault: Fault | undefined = notYetStarted(wanted);
  let over = false;
  let timer: NodeJS.Timeout | undefined;
  let wait = FIRST_WAIT_MS;
  let since = 0;

  const begin = async (): Promise<void> => {
    try {
      const [found, ...others] = findPassts(wanted);
      await Promise.all(others.map((other) => stopPasst(other)));
      const started = found ?? (await startPasst(wanted, guest));
      if (found === undefined) await announce(guest.qmp);
      passt = started;
      fault = undefined;
      since = performance.now();
      void passt.exited?.then((exit) => lost(started, exit));
      if (!over) unwatch = watchForStandstill(started, guest.qmp, () => lost(started, "stands still"));
      // It may have ended before anybody listened.
      if (!isRunning(started)) lost(started);
    } catch (thrown) {
      // What is no Fault is tried again like one.
      fault = isFault(thrown)
        ? thrown
        : new Fault("PB5066", `passt for the interface "${wanted.nic.name}" cannot be started: ${String(thrown)}.`);
      again();
    }
  };
  const again = (): void => {
    if (over) return;
    timer = setTimeout(() => {
      starting = begin().then(guest.changed);
    }, wait);
    wait = Math.min(2 * wait, LAST_WAIT_MS);
  };
  const lost = (which: Passt, exit?: ChildExit | "stands still"): void => {
    if (over || passt !== which) return;
    passt = undefined;
    unwatch();
    if (performance.now() - since > STEADY_MS) wait = FIRST_WAIT_MS;
    fault = endedUnder(wanted, which, exit);
    void stopPasst(which).catch(() => undefined);
    again();
    guest.changed();
  };
  let starting = begin();
  const ends = guest.qmp.onEvent(({ name, data }) => {
    if (name !== "NETDEV_STREAM_DISCONNECTED" || data["netdev-id"] !== netdevId(wanted.nic.name)) return;
    const which = passt;
    if (which === undefined) return;
    // Of a child the exit says more.
    if (which.exited === undefined) lost(which);
  });
  const release = (): void => {
    over = true;
    clearTimeout(timer);
    unwatch();
    ends();
  };
  void guest.qmp.closed.then(release);

  return {
    begun: starting,
    fault: () => fault,
    async stop() {
      release();
      // One that is being started, and may hang, is ended first: its start is over then.
      const end = (): Promise<unknown> => Promise.all(findPassts(wanted).map((each) => stopPasst(each)));
      await end();
      await starting;
      await end();
    },
    release,
  };
}

/**
 * Lets QEMU send frames with the MACs of its NICs. A new passt does not know the guest's before it sends something, and
 * what it sends to all meanwhile no TCP takes.
 */
async function announce(qmp: Pick<Qmp, "execute">): Promise<void> {
  try {
    await qmp.execute("announce-self", { initial: 50, max: 500, rounds: 5, step: 100 });
  } catch (thrown) {
    // A QEMU that ends needs none.
    if (!isFault(thrown)) throw thrown;
  }
}

/** Of a guest that runs already: what carried the NIC is gone since a daemon looked last. */
function notYetStarted({ nic, files }: PasstNic): Fault {
  return new Fault(
    "PB5065",
    `passt of the interface "${nic.name}" did not run any more and is being started; the guest has no network there meanwhile.`,
    {
      place: `spec.domain.devices.interfaces[${nic.name}]`,
      cure: `Where it does not come, see its log, ${files.log}.`,
    },
  );
}

function endedUnder({ nic, files }: PasstNic, { logStart }: Passt, exit?: ChildExit | "stands still"): Fault {
  const words = logStart === undefined ? "" : passtWords(files, logStart);
  const how = endedHow(exit);
  return new Fault(
    "PB5065",
    `passt of the interface "${nic.name}" ${how} while the guest runs, which has no network there meanwhile${words === "" ? "" : `; it said: ${words}`}.`,
    {
      place: `spec.domain.devices.interfaces[${nic.name}]`,
      cure: `It is started again by itself. ${whereAgain(nic, files.log)}`,
    },
  );
}

function endedHow(exit: ChildExit | "stands still" | undefined): string {
  if (exit === undefined) return "ended";
  if (exit === "stands still") return "computed without end, held QEMU up and was ended";
  return exit.signal === null ? `ended with exit code ${exit.code}` : `ended by ${exit.signal}`;
}

/** Models whose drivers fill frames up to 60 octets themselves: Debian 12's passt takes that for data of TCP. */
const PADDING: ReadonlySet<string> = new Set(["e1000", "ne2k_pci"]);

function whereAgain({ model }: GuestNic, log: string): string {
  const often = `Where it ends again and again, see its log, ${log}`;
  return PADDING.has(model) ? `${often}, and take another model than ${model}: virtio is best.` : `${often}.`;
}
