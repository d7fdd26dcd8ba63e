import { once } from "node:events";
import { BlockList, connect, isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import type { Duplex } from "node:stream";
import { conflict } from "../control/vm-requests.ts";
import { ApiError, failure } from "../model/api/status.ts";
import type { Vmi } from "./api-access.ts";

const CONNECT_MS = 10_000;

/** Networks in which no guest is. */
const NEVER_GUESTS: readonly (readonly [address: string, prefix: number])[] = [
  ["0.0.0.0", 8],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["224.0.0.0", 3],
  ["::", 96],
  ["fe80::", 10],
  ["ff00::", 8],
];

/**
 * A TCP connection from this machine to a guest's port, as `virtctl port-forward` and `virtctl ssh` ask for it: to the
 * address of the VMI's first interface, as in KubeVirt. `path` is the port, and `tcp` where it says more.
 *
 * @throws ApiError 400, 403 for an address that is this machine's, 409 for a guest that is paused or has no address yet,
 *   500 with what the connection failed with
 */
export async function connectPort(vmi: Vmi, path: readonly string[]): Promise<Duplex> {
  const { name } = vmi.metadata;
  const [port = "", protocol = "tcp"] = path;
  const number = /^\d{1,5}$/.test(port) ? Number(port) : 0;
  if (number < 1 || number > 65_535) throw refusal(400, "BadRequest", `"${port}" is no port: 1 to 65535 are`);
  if (protocol !== "tcp") throw refusal(400, "BadRequest", `"${protocol}" is not forwarded: only tcp is`);
  if (vmi.status?.conditions?.some(({ type, status }) => type === "Paused" && status === "True") === true) {
    throw conflict({ name }, "VMI is paused", "virtualmachineinstance");
  }
  const host = vmi.status?.interfaces?.[0]?.ipAddress;
  if (host === undefined) {
    throw conflict({ name }, "VMI has no address on its first interface yet", "virtualmachineinstance");
  }
  if (isMachines(host)) {
    throw refusal(
      403,
      "Forbidden",
      `${host}, which the guest says that it has, is this machine's: nothing is forwarded to it`,
    );
  }
  const socket = connect({ host, port: number });
  try {
    await once(socket, "connect", { signal: AbortSignal.timeout(CONNECT_MS) });
    return socket;
  } catch (thrown) {
    socket.destroy();
    const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : String(thrown);
    const why = code === "ABORT_ERR" ? `no answer within ${CONNECT_MS / 1_000} s` : code;
    throw refusal(500, "InternalError", `dialing VM: ${host} port ${number}: ${why}`);
  }
}

/** A guest's agent may say any address; forwarded to one of these, a caller would speak with this machine's own services. */
function isMachines(host: string): boolean {
  const own = new BlockList();
  for (const [address, prefix] of NEVER_GUESTS) own.addSubnet(address, prefix, family(address));
  for (const { address } of Object.values(networkInterfaces()).flatMap((of) => of ?? [])) {
    own.addAddress(address, family(address));
  }
  return own.check(host, family(host));
}

function family(address: string): "ipv4" | "ipv6" {
  return isIPv6(address) ? "ipv6" : "ipv4";
}

function refusal(httpStatus: number, reason: string, message: string): ApiError {
  return new ApiError("PB6010", failure(httpStatus, reason, message));
}
