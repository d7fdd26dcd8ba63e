import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { eventually, type TestHost } from "../daemon.ts";

const CLIENT = new URL("../websocket-client.ts", import.meta.url).pathname;

/** A guest's console by the API's websocket. */
export interface ConsoleSocket {
  /** What was shown so far. */
  shown(): string;
  type(text: string): void;
  /** Waits until that is shown; fails at once where the connection has ended before. */
  until(pattern: RegExp): Promise<void>;
  /** What the client told of the connection: `open PROTOCOL`, `closed CODE`. */
  told(): string;
  untilTold(pattern: RegExp): Promise<void>;
  /** Ends the client without a word. */
  kill(): void;
}

/** How the API is reached: its address and token, out of the kubeconfig. */
export function doorOf(host: TestHost): { readonly server: string; readonly token: string } {
  const config: {
    readonly clusters: readonly { readonly cluster: { readonly server: string } }[];
    readonly users: readonly { readonly user: { readonly token: string } }[];
  } = parse(readFileSync(join(host.dataDir, "kubeconfig"), "utf8"));
  return { server: config.clusters[0]?.cluster.server ?? "", token: config.users[0]?.user.token ?? "" };
}

/** Opens the console of a VMI, its screen, or one of its ports; `how` is where the token goes. */
export function openConsoleSocket(
  host: TestHost,
  name: string,
  options: {
    readonly protocol?: string;
    readonly token?: string;
    readonly how?: "header" | "protocol";
    readonly subresource?: "console" | "vnc" | `portforward/${string}`;
  } = {},
): ConsoleSocket {
  const door = doorOf(host);
  const { protocol = "plain.kubevirt.io", token = door.token, how = "header", subresource = "console" } = options;
  const path = `/apis/subresources.kubevirt.io/v1/namespaces/default/virtualmachineinstances/${name}/${subresource}`;
  const url = door.server.replace(/^https/, "wss") + path;
  const child = host.start([
    "env",
    `NODE_EXTRA_CA_CERTS=${join(host.dataDir, "pki", "ca.crt")}`,
    process.execPath,
    CLIENT,
    url,
    protocol,
    token,
    how,
  ]);
  let shown = "";
  let told = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    shown += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    told += text;
  });
  return {
    shown: () => shown,
    told: () => told,
    type: (text) => void child.stdin?.write(text),
    until: async (pattern) => {
      const seen = await eventually(`${pattern} on the ${subresource}`, async () => {
        if (pattern.test(shown)) return "it is there";
        return /^(closed|failed)/m.test(told) && "the connection has ended";
      }).catch((thrown: unknown) => String(thrown));
      assert.match(shown, pattern, `${seen}; the client says ${JSON.stringify(told)}`);
    },
    untilTold: (pattern) =>
      eventually(`${pattern} of the console's websocket`, () => Promise.resolve(pattern.test(told))).then(() => {}),
    kill: () => void child.kill("SIGKILL"),
  };
}
