import type { ServerResponse } from "node:http";

/** A client that takes nothing for so long while there is more for it is cut off. */
const STALL_MS = 60_000;

/**
 * Answers with a text piece by piece, each asked for when the client has taken what came before it. The headers go at once:
 * a text that goes on may have nothing to say yet.
 */
export async function answerPieces(response: ServerResponse, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  response.writeHead(200, { "content-type": "text/plain", "cache-control": "no-cache, private" });
  response.flushHeaders();
  for await (const piece of pieces) {
    if (response.destroyed) return;
    if (!response.write(piece)) await taken(response);
  }
  response.end();
}

/** Settles when the client has taken what was written, or is gone. */
function taken(response: ServerResponse): Promise<void> {
  if (response.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const stalled = setTimeout(() => response.destroy(), STALL_MS);
    const over = (): void => {
      clearTimeout(stalled);
      response.off("drain", over).off("close", over);
      resolve();
    };
    response.on("drain", over).on("close", over);
  });
}
