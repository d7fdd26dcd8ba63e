import type { Code } from "../codes/codes.ts";
import { isJsonObject, type JsonObject } from "../json.ts";
import { readJson } from "./cni-json.ts";

/** The versions of the CNI specification that configurations may name, oldest first. */
export const CNI_VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;
export type CniVersion = (typeof CNI_VERSIONS)[number];

/** A network configuration list (CNI specification, section 1); a single plugin's configuration is a list of one. */
export interface CniNetwork {
  readonly name: string;
  readonly cniVersion: CniVersion;
  readonly disableCheck: boolean;
  /** At least one, in the order of ADD. */
  readonly plugins: readonly CniPlugin[];
}

export interface CniPlugin {
  /** Name of the plugin's binary. */
  readonly type: string;
  /** Name of the binary that the plugin delegates addresses to. */
  readonly ipamType?: string;
  /** Names of the capabilities that the configuration switches on. */
  readonly capabilities: readonly string[];
  /** The object as written, less `capabilities`; `name` and `cniVersion` are filled in when it is run. */
  readonly config: JsonObject;
}

/** One thing wrong with a configuration. */
export interface CniProblem {
  readonly code: Code;
  readonly severity: "error" | "warning";
  /** What is wrong, as a sentence that does not name the file. */
  readonly message: string;
  /** JSON path such as `plugins[1].type`; empty for the whole. */
  readonly path: string;
  readonly line?: number;
  readonly column?: number;
  readonly cure: string;
}

/** `network` is there exactly when no problem is an error. */
export interface CniConfigReading {
  readonly network?: CniNetwork;
  readonly problems: readonly CniProblem[];
}

/** True when version `one` is `other` or later. */
export function atLeast(one: CniVersion, other: CniVersion): boolean {
  return CNI_VERSIONS.indexOf(one) >= CNI_VERSIONS.indexOf(other);
}

/** The version that a text names, `v1.0.0`, `1.0` and white space forgiven; undefined where no such version was published. */
export function normaliseVersion(text: string): CniVersion | undefined {
  const numbers = /^\s*v?(\d+)\.(\d+)(?:\.(\d+))?\s*$/.exec(text);
  if (numbers === null) return undefined;
  const wanted = `${numbers[1]}.${numbers[2]}.${numbers[3] ?? "0"}`;
  return CNI_VERSIONS.find((version) => version === wanted);
}

/**
 * Reads the text of a `.conflist` (an object with `plugins`) or of a `.conf` or `.json` (one plugin's configuration).
 *
 * An object with `plugins` is a list whatever the file is called. A missing `cniVersion` is read as 0.1.0 (as libcni
 * does) with a warning. Never throws.
 */
export function parseCniConfig(source: Uint8Array | string): CniConfigReading {
  const reading = readJson(source);
  if ("problem" in reading) {
    const { problem, line, column } = reading;
    return {
      problems: [
        {
          code: "PB3003",
          severity: "error",
          message: `It is not valid JSON: ${problem}.`,
          path: "",
          line,
          column,
          cure: "Mend the JSON there; comments and trailing commas are not allowed.",
        },
      ],
    };
  }
  return parseCniObject(reading.value);
}

/**
 * The same for a file of a CNI configuration folder. One without a name, such as the one that KubeVirt's documentation
 * has CNI-Genie find by its type, is called as the file is, with a warning (PB1015).
 */
export function parseCniFile(file: string, source: Uint8Array | string): CniConfigReading {
  const json = readJson(source);
  if (!("value" in json) || !isJsonObject(json.value) || Object.hasOwn(json.value, "name")) {
    return parseCniConfig(source);
  }
  const name = file.slice(file.lastIndexOf("/") + 1).replace(/\.[a-z]+$/, "");
  const nameless: CniProblem = {
    code: "PB1015",
    severity: "warning",
    message: `It has no "name", and is taken to be called "${name}".`,
    path: "name",
    cure: 'Write a "name" into it: today\'s runtimes refuse it without.',
  };
  const { problems, ...reading } = parseCniObject({ name, ...json.value });
  return { ...reading, problems: [nameless, ...problems] };
}

/** As {@link parseCniConfig}, for a configuration that is already parsed, such as a NetworkAttachmentDefinition's. */
export function parseCniObject(value: unknown): CniConfigReading {
  const problems: CniProblem[] = [];
  const wrong = (path: string, message: string, cure: string, code: Code = "PB3004"): undefined => {
    problems.push({ code, severity: "error", message, path, cure });
    return undefined;
  };
  if (!isJsonObject(value)) {
    wrong(
      "",
      `It is ${kindOf(value)} where an object is expected.`,
      'Write {"cniVersion": …, "name": …, "plugins": […]}.',
    );
    return { problems };
  }
  const name = nameOf(value, wrong);
  const cniVersion = versionOf(value, problems);
  const plugins: CniPlugin[] = [];
  if (!("plugins" in value)) {
    const plugin = pluginOf(value, "", wrong);
    if (plugin !== undefined) plugins.push(plugin);
  } else if (!Array.isArray(value["plugins"]) || value["plugins"].length === 0) {
    wrong(
      "plugins",
      'Its "plugins" is no list with at least one plugin.',
      'Give "plugins" a list of objects with a "type".',
    );
  } else {
    for (const [index, item] of value["plugins"].entries()) {
      const plugin = pluginOf(item, `plugins[${index}]`, wrong);
      if (plugin !== undefined) plugins.push(plugin);
    }
  }
  const disable = value["disableCheck"];
  // The specification's bool; libcni takes the word as well.
  const isDisabled = disable === true || disable === "true";
  if (disable !== undefined && !isDisabled && disable !== false && disable !== "false") {
    wrong(
      "disableCheck",
      `Its "disableCheck" is ${kindOf(disable)} where true or false is expected.`,
      "Write true or false.",
    );
  }
  if (name === undefined || cniVersion === undefined || problems.some(({ severity }) => severity === "error")) {
    return { problems };
  }
  return { network: { name, cniVersion, disableCheck: isDisabled, plugins }, problems };
}

