import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Fault } from "../../model/fault.ts";
import {
  type AgentAnswers,
  readAgentFilesystems,
  readAgentInterfaces,
  readAgentText,
  readAgentUsers,
  readGuestOs,
} from "../../model/guest/agent.ts";
import { isJsonObject } from "../../model/json.ts";
import {
  type AgentMessage,
  agentDecoder,
  encodeAgentCommand,
  encodeAgentSync,
  MAX_AGENT_LINE,
} from "./guest-agent-codec.ts";
import { connectSocket } from "./guest-folder.ts";

/** The agent in a guest (qemu-ga), spoken to over its channel. QEMU serves one client at a time; calls take turns. */
export interface GuestAgent {
  /**
   * Asks for the guest's interfaces, its system, users and file systems.
   *
   * @throws Fault PB5063 (no answer in time, or none that can be understood)
   */
  ask(): Promise<AgentAnswers>;
  /** Fulfilled when the agent answers. @throws Fault PB5063 */
  ping(timeoutMs: number): Promise<void>;
  /** Runs a program in the guest to its end; its exit code, or its signal as a negative number. @throws Fault PB5063 */
  exec(argv: readonly string[], timeoutMs: number): Promise<number>;
  /** Ends the connection, and the call that is going on; the next call connects again. */
  close(): void;
}

/** What a guest may take of the daemon's time and memory at each call. */
export interface AgentLimits {
  readonly timeoutMs: number;
  readonly bytes: number;
}

const LIMITS: AgentLimits = { timeoutMs: 10_000, bytes: 2 * MAX_AGENT_LINE };
/** Below 2^31, which every agent takes for a number. */
const LAST_ID = 0x7fff_fff0;

/**
 * An agent behind QEMU's socket at `path`. Nothing is connected before the first call.
 *
 * The connection stays open between the calls, for an agent whose host is away wakes up ten times a second; nothing is
 * read meanwhile, so that a guest that talks without being asked is stopped by QEMU.
 */
export function guestAgent(path: string, limits: AgentLimits = LIMITS): GuestAgent {
  let line: AgentLine | undefined;
  let lastId = 0;
  let closings = 0;
  let turn: Promise<unknown> = Promise.resolve();
  const close = (): void => {
    closings += 1;
    line?.destroy();
    line = undefined;
  };
  const talk = async <T>(timeoutMs: number, act: (line: AgentLine) => Promise<T>): Promise<T> => {
    const deadline = performance.now() + timeoutMs;
    try {
      const before = closings;
      line ??= await agentLine(path, timeoutMs);
      // Closed while it was connecting.
      if (closings > before) throw silent(path, "its channel was closed");
      const open = line;
      lastId = (lastId % LAST_ID) + 1;
      open.begin(limits.bytes, deadline);
      try {
        await synchronize(open, lastId);
        return await act(open);
      } finally {
        open.rest();
      }
    } catch (thrown) {
      close();
      throw thrown;
    }
  };
  const inTurn = <T>(timeoutMs: number, act: (line: AgentLine) => Promise<T>): Promise<T> => {
    const mine = turn.then(() => talk(timeoutMs, act));
    turn = mine.catch(() => undefined);
    return mine;
  };
  return {
    ask: () => inTurn(limits.timeoutMs, (open) => questions(open, path)),
    ping: (timeoutMs) => inTurn(timeoutMs, async (open) => void (await answered(open, "guest-ping", path))),
    exec: (argv, timeoutMs) => inTurn(timeoutMs, (open) => execution(open, argv, path)),
    close,
  };
}

/** Everything before this answer is of an earlier call, or nobody asked for it. */
async function synchronize(line: AgentLine, id: number): Promise<void> {
  await line.call(
    encodeAgentSync(id),
    (message) => message.kind === "return" && message.delimited && message.value === id,
  );
}

/** How often it is looked whether a program has ended: qemu-ga does not tell by itself. */
const LOOK_MS = 200;

async function execution(line: AgentLine, [program = "", ...args]: readonly string[], path: string): Promise<number> {
  const begun = await answered(line, "guest-exec", path, { path: program, arg: args });
  const pid = isJsonObject(begun) ? begun["pid"] : undefined;
  for (;;) {
    const status = await answered(line, "guest-exec-status", path, { pid });
    if (!isJsonObject(status)) throw silent(path, "its answer to guest-exec-status is no object");
    if (status["exited"] === true) return numberOf(status["exitcode"]) ?? -(numberOf(status["signal"]) ?? 1);
    await sleep(LOOK_MS);
  }
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) ? value : undefined;
}

