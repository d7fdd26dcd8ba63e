import { randomBytes } from "node:crypto";
import { statSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import type { Logger } from "pino";
import { Registry } from "prom-client";
import type { Admission } from "../model/api/admission.ts";
import type { ResourceDefinition } from "../model/api/resource.ts";
import { isApiError } from "../model/api/status.ts";
import { Fault } from "../model/fault.ts";
import { answerError } from "./answers.ts";
import { makeApiMetrics } from "./api-metrics.ts";
import { openAuditLog } from "./audit-log.ts";
import { makeAuthenticator } from "./authentication.ts";
import { makeCatalog } from "./catalog.ts";
import { startCollector } from "./collector.ts";
import { makeCustomKinds } from "./custom-kinds.ts";
import { IMAGE_FOLDERS, ownFolder, writePrivateFile } from "./data-folder.ts";
import { makeDoor } from "./door.ts";
import { makeHandler } from "./handler.ts";
import { type HealthCheck, makeHealth } from "./health.ts";
import { kubeconfigText } from "./kubeconfig-file.ts";
import { defaultLimits, type Limits, makeAllowances } from "./limits.ts";
import { listeningAt } from "./listening.ts";
import type { Machinery } from "./machinery.ts";
import { PERMANENT_NAMESPACES } from "./namespaces.ts";
import { type Credentials, loadCredentials } from "./pki.ts";
import { makeProbeServer } from "./probes.ts";
import { qualifiedPlural } from "./refusals.ts";
import type { Principal, Role } from "./roles.ts";
import { makeSelfReviewServer } from "./self-reviews.ts";
import { keyFor } from "./serving.ts";
import { openStore } from "./sqlite-store.ts";
import type { CommitListener } from "./store.ts";
import { type GroupDocument, makeSubresourceServer, type Subresource } from "./subresources.ts";
import { makeWatchHub } from "./watch.ts";
import { createObject } from "./writes.ts";

export interface ApiServerOptions {
  readonly dataDir: string;
  /** 0: any free one. */
  readonly port: number;
  /** IP address; 127.0.0.1. */
  readonly address?: string;
  readonly definitions: readonly ResourceDefinition[];
  readonly admission: Admission;
  /** Namespaces that are made at a start where they are missing, beside those that cannot be deleted. */
  readonly namespaces?: readonly string[];
  /** Calls below objects, which the server knows nothing of. */
  readonly subresources?: readonly Subresource[];
  /** What is to be read of API groups beside their resources. */
  readonly documents?: readonly GroupDocument[];
  /** What must be so for `/readyz`, beside the server's own checks. */
  readonly checks?: readonly HealthCheck[];
  /** Where metrics are registered, and read from by `/metrics`. */
  readonly registry?: Registry;
  readonly limits?: Partial<Limits>;
  /** How many changes watches can resume from, at least; 10,000. */
  readonly keptChanges?: number;
  readonly log: Logger;
}

export interface ApiServer {
  readonly port: number;
  readonly url: string;
  readonly caPem: string;
  /** For the components of this process: no limit holds for it, and nobody else learns it. */
  readonly ownToken: string;
  /** Ends watches, finishes what is being written, and closes the store. */
  close(): Promise<void>;
}

/** The users, by the role of their token. */
const HOLDERS: Readonly<Record<Role, Principal>> = {
  admin: { user: "system:admin", role: "admin" },
  view: { user: "system:view", role: "view" },
};
const OWN: Principal = { user: "system:patchbay", role: "admin" };
const KUBECONFIGS: Readonly<Record<Role, string>> = { admin: "kubeconfig", view: "kubeconfig-view" };
const KUBECONFIG_USERS: Readonly<Record<Role, string>> = { admin: "patchbay-admin", view: "patchbay-view" };

const LARGEST_HEADERS = 32 * 1024;
const DAY_MS = 86_400_000;
/** Renewed a month before its end, so that a certificate this near to it tells that the renewal does not work. */
const EXPIRING_MS = 14 * DAY_MS;

/**
 * Starts the API: HTTPS on the loopback address unless another is given, state in `dataDir`. Kubeconfigs with the tokens
 * of the roles are in `dataDir/kubeconfig` and `dataDir/kubeconfig-view` (0600). Without a token every path answers 401.
 *
 * @throws Fault PB6001–PB6006: the folder, the port, the store or the keys cannot be used.
 */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { dataDir, log } = options;
  // A user's pattern that would backtrack for minutes is matched in linear time instead, as RE2 does it on a cluster.
  setFlagsFromString("--enable-experimental-regexp-engine-on-excessive-backtracks");
  const limits: Limits = { ...defaultLimits, ...options.limits };
  const listening = listeningAt(options.address ?? "127.0.0.1");
  ownFolder(dataDir, log, IMAGE_FOLDERS);
  ownFolder(join(dataDir, "logs"), log);
  let timed: CommitListener = () => undefined;
  const store = openStore(dataDir, (seconds, works) => timed(seconds, works), options.keptChanges);
  try {
    const pki = join(dataDir, "pki");
    let credentials = await loadCredentials(pki, Date.now(), log, listening.proves);
    const subresources = options.subresources ?? [];
    const catalog = makeCatalog(
      options.definitions,
      subresources.filter((each) => each.verb !== "none"),
    );
    const customKinds = makeCustomKinds(catalog, store, Date.now);
    const machinery: Machinery = {
      catalog,
      store,
      admission: customKinds.admission(options.admission),
      now: Date.now,
      log,
    };
    await makeNamespaces(machinery, [...PERMANENT_NAMESPACES, ...(options.namespaces ?? [])]);
    const hub = makeWatchHub(catalog, store);
    await customKinds.start(machinery, hub);
    const handle = makeHandler(machinery, hub);
    const server = createServer({
      key: credentials.keyPem,
      cert: credentials.certPem,
      minVersion: "TLSv1.2",
      handshakeTimeout: limits.headerMs,
      headersTimeout: limits.headerMs,
      requestTimeout: limits.requestMs,
      connectionsCheckingInterval: Math.min(limits.headerMs, 5_000),
      keepAliveTimeout: limits.idleMs,
      maxHeaderSize: LARGEST_HEADERS,
    });
    server.maxConnections = limits.connections;
    const registry = options.registry ?? new Registry();
    const audit = openAuditLog(join(dataDir, "logs", "audit.log"), log.child({ part: "audit" }));
    let connections = 0;
    server.on("connection", (socket) => {
      connections += 1;
      socket.once("close", () => {
        connections -= 1;
      });
    });
    const metrics = makeApiMetrics(registry, {
      watchers: () => hub.watchers,
      connections: () => connections,
      auditLost: () => audit.lost,
      storeBytes: () => storeBytes(dataDir),
      storedObjects: () => new Map(store.census().map((row) => [qualifiedPlural(row), row.count])),
      revision: () => store.revision(),
      certificateEnds: () => credentials.validTo,
    });
    timed = metrics.committed;
    const ownToken = randomBytes(32).toString("base64url");
    const { tokens } = credentials;
    const door = makeDoor({
      authenticator: makeAuthenticator([
        [tokens.admin, HOLDERS.admin],
        [tokens.view, HOLDERS.view],
        [ownToken, OWN],
      ]),
      allowances: makeAllowances(limits, OWN),
      catalog,
      metrics,
      audit,
    });
    const health = makeHealth(
      [{ name: "ping", check: () => undefined }],
      [
        { name: "store-writable", check: () => store.prove().then(() => undefined) },
        { name: "certificate", check: () => expiring(credentials.validTo, Date.now()) },
        ...(options.checks ?? []),
      ],
    );
    const probe = makeProbeServer(health, registry);
    const reviews = makeSelfReviewServer(catalog);
    const calls = makeSubresourceServer(subresources, options.documents ?? [], log);
    const serve = (request: IncomingMessage, response: ServerResponse, continues = false): void => {
      const visit = door.request(request, response);
      if (isApiError(visit)) {
        // Its body is not read, and whoever was turned away has no use for the connection.
        if (visit.httpStatus !== 403 || !request.complete) response.setHeader("connection", "close");
        answerError(response, visit);
        return;
      }
      if (continues) response.writeContinue();
      const { holder } = visit;
      if (probe(request, response) || reviews(request, response, holder)) return;
      if (!calls.serve(request, response, holder.user)) visit.wrote(handle(request, response, holder.user));
    };
    server.on("request", (request, response) => serve(request, response));
    // Node would answer both by itself, to whoever asks.
    server.on("checkContinue", (request, response) => serve(request, response, true));
    server.on("checkExpectation", (request, response) => serve(request, response));
    server.on("upgrade", (request, socket, head) => {
      calls.upgrade(request, socket, head, door.upgrade(request));
    });
    server.on("drop", () => log.warn({ connections }, "a connection was dropped: too many are open"));
    const port = await listen(server, options.port, listening.address);
    // Such as too many open files: the connections that are there go on.
    server.on("error", (error) => log.error({ err: error }, "the API cannot take a connection"));
    const url = `https://${listening.urlHost}:${port}`;
    try {
      writeKubeconfigs(dataDir, url, credentials);
    } catch (thrown) {
      server.close();
      throw thrown;
    }
    const renew = async (): Promise<void> => {
      try {
        credentials = await loadCredentials(pki, Date.now(), log, listening.proves);
        server.setSecureContext({ key: credentials.keyPem, cert: credentials.certPem, minVersion: "TLSv1.2" });
      } catch (thrown) {
        log.error({ err: thrown }, "the server certificate could not be looked after; the next attempt is in a day");
      }
    };
    const collector = startCollector(machinery);
    const renewal = setInterval(() => void renew(), DAY_MS);
    renewal.unref();
    return {
      port,
      url,
      caPem: credentials.caPem,
      ownToken,
      async close() {
        clearInterval(renewal);
        const closed = new Promise<void>((resolve) => server.close(() => resolve()));
        hub.close();
        await calls.close();
        server.closeIdleConnections();
        await collector.close();
        await customKinds.close();
        const impatience = setTimeout(() => server.closeAllConnections(), 2_000);
        await closed;
        clearTimeout(impatience);
        audit.close();
        await store.close();
      },
    };
  } catch (thrown) {
    await store.close();
    throw thrown;
  }
}

