import { isJsonObject } from "../../model/json.ts";

/** One message of a guest's agent (docs/interop/qemu-ga of QEMU). */
export type AgentMessage =
  | { readonly kind: "return"; readonly value: unknown; readonly delimited: boolean }
  | { readonly kind: "error"; readonly class: string; readonly text: string; readonly delimited: boolean }
  /** Not the agent's protocol. */
  | { readonly kind: "foreign"; readonly delimited: boolean };

/** Splits a stream into lines and reads each; keeps the unfinished rest. */
export interface AgentDecoder {
  /** What `bytes` completed. Never throws. */
  push(bytes: Uint8Array): AgentMessage[];
}

/** Longest line that is taken for an answer: that of a guest with a thousand interfaces. */
export const MAX_AGENT_LINE = 1 << 20;

/** Never part of JSON in UTF-8: before it, everything is waste (guest-sync-delimited). */
const DELIMITER = 0xff;
const NEWLINE = 0x0a;
const MAX_WORDS = 200;

/** A decoder for one connection. A line beyond `maxLine` bytes is one foreign message, whatever its length. */
export function agentDecoder(maxLine: number = MAX_AGENT_LINE): AgentDecoder {
  let parts: Uint8Array[] = [];
  let length = 0;
  let delimited = false;
  const begin = (afterDelimiter: boolean): void => {
    parts = [];
    length = 0;
    delimited = afterDelimiter;
  };
  const add = (bytes: Uint8Array): void => {
    length += bytes.length;
    if (length <= maxLine) parts.push(bytes.slice());
    else parts = [];
  };
  const finish = (): AgentMessage[] => {
    const message: AgentMessage | undefined =
      length > maxLine
        ? { kind: "foreign", delimited }
        : decodeAgentLine(new TextDecoder().decode(Buffer.concat(parts)), delimited);
    // A delimiter holds until a line follows it.
    begin(message === undefined && delimited);
    return message === undefined ? [] : [message];
  };
  return {
    push(bytes) {
      const messages: AgentMessage[] = [];
      let start = 0;
      for (let at = 0; at < bytes.length; at += 1) {
        if (bytes[at] === DELIMITER) begin(true);
        else if (bytes[at] === NEWLINE) {
          add(bytes.subarray(start, at));
          messages.push(...finish());
        } else continue;
        start = at + 1;
      }
      if (start < bytes.length) add(bytes.subarray(start));
      return messages;
    },
  };
}

/** One line as a message; undefined for an empty one. Never throws. */
export function decodeAgentLine(line: string, delimited: boolean): AgentMessage | undefined {
  const text = line.trim();
  if (text === "") return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { kind: "foreign", delimited };
  }
  if (isJsonObject(value) && isJsonObject(value["error"])) {
    const { class: name, desc } = value["error"];
    return { kind: "error", class: words(name, "GenericError"), text: words(desc, "no reason given"), delimited };
  }
  if (isJsonObject(value) && "return" in value) return { kind: "return", value: value["return"], delimited };
  return { kind: "foreign", delimited };
}

/** One command as the bytes to send. */
export function encodeAgentCommand(command: string, args?: Readonly<Record<string, unknown>>): Uint8Array {
  const line = JSON.stringify({ execute: command, ...(args === undefined ? {} : { arguments: args }) });
  return new TextEncoder().encode(`${line}\n`);
}

/** `guest-sync-delimited`, behind a byte that ends whatever the agent was reading. */
export function encodeAgentSync(id: number): Uint8Array {
  return Uint8Array.from([DELIMITER, ...encodeAgentCommand("guest-sync-delimited", { id })]);
}

/** A guest's words as they may stand in a message. */
function words(value: unknown, otherwise: string): string {
  if (typeof value !== "string") return otherwise;
  return value.slice(0, MAX_WORDS).replace(/\p{C}/gu, " ").trim() || otherwise;
}
