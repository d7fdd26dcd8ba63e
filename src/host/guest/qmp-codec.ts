import { isJsonObject, type JsonObject } from "../../model/json.ts";

/** One message of QEMU's monitor, QMP (docs/interop/qmp-spec of QEMU). */
export type QmpMessage =
  | { readonly kind: "greeting"; readonly version: string }
  | { readonly kind: "return"; readonly id: number; readonly value: unknown }
  | { readonly kind: "error"; readonly id: number | undefined; readonly class: string; readonly text: string }
  | { readonly kind: "event"; readonly event: QmpEvent }
  /** Not QMP: what it was, shortened. */
  | { readonly kind: "foreign"; readonly text: string };

export interface QmpEvent {
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** Milliseconds since 1970, by QEMU's clock. */
  readonly time: number;
}

/** Longest line that is taken for an answer; `query-qmp-schema`, the longest, is under 1 MiB. */
export const MAX_LINE = 8 << 20;

/** Splits a stream into lines and reads each; keeps the unfinished rest. */
export interface QmpDecoder {
  /** What `bytes` completed. Never throws. */
  push(bytes: Uint8Array): QmpMessage[];
}

/** A decoder for one connection. A line beyond `maxLine` bytes is one foreign message, whatever its length. */
export function qmpDecoder(maxLine: number = MAX_LINE): QmpDecoder {
  let parts: Uint8Array[] = [];
  let length = 0;
  let overflow = false;
  const add = (bytes: Uint8Array): void => {
    length += bytes.length;
    if (length > maxLine) {
      overflow = true;
      parts = [];
    } else {
      parts.push(bytes.slice());
    }
  };
  const finish = (): QmpMessage[] => {
    const message: QmpMessage | undefined = overflow
      ? { kind: "foreign", text: `a line of more than ${maxLine} bytes` }
      : decodeLine(new TextDecoder().decode(Buffer.concat(parts)));
    parts = [];
    length = 0;
    overflow = false;
    return message === undefined ? [] : [message];
  };
  return {
    push(bytes) {
      const messages: QmpMessage[] = [];
      let start = 0;
      for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
        add(bytes.subarray(start, end));
        messages.push(...finish());
        start = end + 1;
      }
      if (start < bytes.length) add(bytes.subarray(start));
      return messages;
    },
  };
}

/** One line as a message; undefined for an empty one. Never throws. */
export function decodeLine(line: string): QmpMessage | undefined {
  const text = line.trim();
  if (text === "") return undefined;
  const foreign: QmpMessage = { kind: "foreign", text: text.slice(0, 200) };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return foreign;
  }
  if (!isJsonObject(value)) return foreign;
  const id = typeof value["id"] === "number" ? value["id"] : undefined;
  if (isJsonObject(value["QMP"])) return { kind: "greeting", version: versionOf(value["QMP"]) };
  if (isJsonObject(value["error"])) {
    const { class: name, desc } = value["error"];
    return { kind: "error", id, class: textOr(name, "GenericError"), text: textOr(desc, "no reason given") };
  }
  if ("return" in value && id !== undefined) return { kind: "return", id, value: value["return"] };
  if (typeof value["event"] === "string") {
    const data = isJsonObject(value["data"]) ? value["data"] : {};
    return { kind: "event", event: { name: value["event"], data, time: timeOf(value["timestamp"]) } };
  }
  return foreign;
}

/** One command as the line to send. */
export function encodeCommand(
  id: number,
  command: string,
  args: Readonly<Record<string, unknown>> | undefined,
): string {
  return `${JSON.stringify({ execute: command, ...(args === undefined ? {} : { arguments: args }), id })}\n`;
}

function textOr(value: unknown, otherwise: string): string {
  return typeof value === "string" ? value : otherwise;
}

function versionOf(greeting: JsonObject): string {
  const version = isJsonObject(greeting["version"]) ? greeting["version"]["qemu"] : undefined;
  if (!isJsonObject(version)) return "";
  return ["major", "minor", "micro"].map((part) => String(version[part] ?? 0)).join(".");
}

function timeOf(timestamp: unknown): number {
  if (!isJsonObject(timestamp)) return 0;
  const { seconds, microseconds } = timestamp;
  if (typeof seconds !== "number" || typeof microseconds !== "number") return 0;
  return seconds * 1000 + Math.floor(microseconds / 1000);
}
