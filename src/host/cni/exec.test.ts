import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { isFault } from "../../model/fault.ts";
import { startTimeOf } from "../guest/process.ts";
import { type PluginCall, runPlugin } from "./exec.ts";

const folder = mkdtempSync(join(tmpdir(), "patchbay-cni-exec-"));
after(() => rmSync(folder, { recursive: true, force: true }));

function call(name: string, script: string, more: Partial<PluginCall> = {}): PluginCall {
  const binary = join(folder, name);
  writeFileSync(binary, script);
  chmodSync(binary, 0o755);
  return {
    command: "ADD",
    type: name,
    binary,
    network: "net",
    containerId: "pod1",
    netns: "/run/netns/x",
    ifName: "eth0",
    args: [
      ["IgnoreUnknown", "1"],
      ["K8S_POD_NAME", "vm"],
    ],
    binDirs: [folder, "/nowhere"],
    config: { cniVersion: "1.0.0", name: "net", type: name },
    ...more,
  };
}

async function fails(wanted: PluginCall, code: string): Promise<{ readonly message: string; readonly cure: string }> {
  let message = "";
  let cure = "";
  await assert.rejects(runPlugin(wanted), (thrown) => {
    assert.ok(isFault(thrown), String(thrown));
    assert.equal(thrown.code, code, thrown.message);
    message = thrown.message;
    cure = thrown.cure ?? "";
    return true;
  });
  assert.ok(!message.includes("\n"), "one line");
  assert.ok(cure.length > 0);
  return { message, cure };
}

test("gives a plugin its environment and its input", async () => {
  const script = `#!/bin/sh
printf '{"env":"%s %s %s %s %s %s","input":%s}' "$CNI_COMMAND" "$CNI_CONTAINERID" "$CNI_NETNS" "$CNI_IFNAME" "$CNI_ARGS" "$CNI_PATH" "$(cat)"
`;
  assert.deepEqual(await runPlugin(call("echo", script)), {
    env: `ADD pod1 /run/netns/x eth0 IgnoreUnknown=1;K8S_POD_NAME=vm ${folder}:/nowhere`,
    input: { cniVersion: "1.0.0", name: "net", type: "echo" },
  });
});

test("a plugin finds the administrator's programs", async () => {
  const answer = await runPlugin(call("path", `#!/bin/sh\nprintf '{"path":"%s"}' "$PATH"\n`));
  assert.match(JSON.stringify(answer), /\/usr\/sbin/);
});

test("DEL may answer nothing, or what it likes, ADD may not", async () => {
  for (const command of ["DEL", "CHECK"] as const)
    assert.equal(await runPlugin(call("chatty", "#!/bin/sh\necho gone\n", { command })), undefined);
  assert.equal(await runPlugin(call("quiet", "#!/bin/sh\nexit 0\n", { command: "DEL" })), undefined);
  const { message } = await fails(call("quiet", "#!/bin/sh\nexit 0\n"), "PB3009");
  assert.match(message, /^The CNI plugin "quiet" \(ADD of the network "net"\) answered nothing\.$/);
});

for (const [number, code, words] of [
  [1, "PB3011", "incompatible CNI version"],
  [2, "PB3012", "unsupported field"],
  [3, "PB3013", "container unknown"],
  [4, "PB3012", "invalid environment"],
  [5, "PB3000", "I/O failure"],
  [6, "PB3012", "cannot be decoded"],
  [7, "PB3012", "invalid configuration"],
  [11, "PB3014", "try again later"],
  [50, "PB3015", "plugin not available"],
  [51, "PB3015", "limited connectivity"],
  [123, "PB3000", "CNI error code 123)"],
] as const) {
  test(`reads an error result of code ${number}`, async () => {
    const script = `#!/bin/sh\ncat <<'X'\n{"code":${number},"msg":"no\\n luck","details":"at all"}\nX\nexit 1\n`;
    const { message } = await fails(call("error", script), code);
    assert.ok(
      message.startsWith('The CNI plugin "error" (ADD of the network "net") failed: no luck: at all (CNI error'),
    );
    assert.ok(message.includes(words), message);
  });
}

test("takes an error for one whatever the exit code", async () => {
  await fails(call("polite", `#!/bin/sh\necho '{"code":7,"msg":"no luck"}'\n`), "PB3012");
});

