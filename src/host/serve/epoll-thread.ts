import { parentPort, workerData } from "node:worker_threads";
import { callFault, errnoName, lastErrno, libc } from "../linux/libc.ts";
import { EPOLL_EVENT } from "./readiness.ts";

// The thread of readiness.ts: blocks in epoll_wait and posts the tokens of what is ready, until token 0 is.

const epoll_wait = libc<[epoll: number, events: Uint8Array, maximum: number, timeout: number], number>(
  "int epoll_wait(int epoll, void *events, int maximum, int timeout)",
);
const MAXIMUM = 64;
const FOR_EVER = -1;

function epollOf(data: unknown): number {
  if (typeof data === "object" && data !== null && "epoll" in data && typeof data.epoll === "number") return data.epoll;
  throw new TypeError("this module runs as a thread of readiness.ts");
}

const epoll = epollOf(workerData);
const events = new Uint8Array(EPOLL_EVENT.size * MAXIMUM);
const view = new DataView(events.buffer);

for (let stopped = false; !stopped; ) {
  const count = epoll_wait(epoll, events, MAXIMUM, FOR_EVER);
  const errno = count < 0 ? lastErrno() : 0;
  if (count < 0 && errnoName(errno) === "EINTR") continue;
  if (count < 0) throw callFault("epoll_wait", "the raw sockets", errno);
  const tokens = Array.from({ length: count }, (_, index) =>
    view.getUint32(index * EPOLL_EVENT.size + EPOLL_EVENT.data, true),
  );
  stopped = tokens.includes(0);
  if (!stopped) parentPort?.postMessage(tokens);
}
