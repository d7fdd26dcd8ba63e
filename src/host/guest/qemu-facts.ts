import { spawn } from "node:child_process";
import { Fault } from "../../model/fault.ts";
import { isJsonObject } from "../../model/json.ts";
import { findProgram } from "../setup/programs.ts";
import { type QmpMessage, qmpDecoder } from "./qmp-codec.ts";

/** What the QEMU of this machine is and offers. */
export interface QemuFacts {
  readonly program: string;
  /** Such as `7.2.22`. */
  readonly version: string;
  readonly machines: readonly string[];
  readonly devices: readonly string[];
}

export const qemuProgram = "qemu-system-x86_64";
const DEADLINE_MS = 10_000;

/**
 * Asks QEMU itself, over QMP, in one process without a guest.
 *
 * @throws Fault PB5055
 */
export async function qemuFacts(): Promise<QemuFacts> {
  const program = qemuPath();
  const messages = await session(program, [
    { execute: "qmp_capabilities", id: 0 },
    { execute: "query-machines", id: 1 },
    { execute: "qom-list-types", arguments: { implements: "device" }, id: 2 },
    { execute: "quit", id: 3 },
  ]);
  const greeting = messages.find((message) => message.kind === "greeting");
  const machines = namesIn(messages, 1);
  const devices = namesIn(messages, 2);
  if (greeting === undefined || machines.length === 0 || devices.length === 0) {
    throw new Fault("PB5055", `${program} does not say which machines it offers.`, { cure: "Run ./patchbay setup." });
  }
  return { program, version: greeting.version, machines, devices };
}

/** Where QEMU is. @throws Fault PB5055 */
export function qemuPath(): string {
  const program = findProgram(qemuProgram);
  if (program !== undefined) return program;
  throw new Fault("PB5055", `This machine has no ${qemuProgram}.`, { cure: "Run ./patchbay setup." });
}

function session(program: string, commands: readonly object[]): Promise<QmpMessage[]> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, ["-machine", "none", "-nodefaults", "-display", "none", "-qmp", "stdio"], {
      stdio: ["pipe", "pipe", "ignore"],
      timeout: DEADLINE_MS,
      killSignal: "SIGKILL",
    });
    const decoder = qmpDecoder();
    const messages: QmpMessage[] = [];
    child.stdout.on("data", (bytes: Buffer) => messages.push(...decoder.push(bytes)));
    child.stdin.on("error", () => {});
    child.once("error", (cause) => {
      reject(new Fault("PB5055", `QEMU cannot be run: ${cause.message}.`, { cure: "Run ./patchbay setup.", cause }));
    });
    child.once("close", () => resolve(messages));
    child.stdin.end(commands.map((command) => `${JSON.stringify(command)}\n`).join(""));
  });
}

function namesIn(messages: readonly QmpMessage[], id: number): string[] {
  const answer = messages.find((message) => message.kind === "return" && message.id === id);
  if (answer?.kind !== "return" || !Array.isArray(answer.value)) return [];
  return answer.value.flatMap((item: unknown) =>
    isJsonObject(item) && typeof item["name"] === "string" ? [item["name"]] : [],
  );
}
