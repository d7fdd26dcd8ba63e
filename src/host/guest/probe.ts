import { request as requestPlain } from "node:http";
import { request as requestSecure } from "node:https";
import { connect } from "node:net";

/** Why something that was probed is not well; undefined where it is. */
export type Ailment = string | undefined;

/** Well where the port takes a connection in time. */
export function probeTcp(host: string, port: number, timeoutMs: number): Promise<Ailment> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (why: Ailment): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(why);
    };
    const timer = setTimeout(() => end("nothing answers in time"), timeoutMs);
    socket.once("connect", () => end(undefined));
    socket.once("error", (error) => end(error.message));
  });
}

/** What is asked for by HTTP. */
export interface HttpProbe {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** HTTPS, whatever the certificate. */
  readonly secure: boolean;
  readonly headers: readonly (readonly [string, string])[];
}

/** Well where an answer from 200 to 399 comes in time; its body is not read. */
export async function probeHttp(probe: HttpProbe, timeoutMs: number): Promise<Ailment> {
  try {
    return await askHttp(probe, timeoutMs);
  } catch (thrown) {
    // A path or header that no request can have.
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
}

function askHttp({ host, port, path, secure, headers }: HttpProbe, timeoutMs: number): Promise<Ailment> {
  return new Promise((resolve) => {
    const asked = { host, port, path, headers: Object.fromEntries(headers), agent: false, rejectUnauthorized: false };
    const request = (secure ? requestSecure : requestPlain)(asked, ({ statusCode = 0 }) => {
      end(statusCode >= 200 && statusCode < 400 ? undefined : `the answer is ${statusCode}`);
    });
    const end = (why: Ailment): void => {
      clearTimeout(timer);
      request.destroy();
      resolve(why);
    };
    const timer = setTimeout(() => end("no answer comes in time"), timeoutMs);
    request.on("error", (error) => end(error.message));
    request.end();
  });
}
