import type { Socket } from "node:net";
import { Fault } from "../../model/fault.ts";
import { connectSocket } from "./guest-folder.ts";
import { encodeCommand, type QmpEvent, qmpDecoder } from "./qmp-codec.ts";

/** A connection to the monitor of a running QEMU. QEMU serves one at a time. */
export interface Qmp {
  /** QEMU's version, such as `7.2.22`. */
  readonly version: string;
  /**
   * Runs a command and gives what it returned.
   *
   * @throws Fault PB5058 (QEMU's error), PB5057 (no answer within `timeoutMs`), PB5062 (connection closed)
   */
  execute(command: string, args?: Readonly<Record<string, unknown>>, timeoutMs?: number): Promise<unknown>;
  /** Calls `listener` for every event from now on; the function returned ends that. */
  onEvent(listener: (event: QmpEvent) => void): () => void;
  /** Fulfilled when the connection ended, by either side: of a QEMU that died, at once. */
  readonly closed: Promise<void>;
  close(): void;
}

const COMMAND_TIMEOUT_MS = 5_000;

/**
 * Connects to the monitor at `path` and takes it into command mode.
 *
 * @throws Fault PB5062 (nobody listens), PB5057 (no greeting in time: somebody else may be connected)
 */
export async function connectQmp(path: string, timeoutMs: number = COMMAND_TIMEOUT_MS): Promise<Qmp> {
  const socket = await connected(path, timeoutMs);
  const connection = speak(socket, path);
  try {
    const version = await within(connection.greeting, timeoutMs, () => late(path, "greet"));
    await connection.qmp.execute("qmp_capabilities", undefined, timeoutMs);
    return { ...connection.qmp, version };
  } catch (thrown) {
    socket.destroy();
    throw thrown;
  }
}

function connected(path: string, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket(path);
    const timer = setTimeout(() => {
      socket.destroy();
      reject(late(path, "accept a connection"));
    }, timeoutMs);
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.removeAllListeners("error");
      resolve(socket);
    });
    socket.once("error", (cause) => {
      clearTimeout(timer);
      reject(new Fault("PB5062", `QEMU's monitor at ${path} cannot be reached.`, { place: path, cause }));
    });
  });
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (fault: Fault) => void;
}

function speak(socket: Socket, path: string): { qmp: Omit<Qmp, "version">; greeting: Promise<string> } {
  const waiting = new Map<number, Waiting>();
  const listeners = new Set<(event: QmpEvent) => void>();
  const decoder = qmpDecoder();
  const greeting = Promise.withResolvers<string>();
  const closed = Promise.withResolvers<void>();
  let over = false;
  let lastId = 0;
  // Nobody waits for the greeting any more once it came too late.
  greeting.promise.catch(() => {});

  const end = (): void => {
    if (over) return;
    over = true;
    for (const { reject } of waiting.values()) reject(ended(path));
    waiting.clear();
    greeting.reject(ended(path));
    closed.resolve();
    socket.destroy();
  };
  socket.on("error", end);
  socket.on("end", end);
  socket.on("close", end);
  socket.on("data", (bytes) => {
    for (const message of decoder.push(typeof bytes === "string" ? Buffer.from(bytes) : bytes)) {
      switch (message.kind) {
        case "greeting":
          greeting.resolve(message.version);
          break;
        case "event":
          for (const listener of [...listeners]) listener(message.event);
          break;
        case "return":
          settle(waiting, message.id)?.resolve(message.value);
          break;
        case "error":
          settle(waiting, message.id)?.reject(
            new Fault("PB5058", `QEMU: ${message.text}`, { place: path, data: { class: message.class } }),
          );
          break;
        case "foreign":
          // An answer that cannot be read is like none: its command's deadline tells.
          break;
      }
    }
  });

  return {
    greeting: greeting.promise,
    qmp: {
      execute(command, args, timeoutMs = COMMAND_TIMEOUT_MS) {
        if (over) return Promise.reject(ended(path));
        lastId += 1;
        const id = lastId;
        const answer = Promise.withResolvers<unknown>();
        waiting.set(id, answer);
        socket.write(encodeCommand(id, command, args));
        return within(answer.promise, timeoutMs, () => {
          waiting.delete(id);
          return late(path, `answer ${command}`);
        });
      },
      onEvent(listener) {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
      closed: closed.promise,
      close: end,
    },
  };
}

function settle(waiting: Map<number, Waiting>, id: number | undefined): Waiting | undefined {
  if (id === undefined) return undefined;
  const found = waiting.get(id);
  waiting.delete(id);
  return found;
}

async function within<T>(promise: Promise<T>, timeoutMs: number, fault: () => Fault): Promise<T> {
  const deadline = Promise.withResolvers<never>();
  const timer = setTimeout(() => deadline.reject(fault()), timeoutMs);
  try {
    return await Promise.race([promise, deadline.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function late(path: string, what: string): Fault {
  return new Fault("PB5057", `QEMU did not ${what} in time.`, {
    cure: "The machine may be overloaded, or another program is connected to QEMU's monitor.",
    place: path,
  });
}

function ended(path: string): Fault {
  return new Fault("PB5062", "The connection to QEMU's monitor is closed.", { place: path });
}
