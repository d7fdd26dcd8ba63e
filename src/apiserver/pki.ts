import { createPrivateKey, randomBytes, webcrypto, X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import type { Logger } from "pino";
import { Fault } from "../model/fault.ts";
import { ownFolder, writePrivateFile } from "./data-folder.ts";
import { provideReflectMetadata } from "./reflect-metadata.ts";
import type { Role } from "./roles.ts";

/** What the server proves itself with, and what its clients prove themselves with. PEM texts. */
export interface Credentials {
  readonly caPem: string;
  readonly certPem: string;
  readonly keyPem: string;
  /** What each role's holder shows. */
  readonly tokens: Readonly<Record<Role, string>>;
  /** When the server certificate ends, in milliseconds since the epoch. */
  readonly validTo: number;
}

const DAY_MS = 86_400_000;
const CA_DAYS = 3_650;
const SERVER_DAYS = 365;
const RENEW_DAYS = 30;
/** The names that every server certificate has. */
const LOOPBACK = ["localhost", "127.0.0.1", "::1"];
const KEY_ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/**
 * Reads the credentials below `folder` (0700, files 0600), or makes what is missing or about to expire: a CA (EC P-256),
 * a server certificate for the loopback names and `addresses`, a token of 256 bits for each role.
 *
 * A CA that must be made anew makes every kubeconfig of before useless; that is logged.
 *
 * @throws Fault PB6006 where a file is there and cannot be read.
 */
export async function loadCredentials(
  folder: string,
  now: number,
  log: Logger,
  addresses: readonly string[] = [],
): Promise<Credentials> {
  ownFolder(folder, log);
  const ca = (await readPair(folder, "ca", now + RENEW_DAYS * DAY_MS)) ?? (await makeCa(folder, now, log));
  const held = await readPair(folder, "server", now + RENEW_DAYS * DAY_MS);
  const hosts = [...new Set([...LOOPBACK, ...addresses])];
  const server =
    held?.certificate.checkIssued(ca.certificate) && isFor(held.certificate, hosts)
      ? held
      : await makeServerPair(folder, ca, hosts, now, log);
  return {
    caPem: ca.certPem,
    certPem: server.certPem,
    keyPem: server.keyPem,
    tokens: { admin: loadToken(folder, TOKEN_FILES.admin), view: loadToken(folder, TOKEN_FILES.view) },
    validTo: Date.parse(server.certificate.validTo),
  };
}

const TOKEN_FILES: Readonly<Record<Role, string>> = { admin: "token", view: "token-view" };

/** True where the certificate proves each of these names and addresses. */
function isFor(certificate: X509Certificate, hosts: readonly string[]): boolean {
  return hosts.every(
    (host) => (isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)) !== undefined,
  );
}

interface Pair {
  readonly certPem: string;
  readonly keyPem: string;
  readonly certificate: X509Certificate;
}

async function readPair(folder: string, name: string, mustLastTo: number): Promise<Pair | undefined> {
  const [certFile, keyFile] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
  if (!existsSync(certFile) || !existsSync(keyFile)) return undefined;
  const [certPem, keyPem] = [readText(certFile), readText(keyFile)];
  try {
    const certificate = new X509Certificate(certPem);
    if (!certificate.checkPrivateKey(createPrivateKey(keyPem))) throw new Error("the key is not the certificate's");
    return Date.parse(certificate.validTo) < mustLastTo ? undefined : { certPem, keyPem, certificate };
  } catch (thrown) {
    throw unusable(certFile, thrown);
  }
}

function loadToken(folder: string, name: string): string {
  const file = join(folder, name);
  if (!existsSync(file)) writePrivateFile(file, `${randomBytes(32).toString("base64url")}\n`);
  const token = readText(file).trim();
  if (!/^[\w-]{32,}$/.test(token)) throw unusable(file, new Error("it holds no token of at least 32 characters"));
  return token;
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (thrown) {
    throw unusable(file, thrown);
  }
}

function unusable(file: string, thrown: unknown): Fault {
  return new Fault("PB6006", `${file} cannot be used: ${thrown instanceof Error ? thrown.message : String(thrown)}`, {
    place: file,
    cure: "Remove it, and a new one is made at the next start; kubeconfigs of before are then useless.",
    cause: thrown,
  });
}

async function makeCa(folder: string, now: number, log: Logger): Promise<Pair> {
  const x509 = await loadX509();
  const keys = await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ["sign", "verify"]);
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=patchbay CA ${randomBytes(4).toString("hex")}`,
    notBefore: new Date(now - 3_600_000),
    notAfter: new Date(now + CA_DAYS * DAY_MS),
    signingAlgorithm: KEY_ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  log.info({ folder }, "made a certificate authority");
  return keepPair(folder, "ca", made.toString("pem"), keys.privateKey);
}

async function makeServerPair(
  folder: string,
  ca: Pair,
  hosts: readonly string[],
  now: number,
  log: Logger,
): Promise<Pair> {
  const x509 = await loadX509();
  const keys = await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ["sign", "verify"]);
  const caKey = createPrivateKey(ca.keyPem).export({ format: "der", type: "pkcs8" });
  const issuer = new x509.X509Certificate(ca.certPem);
  const lasts = Math.min(now + SERVER_DAYS * DAY_MS, Date.parse(ca.certificate.validTo));
  const made = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: "CN=patchbay API",
    issuer: issuer.subject,
    notBefore: new Date(now - 3_600_000),
    notAfter: new Date(lasts),
    signingAlgorithm: KEY_ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: await webcrypto.subtle.importKey("pkcs8", caKey, KEY_ALGORITHM, false, ["sign"]),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth], false),
      new x509.SubjectAlternativeNameExtension(
        hosts.map((host) => ({ type: isIP(host) === 0 ? ("dns" as const) : ("ip" as const), value: host })),
        false,
      ),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  log.info({ folder, until: new Date(lasts).toISOString() }, "made a server certificate");
  return keepPair(folder, "server", made.toString("pem"), keys.privateKey);
}

async function keepPair(folder: string, name: string, certPem: string, key: webcrypto.CryptoKey): Promise<Pair> {
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key));
  const keyPem = createPrivateKey({ key: der, format: "der", type: "pkcs8" }).export({ format: "pem", type: "pkcs8" });
  // The key goes first: a certificate without its key is made anew, and one beside a foreign key would be refused.
  const keyText = keyPem.toString();
  writePrivateFile(join(folder, `${name}.key`), keyText);
  writePrivateFile(join(folder, `${name}.crt`), `${certPem}\n`);
  return { certPem: `${certPem}\n`, keyPem: keyText, certificate: new X509Certificate(certPem) };
}

function serialNumber(): string {
  // Positive (RFC 5280 §4.1.2.2): the first bit is clear.
  const bytes = randomBytes(16);
  bytes.writeUInt8((bytes.readUInt8(0) & 0x7f) | 0x40, 0);
  return bytes.toString("hex");
}

async function loadX509() {
  provideReflectMetadata();
  return await import("@peculiar/x509");
}
