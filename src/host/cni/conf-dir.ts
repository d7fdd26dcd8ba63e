import { readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { Fault } from "../../model/fault.ts";
import {
  type CniConfigReading,
  type CniNetwork,
  type CniProblem,
  parseCniConfig,
  parseCniFile,
} from "../../model/networks/cni-config.ts";

const EXTENSIONS = [".conflist", ".conf", ".json"];

export interface ConfiguredNetwork {
  /** Path of the file that it was read from. */
  readonly file: string;
  readonly network: CniNetwork;
  /** What is odd but usable. */
  readonly warnings: readonly CniProblem[];
}

/** The paths of the configurations of a folder in the order of their names, byte by byte. @throws Fault PB3001, PB3002 */
export function confFiles(dir: string): string[] {
  try {
    return readdirSync(dir, { withFileTypes: true })
      .filter((entry) => !entry.isDirectory() && EXTENSIONS.includes(extname(entry.name)))
      .map(({ name }) => name)
      .sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)))
      .map((name) => join(dir, name));
  } catch (cause) {
    if (errorCode(cause) === "ENOENT") throw none(dir, `The CNI configuration folder ${dir} does not exist.`, cause);
    throw unreadable(dir, `The CNI configuration folder ${dir}`, cause);
  }
}

/**
 * The pod network: the first configuration of the folder, as CNI runtimes choose it.
 *
 * A first configuration that cannot be used is an error; the next is never taken in its place.
 *
 * @throws Fault PB3001 (none), PB3002 (unreadable), PB3003, PB3004, PB3005 (what is wrong with it).
 */
export function podNetworkOf(dir: string): ConfiguredNetwork {
  const [first] = confFiles(dir);
  if (first === undefined) throw none(dir, `The folder ${dir} has no CNI configuration.`);
  return readNetwork(first);
}

/** Reads one configuration; a nameless one may be called as its file is. @throws Fault PB3002, PB3003, PB3004, PB3005. */
export function readNetwork(file: string, { nameless = false } = {}): ConfiguredNetwork {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    throw unreadable(file, `The CNI configuration ${file}`, cause);
  }
  const reading = nameless ? parseCniFile(file, bytes) : parseCniConfig(bytes);
  return { file, network: usableNetwork(reading, `The CNI configuration ${file}`, file), warnings: reading.problems };
}

/**
 * The network of a configuration that was read; `what` begins the message, `place` is where it is written.
 *
 * @throws Fault PB3003, PB3004, PB3005 where it cannot be used.
 */
export function usableNetwork({ network, problems }: CniConfigReading, what: string, place: string): CniNetwork {
  if (network !== undefined) return network;
  const errors = problems.filter(({ severity }) => severity === "error");
  const [error] = errors;
  const more = errors.slice(1).map(({ message }) => message);
  throw new Fault(error?.code ?? "PB3004", `${what} cannot be used: ${error?.message}`, {
    place: error?.line === undefined ? place : `${place}:${error.line}:${error.column}`,
    cure: [...(more.length === 0 ? [] : [`Also: ${more.join(" ")}`]), error?.cure ?? "Mend it."].join(" "),
    data: { place, problems },
  });
}

function none(dir: string, message: string, cause?: unknown): Fault {
  return new Fault("PB3001", message, {
    place: dir,
    cure: `Put a configuration (${EXTENSIONS.map((extension) => `*${extension}`).join(", ")}) there, or name another folder with --cni-conf-dir.`,
    cause,
  });
}

function unreadable(path: string, what: string, cause: unknown): Fault {
  return new Fault("PB3002", `${what} cannot be read: ${errorCode(cause)}.`, {
    place: path,
    cure: "See that it is a file (or folder) that root may read.",
    cause,
  });
}

function errorCode(thrown: unknown): string {
  return thrown instanceof Error && "code" in thrown ? String(thrown.code) : String(thrown);
}
