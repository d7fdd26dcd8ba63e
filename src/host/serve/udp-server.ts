import { createSocket } from "node:dgram";
import { closeSync } from "node:fs";
import type { Answer, ServeNote } from "../../model/serve/note.ts";
import { Allowance } from "./allowance.ts";

/** A running server on one UDP socket. */
export interface UdpServer<State> {
  state(): State;
  close(): Promise<void>;
}

/** What a UDP server is made of: an open bound socket, which it takes over, and a pure decision. */
export interface UdpServerOptions<State> {
  readonly fd: number;
  readonly type: "udp4" | "udp6";
  readonly initial: State;
  /** `source` is the sender's address without zone: libuv names zones after the host's interfaces. */
  answer(state: State, bytes: Uint8Array, source: string): Answer<State>;
  note(note: ServeNote): void;
}

/** Serves datagrams until it is closed. What fails later (a datagram that cannot be sent) becomes a note. */
export function serveUdp<State>(options: UdpServerOptions<State>): Promise<UdpServer<State>> {
  const { type, fd, note } = options;
  const socket = createSocket({ type });
  const allowance = new Allowance();
  let state = options.initial;
  let closed = false;
  const failed = (what: string, error: Error): void => {
    if (!closed) note({ kind: "failed", message: `${what}: ${error.message}.` });
  };
  socket.on("message", (bytes, { address }) => {
    const verdict = allowance.take(performance.now());
    if (verdict === "tell") note(TOO_MANY);
    if (verdict !== "yes") return;
    const answer = options.answer(state, bytes, address.replace(/%.*$/, ""));
    state = answer.state;
    for (const said of answer.notes) note(said);
    if (answer.reply === undefined) return;
    const { to } = answer.reply;
    socket.send(answer.reply.bytes, to.port, to.address, (error) => {
      if (error !== null) failed(`The answer to ${to.address} was not sent`, error);
    });
  });
  const server: UdpServer<State> = {
    state: () => state,
    close: () =>
      new Promise((resolve) => {
        if (closed) return resolve();
        closed = true;
        socket.close(() => resolve());
      }),
  };
  return new Promise((resolve, reject) => {
    let taken = false;
    socket.on("error", (error) => {
      if (taken) return failed("The socket failed", error);
      closed = true;
      closeSync(fd);
      reject(error);
    });
    socket.once("listening", () => {
      taken = true;
      resolve(server);
    });
    socket.bind({ fd, exclusive: true });
  });
}

/** Said once for each time that a guest sends more than is read. */
export const TOO_MANY: ServeNote = {
  kind: "failed",
  message: "The guest sends more messages than are read; the rest is dropped until it slows down.",
};
