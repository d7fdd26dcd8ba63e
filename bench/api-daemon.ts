/**
 * The API server as the daemon runs it, with every kind and the admission of KubeVirt's rules, without controllers and
 * node: they would start ten thousand guests. `node bench/api-daemon.ts FOLDER`; prints one line of JSON when it serves
 * (a Target) and ends when stdin does.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pino } from "pino";
import { startApiServer } from "../src/apiserver/server.ts";
import { makeKubeClient } from "../src/client/client.ts";
import { makeAdmission } from "../src/control/admission.ts";
import { makeConfiguration } from "../src/control/configuration.ts";
import { withMigrations } from "../src/control/migration-admission.ts";
import { makeSurroundings } from "../src/control/surroundings.ts";
import { withWholePath } from "../src/control/whole-path-admission.ts";
import { servedDefinitions } from "../src/model/api/kinds.ts";
import type { Target } from "./api-connection.ts";

const [folder = ""] = process.argv.slice(2);
const log = pino({ level: "warn" }, pino.destination(2));
const configuration = makeConfiguration(log);
const surroundings = makeSurroundings(log);
const server = await startApiServer({
  dataDir: folder,
  port: 0,
  definitions: servedDefinitions,
  admission: withMigrations(
    withWholePath(configuration.admission(makeAdmission(() => configuration.current())), surroundings, () =>
      configuration.current(),
    ),
    () => client,
  ),
  log,
});
const client = makeKubeClient({
  server: server.url,
  caPem: server.caPem,
  token: server.ownToken,
  namespace: "default",
});
await Promise.all([configuration.follow(client), surroundings.follow(client)]);
const target: Target = {
  port: server.port,
  caPem: server.caPem,
  token: readFileSync(join(folder, "pki", "token"), "utf8").trim(),
};
process.stdout.write(`${JSON.stringify(target)}\n`);
process.stdin.resume();
process.stdin.once("end", () => {
  configuration.close();
  surroundings.close();
  client.close();
  void server.close();
});