function listen(server: Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const refuse = (error: NodeJS.ErrnoException): void => {
      const why = REASONS[error.code ?? ""] ?? error.message;
      reject(
        new Fault("PB6003", `the API cannot listen on ${host} port ${port}: ${why}`, {
          place: `${host}:${port}`,
          cure: cureOf(error, port),
          cause: error,
        }),
      );
    };
    server.once("error", refuse);
    server.listen(port, host, () => {
      server.off("error", refuse);
      const address: AddressInfo | string | null = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program listens there",
  EADDRNOTAVAIL: "this machine has no such address",
};

function cureOf({ code }: NodeJS.ErrnoException, port: number): string {
  if (code === "EADDRNOTAVAIL")
    return "Choose one of the machine's addresses with --address (`ip -br address` lists them).";
  if (code !== "EADDRINUSE") return "Choose another port with --port.";
  return `Stop it (\`ss -ltnp 'sport = :${port}'\` names it), or choose another port with --port.`;
}

function writeKubeconfigs(dataDir: string, url: string, { caPem, tokens }: Credentials): void {
  for (const role of ["admin", "view"] as const) {
    const user = { name: KUBECONFIG_USERS[role], token: tokens[role] };
    writePrivateFile(join(dataDir, KUBECONFIGS[role]), kubeconfigText(url, caPem, user));
  }
}

/** The sizes of the store's files, as far as they are there. */
function storeBytes(dataDir: string): Readonly<Record<string, number>> {
  const names = ["store.db", "store.db-wal"];
  return Object.fromEntries(
    names.map((name) => [name, statSync(join(dataDir, name), { throwIfNoEntry: false })?.size ?? 0]),
  );
}

/** A daemon may outlive its certificate, where it cannot be renewed. */
function expiring(validTo: number, now: number): string | undefined {
  if (validTo - now > EXPIRING_MS) return undefined;
  return `the server certificate ends at ${new Date(validTo).toISOString()} and could not be renewed; the daemon's log says why`;
}

async function makeNamespaces(machinery: Machinery, names: readonly string[]): Promise<void> {
  const definition = machinery.catalog.stored("", "namespaces");
  if (definition === undefined) return;
  const permissive: Machinery = {
    ...machinery,
    admission: async ({ object }) => ({ allowed: true, object, warnings: [] }),
  };
  for (const name of names) {
    if (machinery.store.get(keyFor(definition, "", name)) !== undefined) continue;
    const body = { metadata: { name } };
    const options = { user: OWN.user, manager: "patchbay", dryRun: false, fieldValidation: "Ignore" } as const;
    await createObject(permissive, definition, "", body, options);
  }
}
