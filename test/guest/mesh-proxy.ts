/**
 * Stands in for Istio's proxy in a pod: `node test/guest/mesh-proxy.ts POD_ADDRESS GUEST_PORT OUT_HOST OUT_PORT`.
 *
 * What is redirected to 15006 goes to the pod's own address from 127.0.0.6, what is redirected to 15001 to OUT_HOST. Says
 * "inbound PORT" or "outbound PORT" on stderr for each connection, with its client's port, and "listening" first.
 */
import { connect, createServer, type Socket } from "node:net";

const [, , podAddress = "", guestPort = "", outHost = "", outPort = ""] = process.argv;

const ways = [
  {
    port: 15006,
    says: "inbound",
    onward: () => connect({ host: podAddress, port: Number(guestPort), localAddress: "127.0.0.6" }),
  },
  { port: 15001, says: "outbound", onward: () => connect({ host: outHost, port: Number(outPort) }) },
] as const;

function join(one: Socket, other: Socket): void {
  one.pipe(other);
  one.on("error", () => other.destroy());
  one.on("close", () => other.destroy());
}

let waiting = ways.length;
for (const { port, says, onward } of ways) {
  createServer((socket) => {
    process.stderr.write(`${says} ${socket.remotePort}\n`);
    const next = onward();
    join(socket, next);
    join(next, socket);
  }).listen(port, "0.0.0.0", () => {
    waiting -= 1;
    if (waiting === 0) process.stderr.write("listening\n");
  });
}
