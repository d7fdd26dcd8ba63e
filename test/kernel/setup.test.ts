import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { needs } from "../needs.ts";

const root = join(import.meta.dirname, "../..");

/** Packages that are taken away; small ones, and one of each kind of probe. */
const packages = ["cpio", "passt", "containernetworking-plugins"];

/**
 * A shell script in a copy of this machine: its root seen through an overlay in a mount namespace of its own, so that
 * removing and installing packages there changes nothing here.
 */
function inCopy(
  folder: string,
  script: string,
): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  const enter = `set -e
    mount -t tmpfs patchbay-test '${folder}'
    cd '${folder}' && mkdir upper work root
    mount -t overlay patchbay-test -o 'lowerdir=/,upperdir=${folder}/upper,workdir=${folder}/work' root
    for part in proc sys dev; do mount --rbind /$part root/$part; done
    exec chroot root /bin/bash -eu -c "$1"`;
  const run = spawnSync("unshare", ["--mount", "--propagation", "private", "sh", "-c", enter, "sh", script], {
    encoding: "utf8",
    timeout: 220_000,
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  });
  return { status: run.status, stdout: run.stdout, stderr: run.stderr };
}

test("setup brings what was taken from a machine, starts no daemon, and leaves the machine's policy", (t) => {
  if (!needs(t, "root", "overlay", "debianMirror")) return;
  const folder = mkdtempSync(join(tmpdir(), "patchbay-setup-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const { status, stdout, stderr } = inCopy(
    folder,
    `cd '${root}'
     printf '#!/bin/sh\\n# of this machine\\nexit 101\\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d
     apt-get purge -y ${packages.join(" ")} >/dev/null 2>&1
     userdel patchbay-qemu
     rm -rf /var/lib/apt/lists/*
     if ./patchbay setup --check; then echo 'the check found nothing missing'; exit 9; fi
     ./patchbay setup
     ./patchbay setup --check
     cat /usr/sbin/policy-rc.d
     ls /usr/sbin/policy-rc.d* /run/patchbay* 2>/dev/null || true`,
  );
  assert.equal(status, 0, `${stdout}${stderr}`);
  assert.match(stdout, /MISSING +patchbay-qemu.*MISSING +cpio/s);
  assert.match(stderr, /apt-get update\n.*apt-get install --no-install-recommends .*cpio/s);
  assert.match(stdout, /This machine has everything.*# of this machine\nexit 101\n\/usr\/sbin\/policy-rc\.d\n$/s);
});

test("setup without a network ends with apt's own words", (t) => {
  if (!needs(t, "root", "overlay", "netns")) return;
  const folder = mkdtempSync(join(tmpdir(), "patchbay-setup-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const { status, stdout, stderr } = inCopy(
    folder,
    `cd '${root}'
     apt-get purge -y cpio >/dev/null 2>&1
     rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb
     exec unshare --net ./patchbay setup`,
  );
  assert.equal(status, 1, `${stdout}${stderr}`);
  assert.match(stderr, /PB6902: apt-get ended with status/);
});

test("an interrupted setup puts the machine's policy back, and the next one goes on", (t) => {
  if (!needs(t, "root", "overlay", "debianMirror")) return;
  const folder = mkdtempSync(join(tmpdir(), "patchbay-setup-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const { status, stdout, stderr } = inCopy(
    folder,
    `cd '${root}'
     printf '# of this machine\n' > /usr/sbin/policy-rc.d
     apt-get purge -y cpio >/dev/null 2>&1
     rm -rf /var/lib/apt/lists/*
     ./patchbay setup & setup=$!
     until grep -q 'exit 101' /usr/sbin/policy-rc.d && [ -e /run/patchbay-setup.pid ]; do sleep 0.02; done
     ./patchbay setup && exit 8 || echo "meanwhile another one ended with $?"
     kill -TERM $setup
     wait $setup && exit 9 || echo "it ended with $?"
     cat /usr/sbin/policy-rc.d
     ls /usr/sbin/policy-rc.d* /run/patchbay* 2>/dev/null || true
     ./patchbay setup`,
  );
  assert.equal(status, 0, `${stdout}${stderr}`);
  assert.match(
    stdout,
    /^meanwhile another one ended with 1\nit ended with 1\n# of this machine\n\/usr\/sbin\/policy-rc\.d\n/,
  );
  assert.match(stderr, /PB6903: Another setup, process \d+.*PB6902: Setup was interrupted/s);
});

test("where setup may not or cannot install it changes nothing and says what to do", (t) => {
  if (!needs(t, "root", "overlay")) return;
  const folder = mkdtempSync(join(tmpdir(), "patchbay-setup-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const { status, stdout, stderr } = inCopy(
    folder,
    `cd '${root}'
     rm -f /usr/bin/passt /usr/bin/passt.avx2
     setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=+dac_read_search --ambient-caps=+dac_read_search ./patchbay setup && exit 7 || echo "not root: $?"
     rm /usr/bin/apt-get
     ./patchbay setup && exit 8 || echo "not Debian: $?"`,
  );
  assert.equal(status, 0, `${stdout}${stderr}`);
  assert.equal(stdout, "not root: 1\nnot Debian: 1\n");
  assert.match(stderr, /PB6900: .*sudo \.\/patchbay setup.*passt: apt-get install --no-install-recommends passt/s);
  assert.match(stderr, /PB6901: Setup installs with Debian's apt-get, and .* has none.*passt/s);
});
