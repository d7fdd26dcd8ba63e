import type { IncomingMessage } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Logger } from "pino";
import { stringify } from "yaml";
import type { Admission } from "../model/api/admission.ts";
import type { ResourceDefinition } from "../model/api/resource.ts";
import { Fault } from "../model/fault.ts";
import { answerError } from "./answers.ts";
import { makeCatalog } from "./catalog.ts";
import { startCollector } from "./collector.ts";
import { makeCustomKinds } from "./custom-kinds.ts";
import { ownFolder, writePrivateFile } from "./data-folder.ts";
import { makeHandler } from "./handler.ts";
import type { Machinery } from "./machinery.ts";
import { PERMANENT_NAMESPACES } from "./namespaces.ts";
import { type Credentials, isToken, loadCredentials } from "./pki.ts";
import { unauthorized } from "./refusals.ts";
import { keyFor } from "./serving.ts";
import { openStore } from "./store.ts";
import { type GroupDocument, makeSubresourceServer, type Subresource } from "./subresources.ts";
import { makeWatchHub } from "./watch.ts";
import { protocolToken } from "./websocket.ts";
import { createObject } from "./writes.ts";

export interface ApiServerOptions {
  readonly dataDir: string;
  /** 0: any free one. */
  readonly port: number;
  readonly host?: "127.0.0.1";
  readonly definitions: readonly ResourceDefinition[];
  readonly admission: Admission;
  /** Calls below objects, which the server knows nothing of. */
  readonly subresources?: readonly Subresource[];
  /** What is to be read of API groups beside their resources. */
  readonly documents?: readonly GroupDocument[];
  readonly log: Logger;
}

export interface ApiServer {
  readonly port: number;
  readonly url: string;
  readonly caPem: string;
  /** Ends watches, finishes what is being written, and closes the store. */
  close(): Promise<void>;
}

/** The user whose token is in the kubeconfig. */
const ADMIN = "system:admin";

const HEADER_MS = 10_000;
const REQUEST_MS = 60_000;
const IDLE_MS = 90_000;
const LARGEST_HEADERS = 32 * 1024;
const DAY_MS = 86_400_000;

/**
 * Starts the API: HTTPS on the loopback address, state in `dataDir`, a kubeconfig with the one token in
 * `dataDir/kubeconfig` (0600). Without the token every path answers 401.
 *
 * @throws Fault PB6001–PB6006: the folder, the port, the store or the keys cannot be used.
 */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { dataDir, log, host = "127.0.0.1" } = options;
  ownFolder(dataDir, log);
  const store = openStore(dataDir);
  try {
    const pki = join(dataDir, "pki");
    const credentials = await loadCredentials(pki, Date.now(), log);
    const catalog = makeCatalog(options.definitions, options.subresources);
    const customKinds = makeCustomKinds(catalog, store, Date.now);
    const machinery: Machinery = {
      catalog,
      store,
      admission: customKinds.admission(options.admission),
      now: Date.now,
      log,
    };
    await makePermanentNamespaces(machinery);
    const hub = makeWatchHub(catalog, store);
    await customKinds.start(machinery, hub);
    const handle = makeHandler(machinery, hub);
    const server = createServer({
      key: credentials.keyPem,
      cert: credentials.certPem,
      minVersion: "TLSv1.2",
      handshakeTimeout: HEADER_MS,
      headersTimeout: HEADER_MS,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: IDLE_MS,
      maxHeaderSize: LARGEST_HEADERS,
    });
    const subresources = makeSubresourceServer(options.subresources ?? [], options.documents ?? [], log);
    server.on("request", (request, response) => {
      if (isAuthenticated(request, credentials.token)) {
        if (!subresources.serve(request, response, ADMIN)) void handle(request, response, ADMIN);
      } else {
        response.setHeader("connection", "close");
        answerError(response, unauthorized());
      }
    });
    server.on("upgrade", (request, socket, head) => {
      const known =
        isAuthenticated(request, credentials.token) || isToken(protocolToken(request) ?? "", credentials.token);
      subresources.upgrade(request, socket, head, known ? ADMIN : undefined);
    });
    const port = await listen(server, options.port, host);
    // Such as too many open files: the connections that are there go on.
    server.on("error", (error) => log.error({ err: error }, "the API cannot take a connection"));
    const url = `https://${host}:${port}`;
    try {
      writePrivateFile(join(dataDir, "kubeconfig"), kubeconfig(url, credentials));
    } catch (thrown) {
      server.close();
      throw thrown;
    }
    const collector = startCollector(machinery);
    const renewal = setInterval(() => void renew(server, pki, log), DAY_MS);
    renewal.unref();
    return {
      port,
      url,
      caPem: credentials.caPem,
      async close() {
        clearInterval(renewal);
        const closed = new Promise<void>((resolve) => server.close(() => resolve()));
        hub.close();
        await subresources.close();
        server.closeIdleConnections();
        await collector.close();
        await customKinds.close();
        const impatience = setTimeout(() => server.closeAllConnections(), 2_000);
        await closed;
        clearTimeout(impatience);
        await store.close();
      },
    };
  } catch (thrown) {
    await store.close();
    throw thrown;
  }
}

function isAuthenticated(request: IncomingMessage, token: string): boolean {
  const match = /^Bearer ([^\s]+)$/i.exec(request.headers.authorization ?? "");
  return match?.[1] !== undefined && isToken(match[1], token);
}

function listen(server: Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const refuse = (error: NodeJS.ErrnoException): void => {
      const busy = error.code === "EADDRINUSE";
      const why = busy ? "another program listens there" : error.message;
      reject(
        new Fault("PB6003", `the API cannot listen on ${host} port ${port}: ${why}`, {
          place: `${host}:${port}`,
          cure: busy
            ? `Stop it (\`ss -ltnp 'sport = :${port}'\` names it), or choose another port with --port.`
            : "Choose another port with --port.",
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

function kubeconfig(server: string, { caPem, token }: Credentials): string {
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      {
        name: "patchbay",
        cluster: { server, "certificate-authority-data": Buffer.from(caPem).toString("base64") },
      },
    ],
    users: [{ name: "patchbay-admin", user: { token } }],
    contexts: [{ name: "patchbay", context: { cluster: "patchbay", user: "patchbay-admin", namespace: "default" } }],
    "current-context": "patchbay",
  });
}

/** A daemon may outlive its certificate. */
async function renew(server: Server, pki: string, log: Logger): Promise<void> {
  try {
    const { keyPem, certPem } = await loadCredentials(pki, Date.now(), log);
    server.setSecureContext({ key: keyPem, cert: certPem, minVersion: "TLSv1.2" });
  } catch (thrown) {
    log.error({ err: thrown }, "the server certificate could not be looked after; the next attempt is in a day");
  }
}

async function makePermanentNamespaces(machinery: Machinery): Promise<void> {
  const definition = machinery.catalog.stored("", "namespaces");
  if (definition === undefined) return;
  const permissive: Machinery = {
    ...machinery,
    admission: async ({ object }) => ({ allowed: true, object, warnings: [] }),
  };
  for (const name of PERMANENT_NAMESPACES) {
    if (machinery.store.get(keyFor(definition, "", name)) !== undefined) continue;
    const body = { metadata: { name } };
    const options = { user: ADMIN, manager: "patchbay", dryRun: false, fieldValidation: "Ignore" } as const;
    await createObject(permissive, definition, "", body, options);
  }
}
