import { Fault } from "../../model/fault.ts";

/** The socket that QEMU serves VNC on, in the guest's folder. */
export const VNC_SOCKET = "vnc.sock";

/** Longest path of a unix socket: sun_path without its terminating zero, unix(7). */
const MAX_SOCKET_PATH = 107;

/** The sockets that QEMU listens on, and the file it copies the serial console to. */
export interface GuestFiles {
  readonly qmp: string;
  readonly serial: string;
  readonly agent: string;
  /** The screen, by VNC; not there where the guest has none. */
  readonly vnc: string;
  readonly consoleLog: string;
}

/**
 * The names of a guest's files in its folder.
 *
 * @throws Fault PB5060
 */
export function guestFiles(runDir: string): GuestFiles {
  const files = {
    qmp: `${runDir}/qmp.sock`,
    serial: `${runDir}/serial.sock`,
    agent: `${runDir}/agent.sock`,
    vnc: `${runDir}/${VNC_SOCKET}`,
    consoleLog: `${runDir}/console.log`,
  };
  if (new TextEncoder().encode(files.serial).length > MAX_SOCKET_PATH) {
    throw new Fault("PB5060", `A socket in ${runDir} would have a path of more than ${MAX_SOCKET_PATH} bytes.`, {
      cure: "Use a data folder with a shorter path: --data-dir.",
      place: runDir,
    });
  }
  return files;
}

/** The files of a NIC that a process beside QEMU carries, by the NIC's place among the guest's. */
export interface StreamFiles {
  /** QEMU listens here. */
  readonly socket: string;
  /** What the process is called, no file. */
  readonly process: string;
  /** The process writes its number here once it is ready. */
  readonly ready: string;
  readonly log: string;
  /** What it says before it has its log. */
  readonly errors: string;
}

/** The names of such a NIC's files in the guest's folder; none is longer than those of {@link guestFiles}. */
export function streamFiles(runDir: string, index: number): StreamFiles {
  const stem = `${runDir}/nic${index}`;
  return {
    socket: `${stem}.sock`,
    process: `${stem}.passt`,
    ready: `${stem}.pid`,
    log: `${stem}.log`,
    errors: `${stem}.err`,
  };
}
