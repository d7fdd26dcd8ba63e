import * as fs from "node:fs";
import type { Socket } from "node:net";
import { dirname } from "node:path";
import type { Duplex, Readable, Writable } from "node:stream";
import { Fault } from "../../model/fault.ts";
import { flock, LOCK_EX, LOCK_NB } from "../linux/libc.ts";
import { connectedSocket } from "./guest-folder.ts";

/** Ctrl-], as telnet and virsh have it. */
const DETACH = 0x1d;

/** Why a console session ended. */
export type ConsoleEnd = "detached" | "guest gone";

/** A terminal, or anything that bytes come from. */
export type ConsoleInput = Readable & { readonly isTTY?: boolean; setRawMode?: (raw: boolean) => unknown };

/**
 * Connects a terminal with a guest's serial console, until Ctrl-], the end of `stdin`, SIGTERM, SIGHUP or the end of the
 * guest. Sentences for the user go to `notice`, so that `stdout` has the guest's bytes alone. A terminal is raw
 * meanwhile, and is as before afterwards, however this ends.
 *
 * QEMU serves one client of the console at a time and lets others wait in silence; therefore the folder of the socket
 * is locked, and a second viewer is told. A program that connects without this function is not noticed.
 *
 * @throws Fault PB5061
 */
export async function attachConsole(
  socketPath: string,
  stdin: ConsoleInput,
  stdout: Writable,
  notice: Writable = process.stderr,
): Promise<ConsoleEnd> {
  const lock = lockFolder(dirname(socketPath), socketPath);
  try {
    const socket = await connected(socketPath);
    const end = await relay(socket, stdin, stdout, () => {
      notice.write("Attached to the serial console. Detach with Ctrl-].\r\n");
    });
    notice.write(
      end === "detached" ? "\r\nDetached; the guest runs on.\r\n" : "\r\nThe console has ended: the guest is gone.\r\n",
    );
    return end;
  } finally {
    fs.closeSync(lock);
  }
}

/**
 * A guest's serial console as a stream of bytes, locked for others until it is closed.
 *
 * @throws Fault PB5061
 */
export async function openConsole(socketPath: string): Promise<Duplex> {
  const lock = lockFolder(dirname(socketPath), socketPath);
  try {
    const socket = await connected(socketPath);
    socket.once("close", () => fs.closeSync(lock));
    return socket;
  } catch (thrown) {
    fs.closeSync(lock);
    throw thrown;
  }
}

/** `attached` is called once the terminal is raw: whoever reads it may type. */
async function relay(socket: Socket, stdin: ConsoleInput, stdout: Writable, attached: () => void): Promise<ConsoleEnd> {
  const end = Promise.withResolvers<ConsoleEnd>();
  const raw = (on: boolean): void => {
    if (stdin.isTTY === true) stdin.setRawMode?.(on);
  };
  const cooked = (): void => raw(false);
  const detach = (): void => end.resolve("detached");
  const input = (chunk: Buffer | string): void => {
    const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
    const stop = bytes.indexOf(DETACH);
    const typed = stop < 0 ? bytes : bytes.subarray(0, stop);
    if (typed.length > 0 && !socket.write(typed)) {
      stdin.pause();
      socket.once("drain", () => stdin.resume());
    }
    if (stop >= 0) detach();
  };
  const output = (bytes: Buffer | string): void => {
    if (stdout.write(bytes)) return;
    socket.pause();
    stdout.once("drain", () => socket.resume());
  };

  process.once("exit", cooked);
  process.once("SIGTERM", detach);
  process.once("SIGHUP", detach);
  socket.on("data", output);
  socket.on("error", () => {});
  socket.once("close", () => end.resolve("guest gone"));
  stdin.on("data", input);
  stdin.once("end", detach);
  stdout.once("error", detach);
  try {
    raw(true);
    attached();
    stdin.resume();
    const why = await end.promise;
    if (why === "detached") await flushed(socket);
    return why;
  } finally {
    raw(false);
    stdin.off("data", input);
    stdin.off("end", detach);
    stdin.pause();
    stdout.off("error", detach);
    process.off("exit", cooked);
    process.off("SIGTERM", detach);
    process.off("SIGHUP", detach);
    socket.destroy();
  }
}

/** What was typed before Ctrl-] still reaches the guest. */
function flushed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, 1_000);
    socket.end(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

async function connected(path: string): Promise<Socket> {
  try {
    return await connectedSocket(path);
  } catch (cause) {
    throw new Fault("PB5061", "The guest's serial console does not answer.", {
      cure: "See whether the guest runs: kubectl get vmi.",
      place: path,
      cause,
    });
  }
}

/** Opens and locks a folder; the kernel unlocks it when the fd is closed, however that happens. */
function lockFolder(folder: string, socketPath: string): number {
  let fd: number;
  try {
    fd = fs.openSync(folder, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  } catch (cause) {
    throw new Fault("PB5061", "The guest has no serial console here.", {
      cure: "See whether the guest runs on this machine (kubectl get vmi -o wide), and be root.",
      place: socketPath,
      cause,
    });
  }
  if (flock(fd, LOCK_EX | LOCK_NB) === 0) return fd;
  fs.closeSync(fd);
  throw new Fault("PB5061", "Somebody else is attached to the guest's serial console, which serves one at a time.", {
    cure: "Detach there with Ctrl-], then try again.",
    place: socketPath,
  });
}
