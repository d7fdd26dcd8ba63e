import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { type ClientHttp2Session, connect } from "node:http2";
import { createServer } from "node:net";
import { join } from "node:path";

const CACHE = join(process.env["PATCHBAY_TEST_CACHE"] ?? "/var/cache/patchbay-test", "etcd");
const BINARY = join(CACHE, "usr/bin/etcd");
const SLICES = 20;
const READY_MS = 30_000;

export interface EtcdLoad {
  readonly version: string;
  readonly how: string;
  /** Milliseconds of each put. */
  readonly took: readonly number[];
  /** Puts a second, by slices of the time. */
  readonly rates: readonly number[];
}

/**
 * Puts values into one etcd, each durable when it is answered; says why where there is no etcd.
 *
 * It is Debian's, unpacked and not installed: the package would start it. It is spoken to as its own clients do, by gRPC
 * (`etcdserverpb.KV/Put`), each client on a connection of its own, without TLS.
 */
export async function etcdPuts(
  folder: string,
  { puts, bytes, clients }: { readonly puts: number; readonly bytes: number; readonly clients: number },
): Promise<EtcdLoad | string> {
  try {
    bring();
  } catch (thrown) {
    return `Debian's etcd-server cannot be brought (${thrown instanceof Error ? thrown.message : String(thrown)})`;
  }
  const version = /etcd Version: (\S+)/.exec(execFileSync(BINARY, ["--version"], { encoding: "utf8" }))?.[1] ?? "";
  const [port, peerPort] = [await freePort(), await freePort()];
  const url = `http://127.0.0.1:${port}`;
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  const server = spawn(
    BINARY,
    [
      ...["--data-dir", folder, "--name", "bench", "--listen-client-urls", url, "--advertise-client-urls", url],
      ...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
      ...["--initial-cluster", `bench=${peerUrl}`, "--log-level", "error"],
    ],
    { stdio: "ignore" },
  );
  try {
    await ready(url, server);
    const value = Buffer.alloc(bytes, "x");
    const sessions = Array.from({ length: clients }, () => connect(url));
    const took: number[] = [];
    const ends: number[] = [];
    const begun = performance.now();
    let next = 0;
    await Promise.all(
      sessions.map(async (session) => {
        while (next < puts) {
          next += 1;
          const asked = performance.now();
          await put(session, Buffer.from(`/registry/bench/bench-${next}`), value);
          ends.push(performance.now());
          took.push(performance.now() - asked);
        }
      }),
    );
    for (const session of sessions) session.close();
    const size = Math.floor(puts / SLICES);
    const rates = Array.from({ length: SLICES }, (_, slice) => {
      const first = slice === 0 ? begun : (ends[slice * size - 1] ?? begun);
      return (size * 1_000) / ((ends[(slice + 1) * size - 1] ?? begun) - first);
    });
    return { version, how: "gRPC puts of the same size without TLS", took, rates };
  } finally {
    if (server.exitCode === null && server.signalCode === null) {
      const ended = once(server, "exit");
      server.kill("SIGTERM");
      await ended;
    }
  }
}

/** Unpacks Debian's package once for this machine. */
function bring(): void {
  if (existsSync(BINARY)) return;
  mkdirSync(CACHE, { recursive: true });
  const work = mkdtempSync(join(CACHE, "bringing-"));
  try {
    execFileSync("apt-get", ["download", "etcd-server"], { cwd: work, stdio: "ignore" });
    const [file] = readdirSync(work);
    if (file === undefined) throw new Error("apt-get download fetched nothing");
    execFileSync("dpkg-deb", ["--extract", join(work, file), join(work, "root")]);
    mkdirSync(join(CACHE, "usr/bin"), { recursive: true });
    renameSync(join(work, "root/usr/bin/etcd"), BINARY);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function ready(url: string, server: ChildProcess): Promise<void> {
  const deadline = performance.now() + READY_MS;
  while (performance.now() < deadline && server.exitCode === null) {
    const answer = await fetch(`${url}/health`).catch(() => undefined);
    if (answer !== undefined && (await answer.text()).includes("true")) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("etcd did not become healthy");
}

/** One unary call of gRPC over HTTP/2: a frame of a flag, the length and the message. Rejects unless `grpc-status` is 0. */
function put(session: ClientHttp2Session, key: Buffer, value: Buffer): Promise<void> {
  // PutRequest of etcd's rpc.proto: key is field 1, value field 2.
  const message = Buffer.concat([field(1, key), field(2, value)]);
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ":method": "POST",
      ":path": "/etcdserverpb.KV/Put",
      "content-type": "application/grpc",
      te: "trailers",
    });
    let status: unknown;
    const read = (headers: Readonly<Record<string, unknown>>): void => {
      status ??= headers["grpc-status"];
    };
    stream.on("response", read);
    stream.on("trailers", read);
    stream.on("error", reject);
    stream.on("end", () => (String(status) === "0" ? resolve() : reject(new Error(`etcd answered ${String(status)}`))));
    stream.resume();
    stream.end(Buffer.concat([frame, message]));
  });
}

function field(number: number, bytes: Buffer): Buffer {
  const head = [(number << 3) | 2];
  for (let rest = bytes.length; ; rest >>>= 7) {
    if (rest < 128) {
      head.push(rest);
      break;
    }
    head.push((rest & 127) | 128);
  }
  return Buffer.concat([Buffer.from(head), bytes]);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}
