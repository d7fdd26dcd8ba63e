import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { CniHost } from "../../src/host/cni/invocation.ts";
import { dumpNetns, type NetnsDump } from "../../src/host/linux/dump.ts";
import { createNetns, deleteNetns, within } from "../../src/host/linux/netns.ts";
import { Fault } from "../../src/model/fault.ts";
import { type CniNetwork, parseCniObject } from "../../src/model/networks/cni-config.ts";

/** A machine of its own: a namespace that stands for the host, pods beside it, and a data folder. */
export interface TestHost {
  readonly netns: string;
  readonly dataDir: string;
  readonly cni: CniHost;
  /** Makes a pod's namespace and returns its path. */
  readonly pod: (name: string) => string;
  readonly removePod: (name: string) => void;
  /** Runs ip(8) in a namespace. */
  readonly ip: (netns: string, ...args: string[]) => void;
  readonly dump: () => NetnsDump;
}

let count = 0;

/** Everything goes away with the test. */
export function testHost(t: TestContext): TestHost {
  const prefix = `pbcni-${process.pid}-${count++}`;
  const netns = createNetns(`${prefix}-host`);
  const dataDir = mkdtempSync(join(tmpdir(), "pbcni-"));
  const names = new Set([`${prefix}-host`]);
  t.after(() => {
    for (const name of names) deleteNetns(name);
    rmSync(dataDir, { recursive: true, force: true });
  });
  within(netns, () => {
    // The bridge plugin switches forwarding on and leaves it so.
    for (const key of ["ipv4/ip_forward", "ipv6/conf/all/forwarding"]) writeFileSync(`/proc/sys/net/${key}`, "1");
  });
  return {
    netns,
    dataDir,
    cni: { cacheDir: join(dataDir, "cni"), hostNetns: netns },
    pod: (name) => {
      names.add(`${prefix}-${name}`);
      return createNetns(`${prefix}-${name}`);
    },
    removePod: (name) => deleteNetns(`${prefix}-${name}`),
    ip: (where, ...args) => {
      const run = within(where, () => spawnSync("ip", args, { encoding: "utf8" }));
      assert.equal(run.status, 0, `ip ${args.join(" ")}: ${run.stderr}`);
    },
    dump: () => dumpNetns(netns),
  };
}

export function networkOf(value: unknown): CniNetwork {
  const { network, problems } = parseCniObject(value);
  assert.ok(network !== undefined, JSON.stringify(problems));
  return network;
}

/** The addresses that host-local has given out and not got back. */
export function leases(dir: string): string[] {
  return readdirSync(dir).filter((name) => name !== "lock" && !name.startsWith("last_reserved_ip"));
}

export async function fault(running: Promise<unknown>, code: string): Promise<Fault> {
  const thrown: unknown = await running.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  assert.ok(thrown instanceof Fault, `no fault: ${String(thrown)}`);
  assert.equal(thrown.code, code, thrown.message);
  return thrown;
}
