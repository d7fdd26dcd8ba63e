import assert from "node:assert/strict";
import { once } from "node:events";
import { chown, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { BLANK_IMAGE, blankManifest, makeBlankImage } from "../blank-guest.ts";
import { eventually, type Outcome, TestHost } from "../daemon.ts";
import { tracesOf } from "../guest/traces.ts";
import { needs } from "../needs.ts";
import { smallDisk } from "../small-disk.ts";

/** The clone may lie where only root can read, below /root say: an ordinary user who can read it is what is wanted. */
const READS_ALL = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"];
const sound = blankManifest({ name: "sound" });

/** Manifests that are wrong as they stand: what is written, and what has to be said of it. */
const wrongFiles: readonly {
  readonly what: string;
  readonly file: string;
  /** Absent: there is no such file. */
  readonly text?: string;
  readonly says: readonly RegExp[];
}[] = [
  {
    what: "no such file",
    file: "absent.yaml",
    says: [/PB1000: \S+absent\.yaml cannot be read: there is no such file/],
  },
  { what: "an empty file", file: "empty.yaml", text: "", says: [/PB1000: There is no manifest in \S+empty\.yaml/] },
  {
    what: "a syntax error",
    file: "syntax.yaml",
    text: sound.replace("metadata:", "metadata: [\n"),
    says: [/PB1001/, /syntax\.yaml:\d+:\d+/, /not valid YAML/],
  },
  { what: "bytes that are no text", file: "bytes.yaml", text: "\0\u0001\u0002", says: [/PB1001/, /bytes\.yaml:1:\d+/] },
  {
    what: "an unknown field",
    file: "unknown.yaml",
    text: sound.replace("masquerade:", "masquerad:"),
    says: [
      /PB1002/,
      /unknown\.yaml:\d+:\d+/,
      /\^{9}/,
      /spec\.domain\.devices\.interfaces\[0\]\.masquerad is not a known field/,
      /did you mean "masquerade"\?/,
    ],
  },
  {
    what: "a value of the wrong type",
    file: "type.yaml",
    text: sound.replace("name: sound", "name: [sound]"),
    says: [/PB1003/, /type\.yaml:\d+:\d+/, /metadata\.name is a list/],
  },
  {
    what: "an unknown kind",
    file: "kind.yaml",
    text: sound.replace("VirtualMachineInstance", "VirtualMachineInstence"),
    says: [/PB1009/, /did you mean "VirtualMachineInstance"\?/],
  },
];

test("run and plan refuse a manifest that cannot be meant, and start no daemon for it", async (t) => {
  if (!needs(t, "daemon")) return;
  const host = await TestHost.make(t);
  const folder = join(host.dataDir, "manifests");
  await mkdir(folder);
  for (const { what, file, text, says } of wrongFiles) {
    await t.test(what, async () => {
      if (text !== undefined) await writeFile(join(folder, file), text);
      for (const command of ["run", "plan"]) {
        const outcome = await host.patchbay([command, "-f", join(folder, file)]);
        refused(outcome, 1, says);
        assert.equal(outcome.stdout, "");
      }
    });
  }
  await t.test("a time limit that is none", async () => {
    await writeFile(join(folder, "sound.yaml"), sound);
    refused(await host.patchbay(["run", "-f", join(folder, "sound.yaml"), "--timeout", "soon"]), 2, [/--timeout soon/]);
  });
  assert.deepEqual(await readdir(host.dataDir), ["manifests"]);
});

/** What the API refuses, with what kubectl then says. */
const wrongVmis: readonly { readonly what: string; readonly manifest: string; readonly says: readonly RegExp[] }[] = [
  {
    what: "an unknown field",
    manifest: sound.replace("masquerade:", "masquerad:"),
    says: [/spec\.domain\.devices\.interfaces\[0\]\.masquerad\b/, /did you mean "masquerade"\?/i],
  },
  {
    what: "a value of the wrong type",
    manifest: sound.replace("memory: 64Mi", "memory: [64]"),
    says: [/spec\.domain\.resources\.requests\.memory/, /expected a quantity/],
  },
  {
    what: "two pod networks",
    manifest: sound
      .replace(
        "- name: default\n          masquerade",
        "- name: other\n          masquerade: {}\n        - name: default\n          masquerade",
      )
      .replace("- name: default\n      pod", "- name: other\n      pod: {}\n    - name: default\n      pod"),
    says: [/PB2003/, /Keep one pod network/],
  },
  {
    what: "masquerade off the pod network",
    manifest: sound.replace("pod: {}", "multus: { networkName: lan }"),
    says: [/PB2020/, /spec\.domain\.devices\.interfaces\[0\]/, /Use bridge on this network/],
  },
  {
    what: "a guest network without room",
    manifest: blankManifest({ name: "sound", pod: { vmNetworkCIDR: "10.0.2.0/31" } }),
    says: [/PB2302/, /spec\.networks\[0\]\.pod\.vmNetworkCIDR/, /10\.0\.2\.0\/24/],
  },
  {
    what: "a guest network that is no CIDR",
    manifest: blankManifest({ name: "sound", pod: { vmIPv6NetworkCIDR: "fd10::/200" } }),
    says: [/PB2302/, /spec\.networks\[0\]\.pod\.vmIPv6NetworkCIDR/],
  },
  {
    what: "no memory",
    manifest: blankManifest({ name: "sound", memory: "0" }),
    says: [/PB2401/, /domain\.memory\.guest/],
  },
];

test("kubectl shows what the API refuses, and nothing is stored", async (t) => {
  if (!needs(t, "daemon", "kubectl")) return;
  const host = await TestHost.make(t);
  await host.up();
  for (const { what, manifest, says } of wrongVmis) {
    await t.test(what, async () => refused(await host.kubectl(["apply", "-f", "-"], manifest), 1, says));
  }
  assert.equal((await host.kubectlOk(["get", "vmi,pods", "-A", "-o", "name"])).trim(), "");
});

test("a daemon that cannot start says why, and leaves the folder as it was", async (t) => {
  if (!needs(t, "daemon")) return;
  const host = await TestHost.make(t);
  const other = async (name: string): Promise<string> => {
    const folder = join(host.dataDir, name);
    await mkdir(folder, { mode: 0o700 });
    return folder;
  };
  const patchbay = join(import.meta.dirname, "../../patchbay");
  const up = (folder: string, ...more: string[]): Promise<Outcome> =>
    host.run([patchbay, "up", "--data-dir", folder, "--port", "0", ...more], { timeoutMs: 60_000 });

  await t.test("usage", async () => {
    const folder = await other("usage");
    refused(await up(folder, "--port", "99999"), 2, [/--port 99999 is no port: give 1 to 65535/]);
    refused(await up(folder, "--cni-timeout", "never"), 2, [/--cni-timeout never is no time limit/]);
    refused(await up(folder, "--node-name", "My Node"), 2, [/--node-name My Node is no name of a node/]);
    assert.deepEqual(await readdir(folder), []);
  });
  await t.test("an ordinary user", async () => {
    const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ...READS_ALL];
    const outcome = await host.run([...nobody, patchbay, "up", "--data-dir", "/tmp/patchbay-nobody", "--port", "0"]);
    refused(outcome, 1, [/PB6113: The daemon needs root/, /with sudo/]);
    const list = await host.run([...nobody, patchbay, "image", "ls", "--data-dir", host.dataDir]);
    refused(list, 1, [/PB6001: The folder of images \S+ cannot be used: E/, /with sudo/]);
    // Without the right to read everything, which the checkout may need.
    const asked = `const { livingDaemon } = await import("${patchbay}/../src/cli/daemon-process.ts");
      const { dataPaths } = await import("${patchbay}/../src/cli/paths.ts");
      process.setegid(65534);
      process.seteuid(65534);
      try { console.log(livingDaemon(dataPaths(${JSON.stringify(host.dataDir)}))); }
      catch (fault) { console.error(fault.code + ": " + fault.message + " " + fault.cure); process.exitCode = 1; }`;
    const look = await host.run([process.execPath, "--input-type=module", "-e", asked]);
    refused(look, 1, [/PB6001: This user may not look into /, /with sudo/]);
  });
  await t.test("a folder of somebody else", async () => {
    const folder = await other("foreign");
    await chown(folder, 12_345, 12_345);
    refused(await up(folder), 1, [/PB6001: \S+foreign belongs to user 12345/, /chown -R 0 /]);
    refused(await up(folder, "--detach"), 1, [/PB6001: \S+foreign belongs to user 12345/]);
    assert.deepEqual(await readdir(folder), []);
  });
  await t.test("a file in the folder's place", async () => {
    await writeFile(join(host.dataDir, "file"), "");
    refused(await up(join(host.dataDir, "file")), 1, [/PB6001: \S+file is no folder/, /--data-dir/]);
  });
  await t.test("a path where the kernel makes no folders", async () => {
    refused(await up("/proc/patchbay/data"), 1, [/PB6001: the folder \S+ cannot be used/, /--data-dir/]);
    const list = await host.run([patchbay, "image", "ls", "--data-dir", "/proc/patchbay"]);
    refused(list, 1, [/PB6001: The folder of images \S+ cannot be used/, /--data-dir/]);
  });
  await t.test("a path too long for sockets", async () => {
    const folder = join(host.dataDir, "long".repeat(20));
    refused(await up(folder), 1, [/PB5060: The path of the data folder \S+ is too long/, /shorter path: --data-dir/]);
    await assert.rejects(readdir(folder));
  });
  await t.test("a full disk", async () => {
    const folder = join(host.dataDir, "full");
    const disk = await smallDisk(folder, 1 << 20);
    try {
      await disk.fill();
      refused(await up(folder), 1, [/PB6001: \S+ cannot be written: ENOSPC/, /free space/i]);
      refused(await up(folder, "--detach"), 1, [/PB6001: \S+ cannot be written: ENOSPC/, /free space/i]);
    } finally {
      await disk.unmount();
    }
  });
  await t.test("a busy port", async () => {
    const script = 'require("node:net").createServer().listen(18443, "127.0.0.1", () => console.log("listening"))';
    const listener = host.start([process.execPath, "-e", script]);
    await once(listener.stdout ?? listener, "data");
    try {
      const folder = await other("port");
      const says = [
        /PB6003: the API cannot listen on 127\.0\.0\.1 port 18443/,
        /another program/,
        /another port with --port/,
      ];
      refused(await up(folder, "--port", "18443"), 1, says);
      refused(await up(folder, "--port", "18443", "--detach"), 1, says);
      assert.equal((await readdir(folder)).includes("patchbay.pid"), false);
    } finally {
      listener.kill();
    }
  });
  await t.test("a record that cannot be read", async () => {
    const folder = await other("record");
    await mkdir(join(folder, "pods"));
    await writeFile(join(folder, "pods", "x.json"), "garbage");
    refused(await up(folder), 1, [/PB6101: The record \S+x\.json cannot be read/, /by hand, then this file/]);
  });
  await t.test("no daemon for the commands that need one", async () => {
    refused(await host.patchbay(["console", "guest"]), 1, [/PB6112: No daemon answers for/, /patchbay up --detach/]);
  });
  await t.test("a second daemon", async () => {
    await host.up();
    const says = [/PB6110: A daemon runs already on \S+ \(process \d+\)/, /patchbay down --data-dir/];
    refused(await host.patchbay(["up", "--port", "0"]), 1, says);
    assert.ok((await host.daemonPid()) > 0);
    refused(await host.patchbay(["console", "absent"]), 1, [
      /PB6115: There is no VirtualMachineInstance default\/absent/,
    ]);
  });
});

