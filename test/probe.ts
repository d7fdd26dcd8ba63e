/**
 * A client for end-to-end tests, run inside a network namespace (`nsenter --net=PATH node test/probe.ts …`).
 *
 * Prints one JSON line: `{ok, …}`. Exit code 0 even where the peer does not answer: "no answer" is a result. Without
 * arguments each line of stdin, `{id, args}`, is answered by a line with that id: a test asks often, and a process for
 * each question takes the guest's time.
 */
import { createHash, randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, request } from "node:http";
import { connect } from "node:net";
import { createInterface } from "node:readline";

type Answer = Readonly<Record<string, unknown>> & { readonly ok: boolean };

/** A machine that is itself emulated says how much slower it is. */
const SLOWNESS = Number(process.env["PATCHBAY_TEST_SLOWNESS"] ?? "1");
const DEADLINE_MS = 5000 * SLOWNESS;
/** Of an answer on a connection that is there: a busy guest takes seconds for its page, and asked again it has two to write. */
const ANSWER_MS = 30_000 * SLOWNESS;
/** Of a connection; who asks again finds a guest that has come up sooner than the kernel, which waits ever longer. */
const CONNECT_MS = 2000 * SLOWNESS;

const verbs: Readonly<Record<string, (args: readonly string[]) => Promise<Answer>>> = {
  http: ([host = "", port = "0", path = "/"]) => http(host, Number(port), path),
  tcp: ([host = "", port = "0"]) => tcpEcho(host, Number(port), randomBytes(1024)),
  udp: ([host = "", port = "0", from = ""]) => udpEcho(host, Number(port), from === "anyone"),
  transfer: ([host = "", port = "0", bytes = "0", more = ""]) =>
    transfer(host, Number(port), Number(bytes), more === "stepwise"),
  serve: ([host = "", port = "0", text = ""]) => serve(host, Number(port), text),
  names: ([host = "", port = "0", address = ""]) => names(host, Number(port), address),
};

function http(address: string, tcpPort: number, path: string): Promise<Answer> {
  return new Promise((resolve) => {
    const call = request({ host: address, port: tcpPort, path, timeout: ANSWER_MS, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("end", () => resolve({ ok: true, status: response.statusCode, body }));
      // A guest that ends in the midst of its page.
      response.on("close", () => resolve({ ok: false, error: "closed" }));
    });
    const unconnected = setTimeout(() => call.destroy(new Error("timeout")), CONNECT_MS);
    call.on("socket", (socket) => socket.once("connect", () => clearTimeout(unconnected)));
    call.on("close", () => clearTimeout(unconnected));
    call.on("timeout", () => call.destroy(new Error("timeout")));
    call.on("error", (error: NodeJS.ErrnoException) => resolve({ ok: false, error: error.code ?? error.message }));
    call.end();
  });
}

function tcpEcho(address: string, tcpPort: number, payload: Buffer): Promise<Answer> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port: tcpPort });
    const received: Buffer[] = [];
    socket.setTimeout(DEADLINE_MS, () => socket.destroy(new Error("timeout")));
    socket.on("connect", () => {
      socket.setTimeout(ANSWER_MS);
      socket.write(payload);
    });
    socket.on("data", (chunk) => {
      received.push(chunk);
      if (Buffer.concat(received).length >= payload.length) {
        resolve({ ok: Buffer.concat(received).equals(payload) });
        socket.destroy();
      }
    });
    socket.on("error", (error: NodeJS.ErrnoException) => resolve({ ok: false, error: error.code ?? error.message }));
    socket.on("close", () => resolve({ ok: false, error: "closed" }));
  });
}

/** `fromAnyone`: a guest with two NICs on one network answers from the address of either. */
async function udpEcho(address: string, udpPort: number, fromAnyone: boolean): Promise<Answer> {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  const payload = randomBytes(64);
  const answered = new Promise<Answer>((resolve) => {
    socket.on("message", (message) => resolve({ ok: message.equals(payload) }));
    socket.on("error", (error: NodeJS.ErrnoException) => resolve({ ok: false, error: error.code ?? error.message }));
    setTimeout(() => resolve({ ok: false, error: "timeout" }), DEADLINE_MS);
  });
  let resend: NodeJS.Timeout | undefined;
  const ask = (send: () => void): void => {
    send();
    resend = setInterval(send, 500);
  };
  if (fromAnyone) ask(() => socket.send(payload, udpPort, address));
  else {
    // Connected, it hears at once that nobody listens.
    socket.once("connect", () => ask(() => socket.send(payload)));
    socket.connect(udpPort, address);
  }
  try {
    return await answered;
  } finally {
    clearInterval(resend);
    socket.close();
  }
}

