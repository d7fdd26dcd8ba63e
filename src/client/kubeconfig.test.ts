import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { stringify } from "yaml";
import { isFault } from "../model/fault.ts";
import { loadKubeconfig } from "./kubeconfig.ts";

const folder = mkdtempSync(join(tmpdir(), "patchbay-kubeconfig-"));
after(() => rmSync(folder, { recursive: true }));

function written(document: unknown): string {
  const file = join(folder, "config");
  writeFileSync(file, typeof document === "string" ? document : stringify(document));
  return file;
}

const base64 = (text: string) => Buffer.from(text).toString("base64");
const config = (cluster: object, user: object, context: object = {}) => ({
  apiVersion: "v1",
  kind: "Config",
  "current-context": "here",
  contexts: [{ name: "here", context: { cluster: "c", user: "u", ...context } }],
  clusters: [{ name: "c", cluster }],
  users: [{ name: "u", user }],
});

describe("a kubeconfig", () => {
  test("gives the current context's cluster and user", () => {
    const cluster = { server: "https://127.0.0.1:6443/", "certificate-authority-data": base64("CA") };
    assert.deepEqual(loadKubeconfig(written(config(cluster, { token: "t" }, { namespace: "vms" }))), {
      server: "https://127.0.0.1:6443",
      namespace: "vms",
      caPem: "CA",
      token: "t",
    });
  });

  test("may name files beside it", () => {
    writeFileSync(join(folder, "ca.crt"), "CA");
    writeFileSync(join(folder, "token"), "t\n");
    const cluster = { server: "https://[::1]:6443", "certificate-authority": "ca.crt" };
    const user = { tokenFile: "token", "client-certificate-data": base64("CERT"), "client-key-data": base64("KEY") };
    assert.deepEqual(loadKubeconfig(written(config(cluster, user))), {
      server: "https://[::1]:6443",
      namespace: "default",
      caPem: "CA",
      token: "t",
      clientCertPem: "CERT",
      clientKeyPem: "KEY",
    });
  });

  const refusals: readonly [string, unknown, RegExp][] = [
    ["that is no YAML", "a: [", /cannot be used/],
    ["that is empty", "", /no kubeconfig/],
    ["without a context", {}, /current-context/],
    ["whose context is missing", { "current-context": "x" }, /no context named "x"/],
    ["without a server", config({}, {}), /no server URL/],
    ["whose user runs a program", config({ server: "https://a" }, { exec: {} }), /authenticates by exec/],
    ["whose CA file is missing", config({ server: "https://a", "certificate-authority": "x" }, {}), /ENOENT/],
  ];
  for (const [name, document, message] of refusals) {
    test(`${name} is refused with its path`, () => {
      const file = written(document);
      assert.throws(
        () => loadKubeconfig(file),
        (thrown) => isFault(thrown, "PB6011") && thrown.place === file && message.test(thrown.message),
      );
    });
  }
});