test("a full disk under a daemon: writes are refused whole, and images can be removed to make room", async (t) => {
  if (!needs(t, "daemon", "kubectl")) return;
  const host = await TestHost.make(t);
  const disk = await smallDisk(host.dataDir, 32 << 20);
  try {
    await host.up();
    await makeBlankImage(join(host.dataDir, "images"));
    await host.kubectlOk(["apply", "-f", "-"], blankManifest({ name: "first" }));
    await host.kubectlOk(["wait", "--for=condition=Ready", "vmi/first", "--timeout=120s"]);
    await host.kubectlOk(["delete", "vmi", "first", "--timeout=60s"]);
    await eventually("its links to go", async () => (await tracesOf(host)).links.join() === "lo");
    await disk.fill();
    const before = await tracesOf(host);
    refused(await host.kubectl(["apply", "-f", "-"], sound), 1, [/is full; nothing was changed\. Free some space/]);
    refused(await host.patchbay(["image", "tag", BLANK_IMAGE, "second:1"]), 1, [
      /PB5007: There is no space left/,
      /image rm/,
    ]);
    assert.deepEqual(await tracesOf(host), before);
    assert.equal((await host.kubectlOk(["get", "vmi", "-A", "-o", "name"])).trim(), "");
    const removed = await host.patchbay(["image", "rm", BLANK_IMAGE]);
    assert.equal(removed.code, 0, removed.stderr);
    await disk.free();
    await host.kubectlOk(["apply", "-f", "-"], sound);
  } finally {
    await host.patchbay(["down", "--vms"]);
    await disk.unmount();
  }
});

function refused(outcome: Outcome, code: number, says: readonly RegExp[]): void {
  assert.equal(outcome.code, code, outcome.stderr + outcome.stdout);
  for (const part of says) assert.match(outcome.stderr, part);
  assert.doesNotMatch(outcome.stderr, /defect in Patchbay|\n {4}at /);
}
