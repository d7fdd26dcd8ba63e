import { once } from "node:events";
import { connect, type TLSSocket } from "node:tls";

/** Where requests go, and who sends them. */
export interface Target {
  readonly port: number;
  readonly caPem: string;
  readonly token: string;
}

export interface Answer {
  readonly code: number;
  readonly body: Buffer;
}

/** As kubectl asks for lists. */
export const TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io";

/** One kept-alive HTTP/1.1 connection over TLS, one request at a time. It costs little, so that the server is measured. */
export interface Connection {
  call(method: string, path: string, body?: string, type?: string): Promise<Answer>;
  /** Sends a request whose answer goes on; settles with its code, and hands over each piece of what follows. */
  stream(path: string, heard: (content: Buffer) => void): Promise<number>;
  close(): void;
}

const HEADERS_END = Buffer.from("\r\n\r\n");
const LINE_END = Buffer.from("\r\n");

export async function openConnection({ port, caPem, token }: Target, session?: Buffer): Promise<Connection> {
  const socket: TLSSocket = connect({
    host: "127.0.0.1",
    port,
    ca: caPem,
    ...(session === undefined ? {} : { session }),
  });
  await once(socket, "secureConnect");
  socket.setNoDelay(true);
  let held: Buffer = Buffer.alloc(0);
  /** Pieces behind what is held, until there are as many bytes as are waited for. */
  let pieces: Buffer[] = [];
  let [size, wanted] = [0, 0];
  let take: () => void = () => undefined;
  let failed: Error | undefined;
  let broken: (error: Error) => void = () => undefined;
  socket.on("data", (bytes: Buffer) => {
    pieces.push(bytes);
    size += bytes.length;
    if (held.length + size < wanted) return;
    held = held.length === 0 && pieces.length === 1 ? bytes : Buffer.concat([held, ...pieces]);
    pieces = [];
    [size, wanted] = [0, 0];
    take();
  });
  const fail = (error: Error): void => {
    failed ??= error;
    broken(failed);
  };
  socket.on("error", fail);
  socket.on("close", () => fail(new Error("the server closed the connection")));

  const head = `host: localhost\r\nauthorization: Bearer ${token}\r\nuser-agent: bench\r\n`;

  /** `type` is that of the body, or where there is none of the answer. */
  function send(method: string, path: string, body = "", type = "application/json"): void {
    const content =
      body === "" ? `accept: ${type}\r\n` : `content-type: ${type}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n`;
    socket.write(`${method} ${path} HTTP/1.1\r\n${head}${content}\r\n${body}`);
  }

  /** The headers of an answer, once they are whole, cut off what is held. */
  function readHead(): { readonly code: number; readonly length: number } | undefined {
    const end = held.indexOf(HEADERS_END);
    if (end < 0) return undefined;
    const text = held.toString("latin1", 0, end);
    held = held.subarray(end + HEADERS_END.length);
    return { code: Number(text.slice(9, 12)), length: Number(/\r\ncontent-length: (\d+)/i.exec(text)?.[1] ?? -1) };
  }

  return {
    call: (method, path, body, type) =>
      new Promise((resolve, reject) => {
        if (failed !== undefined) return reject(failed);
        broken = reject;
        let answer: ReturnType<typeof readHead>;
        take = () => {
          answer ??= readHead();
          if (answer === undefined) return;
          if (held.length < answer.length) {
            wanted = answer.length;
            return;
          }
          if (answer.length < 0) return reject(new Error(`HTTP ${answer.code} of no known length`));
          const found = { code: answer.code, body: held.subarray(0, answer.length) };
          held = held.subarray(answer.length);
          take = () => undefined;
          resolve(found);
        };
        send(method, path, body, type);
      }),
    stream: (path, heard) =>
      new Promise((resolve, reject) => {
        broken = reject;
        let answer: ReturnType<typeof readHead>;
        take = () => {
          if (answer === undefined) {
            answer = readHead();
            if (answer === undefined) return;
            resolve(answer.code);
          }
          // Chunks (RFC 9112 §7.1) that are whole.
          for (;;) {
            const end = held.indexOf(LINE_END);
            if (end < 0) return;
            const size = Number.parseInt(held.toString("latin1", 0, end), 16);
            if (held.length < end + size + 4) return;
            heard(held.subarray(end + 2, end + 2 + size));
            held = held.subarray(end + size + 4);
          }
        };
        send("GET", path);
      }),
    close: () => socket.destroy(),
  };
}