test("says nothing of code 999, which says nothing", async () => {
  const { message } = await fails(call("error", `#!/bin/sh\necho '{"code":999,"msg":"no luck"}'\nexit 1\n`), "PB3000");
  assert.equal(message, 'The CNI plugin "error" (ADD of the network "net") failed: no luck.');
});

for (const [what, said, code, wanted] of [
  [
    "an exhausted pool",
    "failed to allocate for range 0: no IP addresses available in range set: 10.1.0.1-10.1.0.2",
    "PB3018",
    /pool 10\.1\.0\.1-10\.1\.0\.2 of 2 addresses/,
  ],
  ["a missing program", 'failed: exec: "iptables": executable file not found in $PATH', "PB3016", /iptables/],
  ["a missing delegate", 'failed to find plugin "host-locl" in path [/usr/lib/cni /opt]', "PB3006", /"host-locl"/],
  ["a kernel without it", "failed to create vlan: operation not supported", "PB3017", /operation not supported/],
] as const) {
  test(`recognises ${what}`, async () => {
    const script = `#!/bin/sh\ncat <<'X'\n${JSON.stringify({ code: 999, msg: said })}\nX\nexit 1\n`;
    const { message } = await fails(call("words", script), code);
    assert.match(message, wanted);
  });
}

test("a plugin that hangs is killed with its children", async () => {
  const pids = join(folder, "pids");
  const script = `#!/bin/sh\nsleep 1000 &\necho $$ $! > ${pids}\nwait\n`;
  const { message } = await fails(call("hang", script, { timeLimitMs: 3_000 }), "PB3008");
  assert.match(message, /"hang".* did not answer within 3 s and was killed\.$/);
  for (const pid of readFileSync(pids, "utf8").trim().split(" ")) {
    while (startTimeOf(Number(pid)) !== undefined) await new Promise((resolve) => setTimeout(resolve, 5));
  }
});

test("a plugin can be called off", async () => {
  const aborter = new AbortController();
  const started = join(folder, "started");
  const script = `#!/bin/sh\ntouch ${started}\nexec sleep 1000\n`;
  const running = fails(call("slow", script, { signal: aborter.signal }), "PB3026");
  while (!existsSync(started)) await new Promise((resolve) => setTimeout(resolve, 5));
  aborter.abort();
  await running;
  await fails(call("slow", script, { signal: aborter.signal }), "PB3026");
});

test("a child that a plugin leaves behind does not hold its answer up", async () => {
  const pid = join(folder, "left");
  const script = `#!/bin/sh\nsleep 1000 &\necho $! > ${pid}\necho '{"cniVersion":"1.0.0"}'\n`;
  assert.deepEqual(await runPlugin(call("leaver", script)), { cniVersion: "1.0.0" });
  process.kill(Number(readFileSync(pid, "utf8")), "SIGKILL");
});

test("output that is no JSON, no object, or without end", async () => {
  const { message } = await fails(call("text", "#!/bin/sh\necho hello; echo why >&2\n"), "PB3009");
  assert.match(message, /answered what is no CNI result: "hello"\. It said: why\.$/);
  await fails(call("number", "#!/bin/sh\necho 7\n"), "PB3009");
  await fails(call("flood", "#!/bin/sh\nexec cat /dev/zero\n"), "PB3009");
});

test("a plugin that ends without an answer", async () => {
  const { message } = await fails(call("exit1", "#!/bin/sh\necho 'no such\nthing' >&2\nexit 1\n"), "PB3010");
  assert.match(message, /ended without a CNI answer: exit code 1\. It said: no such thing\.$/);
  const killed = await fails(call("killed", "#!/bin/sh\nkill -SEGV $$\n"), "PB3010");
  assert.match(killed.message, /killed by SIGSEGV/);
});

test("stderr is kept to its end, bounded", async () => {
  const script = "#!/bin/sh\nhead -c 100000 /dev/zero | tr '\\0' x >&2\necho the end >&2\nexit 3\n";
  const { message } = await fails(call("loud", script), "PB3010");
  assert.ok(message.length < 5000);
});

test("a file that is no program", async () => {
  // execvp(3) hands what the kernel does not know to the shell.
  await fails(call("elf", "\u007fELF nonsense"), "PB3010");
  const gone = call("gone", "#!/bin/sh\n");
  rmSync(gone.binary);
  await fails(gone, "PB3007");
  await fails(call("interpreter", "#!/no/such/shell\n"), "PB3007");
});