async function questions(line: AgentLine, path: string): Promise<AgentAnswers> {
  const interfaces = readAgentInterfaces(await answered(line, "guest-network-get-interfaces", path));
  if (interfaces === undefined) throw silent(path, "its answer to guest-network-get-interfaces is no list");
  const asked = async (command: string): Promise<unknown> => answered(line, command, path).catch(ignoreRefusal);
  const answers = {
    os: readGuestOs(await asked("guest-get-osinfo")),
    hostname: readAgentText(await asked("guest-get-host-name"), "host-name"),
    timezone: readAgentText(await asked("guest-get-timezone"), "zone"),
    version: readAgentText(await asked("guest-info"), "version"),
    users: readAgentUsers(await asked("guest-get-users")),
    filesystems: readAgentFilesystems(await asked("guest-get-fsinfo")),
  };
  // What the agent did not say is not there, rather than undefined: the answers are compared and kept as JSON.
  return { interfaces, ...Object.fromEntries(Object.entries(answers).filter(([, value]) => value !== undefined)) };
}

/** What a command returned. The agent's errors have the word `refused` in the fault's data. */
async function answered(
  line: AgentLine,
  command: string,
  path: string,
  args?: Readonly<Record<string, unknown>>,
): Promise<unknown> {
  const message = await line.call(encodeAgentCommand(command, args), () => true);
  if (message.kind === "return") return message.value;
  if (message.kind === "foreign") throw silent(path, `its answer to ${command} is not of its protocol`);
  throw silent(path, `it refuses ${command}: ${message.text}`, { refused: message.class });
}

/** An agent that is too old for a question, or may not answer it, is asked the others all the same. */
function ignoreRefusal(thrown: unknown): undefined {
  if (thrown instanceof Fault && "refused" in thrown.data) return undefined;
  throw thrown;
}

/** An open connection. */
interface AgentLine {
  /** Reads on, at most that much and so long. */
  begin(bytes: number, deadline: number): void;
  /** Reads no more. */
  rest(): void;
  /** Sends, and waits for the first message that is wanted; others are nobody's. */
  call(bytes: Uint8Array, wanted: (message: AgentMessage) => boolean): Promise<AgentMessage>;
  destroy(): void;
}

async function agentLine(path: string, timeoutMs: number): Promise<AgentLine> {
  const socket = await connected(path, timeoutMs);
  const decoder = agentDecoder();
  let waiting: (PromiseWithResolvers<AgentMessage> & { wanted: (message: AgentMessage) => boolean }) | undefined;
  let left = 0;
  let timer: NodeJS.Timeout | undefined;
  let over: Fault | undefined;
  const end = (why: string): void => {
    clearTimeout(timer);
    over ??= silent(path, why);
    waiting?.reject(over);
    waiting = undefined;
    socket.destroy();
  };
  socket.on("error", (error) => end(error.message));
  socket.on("close", () => end("its channel was closed"));
  socket.on("data", (chunk) => {
    const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
    left -= bytes.length;
    if (left < 0) return end("it talks without end");
    for (const message of decoder.push(bytes)) {
      if (waiting?.wanted(message) !== true) continue;
      waiting.resolve(message);
      waiting = undefined;
    }
  });
  socket.pause();
  return {
    begin(bytes, deadline) {
      left = bytes;
      timer = setTimeout(() => end("nothing came in time"), Math.max(deadline - performance.now(), 0));
      socket.resume();
    },
    rest() {
      clearTimeout(timer);
      socket.pause();
    },
    call(bytes, wanted) {
      if (over !== undefined) return Promise.reject(over);
      waiting = { ...Promise.withResolvers<AgentMessage>(), wanted };
      socket.write(bytes);
      return waiting.promise;
    },
    destroy: () => end("its channel was closed"),
  };
}

function connected(path: string, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket(path);
    const fail = (why: string): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(silent(path, why));
    };
    const timer = setTimeout(() => fail("QEMU does not take a connection"), timeoutMs);
    socket.once("error", (error) => fail(error.message));
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.removeAllListeners("error");
      resolve(socket);
    });
  });
}

function silent(path: string, why: string, data: Readonly<Record<string, unknown>> = {}): Fault {
  return new Fault("PB5063", `The agent in the guest gives no answer: ${why}.`, {
    cure: "See in the guest whether qemu-guest-agent runs, and restart it.",
    place: path,
    data,
  });
}
