import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, test } from "node:test";
import { pino } from "pino";
import { isFault } from "../model/fault.ts";
import { loadCredentials } from "./pki.ts";

const base = mkdtempSync(join(tmpdir(), "patchbay-pki-"));
after(() => rmSync(base, { recursive: true }));

const log = pino({ level: "silent" });
const DAY_MS = 86_400_000;
const NOW = Date.parse("2026-01-01T00:00:00Z");

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(base, "pki of-"));
});

describe("credentials", () => {
  test("are made once, and are the same at the next start", async () => {
    const first = await loadCredentials(folder, NOW, log);
    assert.deepEqual(await loadCredentials(folder, NOW + DAY_MS, log), first);
    const [ca, server] = [new X509Certificate(first.caPem), new X509Certificate(first.certPem)];
    assert.ok(ca.ca && ca.verify(ca.publicKey));
    assert.ok(!server.ca && server.verify(ca.publicKey) && server.checkIssued(ca));
    for (const host of ["localhost"]) assert.equal(server.checkHost(host), host);
    for (const address of ["127.0.0.1", "::1"]) assert.equal(server.checkIP(address), address);
    assert.equal(server.checkHost("example.com"), undefined);
    for (const token of Object.values(first.tokens)) assert.ok(token.length >= 43);
    assert.notEqual(first.tokens.admin, first.tokens.view);
  });

  test("get a new server certificate of the same CA a month before the old one ends", async () => {
    const first = await loadCredentials(folder, NOW, log);
    const held = await loadCredentials(folder, NOW + 334 * DAY_MS, log);
    assert.equal(held.certPem, first.certPem);
    const renewed = await loadCredentials(folder, NOW + 336 * DAY_MS, log);
    assert.notEqual(renewed.certPem, first.certPem);
    assert.deepEqual([renewed.caPem, renewed.tokens], [first.caPem, first.tokens]);
    assert.ok(new X509Certificate(renewed.certPem).verify(new X509Certificate(first.caPem).publicKey));
  });

  test("prove further addresses: the certificate is made anew when one is missing, and not when it has more", async () => {
    const first = await loadCredentials(folder, NOW, log);
    const wider = await loadCredentials(folder, NOW, log, ["192.0.2.7", "2001:db8::7"]);
    const certificate = new X509Certificate(wider.certPem);
    for (const address of ["127.0.0.1", "::1", "192.0.2.7", "2001:db8::7"]) {
      assert.equal(certificate.checkIP(address), address);
    }
    assert.deepEqual([wider.caPem, wider.tokens], [first.caPem, first.tokens]);
    assert.equal((await loadCredentials(folder, NOW, log)).certPem, wider.certPem);
  });

  test("whose CA was removed are made anew, all but the tokens", async () => {
    const first = await loadCredentials(folder, NOW, log);
    for (const file of ["ca.crt", "ca.key"]) rmSync(join(folder, file));
    const second = await loadCredentials(folder, NOW, log);
    assert.notEqual(second.caPem, first.caPem);
    assert.ok(new X509Certificate(second.certPem).verify(new X509Certificate(second.caPem).publicKey));
    assert.deepEqual(second.tokens, first.tokens);
  });

  test("lie in files of the owner's; an empty folder that others can enter is tightened, one with keys refused", async () => {
    chmodSync(folder, 0o755);
    await loadCredentials(folder, NOW, log);
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    for (const file of ["ca.key", "server.key", "token", "token-view"]) {
      assert.equal(statSync(join(folder, file)).mode & 0o777, 0o600, file);
    }
    chmodSync(folder, 0o750);
    await assert.rejects(loadCredentials(folder, NOW, log), (thrown) => {
      assert.ok(isFault(thrown, "PB6001"));
      assert.match(thrown.message, /mode is 0750/);
      assert.ok(thrown.cure?.includes(`chmod 700 '${folder}'`), thrown.cure);
      return true;
    });
  });

  const damages: readonly [string, string, string][] = [
    ["a certificate that is none", "ca.crt", "nothing"],
    ["a key that is none", "server.key", "nothing"],
    ["a token that is too short", "token", "x"],
    ["a view token that is none", "token-view", " "],
  ];
  for (const [name, file, content] of damages) {
    test(`with ${name} are refused, and nothing is replaced`, async () => {
      await loadCredentials(folder, NOW, log);
      writeFileSync(join(folder, file), content);
      await assert.rejects(
        loadCredentials(folder, NOW, log),
        (thrown) => isFault(thrown, "PB6006") && thrown.place === join(folder, file.replace(".key", ".crt")),
      );
      assert.equal(readFileSync(join(folder, file), "utf8"), content);
    });
  }

  test("with a key of another certificate are refused", async () => {
    const { keyPem } = await loadCredentials(folder, NOW, log);
    writeFileSync(join(folder, "ca.key"), keyPem);
    await assert.rejects(loadCredentials(folder, NOW, log), (thrown) => isFault(thrown, "PB6006"));
  });
});