type Wrong = (path: string, message: string, cure: string, code?: Code) => undefined;

function nameOf(value: JsonObject, wrong: Wrong): string | undefined {
  const name = value["name"];
  const cure = 'Give it a "name" of letters, digits, ".", "_" and "-", beginning with a letter or digit.';
  if (name === undefined || name === "") return wrong("name", 'It has no "name".', cure);
  if (typeof name !== "string") return wrong("name", `Its "name" is ${kindOf(name)} where a string is expected.`, cure);
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) return wrong("name", `Its "name" cannot be ${quoted(name)}.`, cure);
  return name;
}

function versionOf(value: JsonObject, problems: CniProblem[]): CniVersion | undefined {
  const cure = `Write one of ${CNI_VERSIONS.slice(2).join(", ")}.`;
  const offered = value["cniVersions"];
  if (Array.isArray(offered)) {
    const known = offered.flatMap((item) => (typeof item === "string" ? (normaliseVersion(item) ?? []) : []));
    const best = CNI_VERSIONS.findLast((version) => known.includes(version));
    if (best !== undefined) return best;
  }
  const version = value["cniVersion"];
  if (version === undefined || version === "") {
    const message = 'It has no "cniVersion" and is read as 0.1.0.';
    problems.push({ code: "PB3005", severity: "warning", message, path: "cniVersion", cure });
    return "0.1.0";
  }
  const known = typeof version === "string" ? normaliseVersion(version) : undefined;
  if (known === undefined) {
    const shown = typeof version === "string" ? quoted(version) : kindOf(version);
    const message = `Its "cniVersion" is ${shown}, which is no version of the CNI specification.`;
    problems.push({ code: "PB3005", severity: "error", message, path: "cniVersion", cure });
  }
  return known;
}

function pluginOf(item: unknown, path: string, wrong: Wrong): CniPlugin | undefined {
  const at = path === "" ? "" : `${path}.`;
  const whose = path === "" ? "It" : `Its ${path}`;
  if (!isJsonObject(item)) {
    return wrong(
      path,
      `${whose} is ${kindOf(item)} where an object is expected.`,
      'Write {"type": …} for each plugin.',
    );
  }
  const type = item["type"];
  const cure = 'Name the plugin\'s binary, such as "bridge".';
  if (type === undefined || type === "") return wrong(`${at}type`, `${whose} has no "type".`, cure);
  if (typeof type !== "string") {
    return wrong(`${at}type`, `${whose} has a "type" that is ${kindOf(type)} where a string is expected.`, cure);
  }
  if (!isBinaryName(type)) {
    return wrong(`${at}type`, `${whose} has the "type" ${quoted(type)}, which is no name of a binary.`, cure);
  }
  const { capabilities, ...config } = item;
  if (capabilities !== undefined && !isJsonObject(capabilities)) {
    return wrong(
      `${at}capabilities`,
      `${whose} has "capabilities" that are ${kindOf(capabilities)} where an object is expected.`,
      'Write {"portMappings": true}, for example.',
    );
  }
  const ipam = item["ipam"];
  if (ipam !== undefined && !isJsonObject(ipam)) {
    return wrong(
      `${at}ipam`,
      `${whose} has an "ipam" that is ${kindOf(ipam)} where an object is expected.`,
      'Write {"type": "host-local", …}, for example.',
    );
  }
  const ipamType = ipam?.["type"];
  // It is run as root: a path could name any program of the node.
  if (typeof ipamType === "string" && ipamType !== "" && !isBinaryName(ipamType)) {
    return wrong(
      `${at}ipam.type`,
      `${whose} has an "ipam" of the "type" ${quoted(ipamType)}, which is no name of a binary.`,
      'Name the ipam plugin\'s binary, such as "host-local".',
    );
  }
  return {
    type,
    ...(typeof ipamType === "string" && ipamType !== "" ? { ipamType } : {}),
    capabilities: Object.entries(capabilities ?? {}).flatMap(([key, on]) => (on === true ? [key] : [])),
    config,
  };
}

function isBinaryName(type: string): boolean {
  return /^[^/\0]+$/.test(type) && type !== "." && type !== "..";
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
