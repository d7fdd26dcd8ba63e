import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parse } from "yaml";
import { Fault } from "../model/fault.ts";
import { isJsonObject, type JsonObject, textAt } from "../model/json.ts";

/** How to reach one API server, and what to prove oneself with. PEM texts. */
export interface Cluster {
  /** `https://127.0.0.1:6443`; a path prefix is kept. */
  readonly server: string;
  readonly caPem?: string;
  readonly token?: string;
  readonly clientCertPem?: string;
  readonly clientKeyPem?: string;
  /** Namespace of the context; `default` where it names none. */
  readonly namespace: string;
}

/**
 * Reads the current context of a kubeconfig.
 *
 * @throws Fault PB6011 with the file and what is missing in it.
 */
export function loadKubeconfig(path: string): Cluster {
  const document = readDocument(path);
  const contextName = textAt(document, "current-context");
  if (contextName === undefined) throw unusable(path, "it names no current-context");
  const context = named(document, "contexts", "context", contextName, path);
  const cluster = named(document, "clusters", "cluster", textAt(context, "cluster") ?? "", path);
  const userName = textAt(context, "user");
  const user = userName === undefined ? {} : named(document, "users", "user", userName, path);
  const server = textAt(cluster, "server");
  if (server === undefined || !URL.canParse(server)) throw unusable(path, "its cluster has no server URL");
  for (const unsupported of ["exec", "auth-provider", "username"]) {
    if (user[unsupported] !== undefined) {
      throw unusable(path, `its user authenticates by ${unsupported}; a token or a client certificate is needed`);
    }
  }
  const folder = dirname(path);
  return {
    server: server.replace(/\/+$/, ""),
    namespace: textAt(context, "namespace") ?? "default",
    ...optional("caPem", pemAt(cluster, "certificate-authority", folder, path)),
    ...optional("token", tokenOf(user, folder, path)),
    ...optional("clientCertPem", pemAt(user, "client-certificate", folder, path)),
    ...optional("clientKeyPem", pemAt(user, "client-key", folder, path)),
  };
}

function readDocument(path: string): JsonObject {
  const text = readText(path, path);
  let document: unknown;
  try {
    document = parse(text);
  } catch (thrown) {
    throw unusable(path, thrown instanceof Error ? thrown.message : String(thrown), thrown);
  }
  if (!isJsonObject(document)) throw unusable(path, "it is no kubeconfig");
  return document;
}

function named(document: JsonObject, list: string, field: string, name: string, path: string): JsonObject {
  const entries = document[list];
  const entry = Array.isArray(entries)
    ? entries.find((candidate) => isJsonObject(candidate) && candidate["name"] === name)
    : undefined;
  const value: unknown = isJsonObject(entry) ? entry[field] : undefined;
  if (!isJsonObject(value)) throw unusable(path, `it has no ${field} named "${name}"`);
  return value;
}

function tokenOf(user: JsonObject, folder: string, path: string): string | undefined {
  const file = textAt(user, "tokenFile");
  return file === undefined ? textAt(user, "token") : readText(resolve(folder, file), path).trim();
}

/** `NAME-data` in base64, or the file that `NAME` names. */
function pemAt(fields: JsonObject, name: string, folder: string, path: string): string | undefined {
  const data = textAt(fields, `${name}-data`);
  if (data !== undefined) return Buffer.from(data, "base64").toString("utf8");
  const file = textAt(fields, name);
  return file === undefined ? undefined : readText(resolve(folder, file), path);
}

function readText(file: string, kubeconfig: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (thrown) {
    throw unusable(kubeconfig, thrown instanceof Error ? thrown.message : String(thrown), thrown);
  }
}

function unusable(path: string, why: string, cause?: unknown): Fault {
  return new Fault("PB6011", `the kubeconfig ${path} cannot be used: ${why}`, {
    place: path,
    cure: "`patchbay up` writes one to its data folder; it prints the export line.",
    ...(cause === undefined ? {} : { cause }),
  });
}

function optional<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]: V });
}
