/**
 * A websocket client for end-to-end tests, Node's own: `node test/websocket-client.ts URL PROTOCOL TOKEN how`.
 *
 * What comes is written to stdout, what is read from stdin is sent; on stderr `open PROTOCOL`, then `closed CODE`. `how` is
 * where the token goes: `header`, or `protocol` as browsers send it. NODE_EXTRA_CA_CERTS names the server's CA.
 */
const [, , url = "", protocol = "", token = "", how = "header"] = process.argv;

const asProtocol = `base64url.bearer.authorization.k8s.io.${Buffer.from(token).toString("base64url")}`;
const protocols = [...(protocol === "" ? [] : [protocol]), ...(how === "protocol" ? [asProtocol] : [])];
const headers = how === "header" ? { authorization: `Bearer ${token}` } : {};
// The second argument is undici's; the DOM's types know a list of protocols only.
const options: unknown = { protocols, headers };
const socket = new WebSocket(url, options as string[]);
socket.binaryType = "arraybuffer";
socket.addEventListener("open", () => {
  process.stderr.write(`open ${socket.protocol}\n`);
  process.stdin.on("data", (bytes) => socket.send(new Uint8Array(bytes)));
});
socket.addEventListener("message", ({ data }) => {
  process.stdout.write(data instanceof ArrayBuffer ? new Uint8Array(data) : String(data));
});
socket.addEventListener("close", ({ code, reason }) => {
  process.stderr.write(`closed ${code} ${reason}\n`);
  process.exit(0);
});
socket.addEventListener("error", () => process.stderr.write("failed\n"));
