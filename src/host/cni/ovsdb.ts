import { connect } from "node:net";
import { Fault } from "../../model/fault.ts";
import { isJsonObject } from "../../model/json.ts";
import type { OvsdbOperation } from "../../model/networks/ovs.ts";

const ANSWER_LIMIT = 1 << 20;

/**
 * One transaction on Open vSwitch's database (RFC 7047 section 4.1.3) over its unix socket; the answer to each operation.
 *
 * @throws Fault PB3033 where the database does not answer, or refuses an operation.
 */
export async function transact(
  socket: string,
  operations: readonly OvsdbOperation[],
  { timeLimitMs, signal }: { readonly timeLimitMs: number; readonly signal?: AbortSignal | undefined },
): Promise<readonly unknown[]> {
  const limit = AbortSignal.timeout(timeLimitMs);
  const ending = signal === undefined ? limit : AbortSignal.any([signal, limit]);
  let answer: unknown;
  try {
    answer = await ask(socket, { method: "transact", params: ["Open_vSwitch", ...operations], id: 0 }, ending);
  } catch (thrown) {
    signal?.throwIfAborted();
    throw unanswered(socket, limit.aborted ? `nothing came for ${timeLimitMs / 1000} s` : reasonOf(thrown), thrown);
  }
  const { result, error } = isJsonObject(answer) ? answer : {};
  if (error !== null && error !== undefined) throw unanswered(socket, JSON.stringify(error));
  if (!Array.isArray(result)) throw unanswered(socket, "its answer has no result");
  for (const one of result) {
    if (isJsonObject(one) && typeof one["error"] === "string") {
      const details = typeof one["details"] === "string" ? `: ${one["details"]}` : "";
      throw new Fault("PB3033", `Open vSwitch's database refuses: ${one["error"]}${details}.`, {
        place: socket,
        cure: "Look at what `ovs-vsctl show` says, and at the log of ovsdb-server.",
        data: { error: one["error"] },
      });
    }
  }
  return result;
}

/** Sends a request and reads up to the answer with its id; the server may ask (`echo`) meanwhile. */
function ask(
  path: string,
  request: Readonly<Record<"method" | "params" | "id", unknown>>,
  signal: AbortSignal,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    let text = "";
    const end = (settle: () => void): void => {
      signal.removeEventListener("abort", abort);
      socket.destroy();
      settle();
    };
    const abort = (): void => end(() => reject(signal.reason));
    signal.addEventListener("abort", abort, { once: true });
    socket.setEncoding("utf8");
    socket.on("connect", () => socket.write(JSON.stringify(request)));
    socket.on("data", (chunk: string) => {
      text += chunk;
      if (text.length > ANSWER_LIMIT) return end(() => reject(new Error("its answer is too long")));
      try {
        const { messages, rest } = wholeMessages(text);
        text = rest;
        for (const message of messages) {
          if (!isJsonObject(message)) continue;
          if (message["id"] === request.id) return end(() => resolve(message));
          if (message["method"] === "echo") {
            socket.write(JSON.stringify({ result: message["params"], error: null, id: message["id"] }));
          }
        }
      } catch (thrown) {
        end(() => reject(thrown));
      }
    });
    socket.on("error", (error) => end(() => reject(error)));
    socket.on("close", () => end(() => reject(new Error("it closed the connection"))));
  });
}

/** The JSON objects that are whole: they follow each other without anything between them. @throws SyntaxError */
function wholeMessages(text: string): { readonly messages: readonly unknown[]; readonly rest: string } {
  const messages: unknown[] = [];
  let [start, depth, quoted] = [0, 0, false];
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at];
    if (quoted) {
      if (letter === "\\") at += 1;
      else if (letter === '"') quoted = false;
    } else if (letter === '"') quoted = true;
    else if (letter === "{") depth += 1;
    else if (letter === "}") {
      depth -= 1;
      if (depth > 0) continue;
      messages.push(JSON.parse(text.slice(start, at + 1)));
      start = at + 1;
    }
  }
  return { messages, rest: text.slice(start) };
}

function reasonOf(thrown: unknown): string {
  if (thrown instanceof Error && "code" in thrown) return String(thrown.code);
  return thrown instanceof Error ? thrown.message : String(thrown);
}

function unanswered(socket: string, why: string, cause?: unknown): Fault {
  return new Fault("PB3033", `Open vSwitch's database does not answer at ${socket}: ${why}.`, {
    place: socket,
    cure: "Start Open vSwitch (apt-get install openvswitch-switch), or name its socket as socket_file in the CNI configuration.",
    cause,
  });
}