/**
 * Sends `bytes` to an echo port on one connection and compares the hash of what comes back; progress on stderr.
 *
 * Stepwise it sends no more in all than the last line of stdin says.
 */
async function transfer(address: string, tcpPort: number, bytes: number, stepwise: boolean): Promise<Answer> {
  const socket = connect({ host: address, port: tcpPort });
  await once(socket, "connect");
  process.stderr.write("connected\n");
  const sent = createHash("sha256");
  const got = createHash("sha256");
  let received = 0;
  const finished = new Promise<Answer>((resolve) => {
    socket.on("data", (chunk) => {
      got.update(chunk);
      received += chunk.length;
      process.stderr.write(`received ${received}\n`);
      if (received >= bytes) resolve({ ok: true, received });
    });
    socket.on("error", (error: NodeJS.ErrnoException) =>
      resolve({ ok: false, received, error: error.code ?? error.message }),
    );
    socket.on("close", () => resolve({ ok: false, received, error: "closed" }));
  });
  const allowance = stepwise ? allowanceOfStdin() : undefined;
  for (let left = bytes; left > 0; ) {
    await Promise.race([allowance?.beyond(bytes - left), finished]);
    const block = randomBytes(Math.min(left, 65_536));
    sent.update(block);
    left -= block.length;
    if (!socket.write(block)) await Promise.race([once(socket, "drain"), finished]);
    if (socket.destroyed) break;
  }
  const answer = await finished;
  socket.destroy();
  return { ...answer, ok: answer.ok && sent.digest("hex") === got.digest("hex") };
}

/** `beyond(n)` settles when stdin has said a number above n. */
function allowanceOfStdin(): { beyond(sent: number): Promise<void> } {
  let allowed = 0;
  let raised = Promise.withResolvers<void>();
  createInterface(process.stdin).on("line", (line) => {
    allowed = Number(line);
    raised.resolve();
    raised = Promise.withResolvers();
  });
  return {
    async beyond(sent) {
      while (sent >= allowed) await raised.promise;
    },
  };
}

/** Serves one text on HTTP until killed; says `listening` first. */
async function serve(address: string, tcpPort: number, text: string): Promise<Answer> {
  const server = createServer((call, response) => {
    process.stderr.write(`client ${call.socket.remoteAddress}\n`);
    response.end(text);
  });
  server.listen(tcpPort, address);
  await once(server, "listening");
  process.stderr.write("listening\n");
  await once(server, "close");
  return { ok: true };
}

/** A name server that knows one address, which every name has; says on stderr which it is asked for. */
async function names(address: string, udpPort: number, answer: string): Promise<Answer> {
  const server = createSocket("udp6");
  server.on("message", (query, from) => {
    const labels: string[] = [];
    let at = 12;
    for (let length = query[at] ?? 0; length > 0 && at < query.length; length = query[at] ?? 0) {
      labels.push(query.toString("latin1", at + 1, at + 1 + length));
      at += 1 + length;
    }
    const question = query.subarray(12, at + 5);
    const isA = query.readUInt16BE(at + 1) === 1;
    // RFC 1035, section 4.1: a response, recursion desired and available, one question, as many answers.
    const head = Buffer.from([...query.subarray(0, 2), 0x81, 0x80, 0, 1, 0, isA ? 1 : 0, 0, 0, 0, 0]);
    // The question's name, type A, class IN, 60 s, four bytes.
    const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...answer.split(".").map(Number)]);
    process.stderr.write(`asked ${labels.join(".")}\n`);
    server.send(Buffer.concat([head, question, ...(isA ? [record] : [])]), from.port, from.address);
  });
  server.bind(udpPort, address);
  await once(server, "listening");
  process.stderr.write("listening\n");
  await once(server, "close");
  return { ok: true };
}

function answer([verb = "", ...args]: readonly string[]): Promise<Answer> {
  const run = verbs[verb];
  if (run === undefined)
    return Promise.resolve({ ok: false, error: `no verb ${verb}: ${Object.keys(verbs).join(", ")}` });
  return run(args).catch((error: unknown): Answer => ({ ok: false, error: String(error) }));
}

const given = process.argv.slice(2);
if (given.length > 0) {
  process.stdout.write(`${JSON.stringify(await answer(given))}\n`);
  process.exit(0);
}
for await (const line of createInterface(process.stdin)) {
  const { id, args }: { readonly id: number; readonly args: readonly string[] } = JSON.parse(line);
  void answer(args).then((said) => process.stdout.write(`${JSON.stringify({ id, ...said })}\n`));
}
process.exit(0);
