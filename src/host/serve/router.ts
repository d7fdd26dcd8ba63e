import { closeSync } from "node:fs";
import { sentence, toFault } from "../../model/fault.ts";
import { encodeNd } from "../../model/packets/icmp6.ts";
import type { ServeNote } from "../../model/serve/note.ts";
import { ALL_NODES, advertisement, answerSolicitation, nextAdvertisement } from "../../model/serve/router.ts";
import type { RouterAdvertisementService } from "../../model/wiring/wiring.ts";
import { type LinkSocket, receive6, send6 } from "../linux/sockets.ts";
import { Allowance } from "./allowance.ts";
import { watchReadable } from "./readiness.ts";
import { BATCH, TOO_MANY } from "./udp-server.ts";

/** A running sender of router advertisements. */
export interface Router {
  close(): void;
}

/**
 * Answers router solicitations and advertises on its own (see {@link nextAdvertisement}); takes the socket over.
 *
 * Closing it is silent: an advertisement with lifetime 0 would take the default route from a guest that goes on
 * running while the daemon starts again.
 */
export function serveRouter(
  service: RouterAdvertisementService,
  socket: LinkSocket,
  note: (note: ServeNote) => void,
): Router {
  const allowance = new Allowance();
  let sent = 0;
  let timer: NodeJS.Timeout | undefined;
  const failed = (what: string, thrown: unknown): void =>
    note({ kind: "failed", message: `${what}: ${sentence(toFault(thrown, "PB4040"))}` });

  const send = (bytes: Uint8Array, to: string): boolean => {
    try {
      send6(socket, bytes, to);
      return true;
    } catch (thrown) {
      failed(`The router advertisement to ${to} was not sent`, thrown);
      return false;
    }
  };
  const advertise = (): void => {
    if (send(encodeNd(advertisement(service)), ALL_NODES)) {
      note({ kind: "advertised", message: "Advertised to all nodes." });
    }
    sent += 1;
    schedule();
  };
  const schedule = (): void => {
    timer = setTimeout(advertise, nextAdvertisement(service, sent, Math.random()));
    timer.unref();
  };
  const read = (): void => {
    try {
      for (let count = 0; count < BATCH; count += 1) {
        const packet = receive6(socket.fd);
        if (packet === undefined) return;
        const verdict = allowance.take(performance.now());
        if (verdict === "tell") note(TOO_MANY);
        if (verdict !== "yes") continue;
        const answer = answerSolicitation(service, packet.bytes, packet.source);
        if (answer.reply !== undefined && !send(answer.reply.bytes, answer.reply.to)) continue;
        for (const said of answer.notes) note(said);
      }
    } catch (thrown) {
      failed("Router solicitations cannot be read", thrown);
    }
  };

  const watch = watchReadable(socket.fd, read, (thrown) => failed("Router solicitations are no longer heard", thrown));
  schedule();
  return {
    close() {
      clearTimeout(timer);
      watch.end();
      closeSync(socket.fd);
    },
  };
}
