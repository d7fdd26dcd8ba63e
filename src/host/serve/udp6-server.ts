import { closeSync } from "node:fs";
import { sentence, toFault } from "../../model/fault.ts";
import type { Answer, ServeNote } from "../../model/serve/note.ts";
import { type LinkSocket, receive6, send6 } from "../linux/sockets.ts";
import { Allowance } from "./allowance.ts";
import { watchReadable } from "./readiness.ts";
import { BATCH, TOO_MANY, type UdpServer } from "./udp-server.ts";

/** What a UDP server of one link is made of: an open bound socket, which it takes over, and a pure decision. */
export interface Udp6ServerOptions<State> {
  readonly socket: LinkSocket;
  readonly initial: State;
  /** `source` is the sender's address without zone. */
  answer(state: State, bytes: Uint8Array, source: string): Answer<State>;
  note(note: ServeNote): void;
}

/**
 * Serves IPv6 datagrams of one link until it is closed. What fails later becomes a note.
 *
 * Not by node:dgram, which names the zone of a link-local sender after the interface that has its index in the daemon's
 * namespace, and loses the datagram where there is none.
 */
export function serveUdp6<State>(options: Udp6ServerOptions<State>): UdpServer<State> {
  const { socket, note } = options;
  const allowance = new Allowance();
  let state = options.initial;
  let closed = false;
  const failed = (what: string, thrown: unknown): void =>
    note({ kind: "failed", message: `${what}: ${sentence(toFault(thrown, "PB4040"))}` });

  const serve = (bytes: Uint8Array, source: string): void => {
    const answer = options.answer(state, bytes, source);
    state = answer.state;
    for (const said of answer.notes) note(said);
    if (answer.reply === undefined) return;
    const { to } = answer.reply;
    try {
      send6(socket, answer.reply.bytes, to.address, to.port);
    } catch (thrown) {
      failed(`The answer to ${to.address} was not sent`, thrown);
    }
  };
  const read = (): void => {
    try {
      for (let count = 0; count < BATCH; count += 1) {
        const packet = receive6(socket.fd);
        if (packet === undefined) return;
        const verdict = allowance.take(performance.now());
        if (verdict === "tell") note(TOO_MANY);
        if (verdict === "yes") serve(packet.bytes, packet.source);
      }
    } catch (thrown) {
      failed("The socket failed", thrown);
    }
  };

  const watch = watchReadable(socket.fd, read, (thrown) => failed("Requests are no longer heard", thrown));
  return {
    state: () => state,
    close() {
      if (closed) return Promise.resolve();
      closed = true;
      watch.end();
      closeSync(socket.fd);
      return Promise.resolve();
    },
  };
}
