import { createSocket } from "node:dgram";
import { closeSync } from "node:fs";
import type { Answer, ServeNote } from "../../model/serve/note.ts";
import { Allowance } from "./allowance.ts";

/** A running server on one UDP socket. */
export interface UdpServer<State> {
  state(): State;
  close(): Promise<void>;
}

/** What a server of IPv4 datagrams is made of: an open bound socket, which it takes over, and a pure decision. */
export interface Udp4ServerOptions<State> {
  readonly fd: number;
  readonly initial: State;
  answer(state: State, bytes: Uint8Array): Answer<State>;
  note(note: ServeNote): void;
}

/** Serves IPv4 datagrams until it is closed. What fails later (a datagram that cannot be sent) becomes a note. */
export function serveUdp4<State>(options: Udp4ServerOptions<State>): Promise<UdpServer<State>> {
  const { fd, note } = options;
  const socket = createSocket({ type: "udp4" });
  const allowance = new Allowance();
  let state = options.initial;
  let closed = false;
  const failed = (what: string, error: Error): void => {
    if (!closed) note({ kind: "failed", message: `${what}: ${error.message}.` });
  };
  socket.on("message", (bytes) => {
    const verdict = allowance.take(performance.now());
    if (verdict === "tell") note(TOO_MANY);
    if (verdict !== "yes") return;
    const answer = options.answer(state, bytes);
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

/** Packets read at one go: what is left wakes the main thread again, after the other guests had their turn. */
export const BATCH = 32;

/** Said once for each time that a guest sends more than is read. */
export const TOO_MANY: ServeNote = {
  kind: "failed",
  message: "The guest sends more messages than are read; the rest is dropped until it slows down.",
};
