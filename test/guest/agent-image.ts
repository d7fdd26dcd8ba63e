import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { GUEST_IMAGE, guestPaths } from "../../src/host/images/build-guest.ts";
import { type ArchiveEntry, cpioArchive } from "../../src/host/images/cpio.ts";
import { openDebianPackages } from "../../src/host/images/debian-packages.ts";
import { exclusively } from "../../src/host/images/exclusive.ts";
import { CACHE, guestImages } from "./image-cache.ts";

/** The test guest with Debian's guest agent in it. */
export const AGENT_IMAGE = "patchbay/guest-agent:test";

const PACKAGES = ["qemu-guest-agent", "libglib2.0-0", "libpcre2-8-0", "libnuma1", "libudev1", "liburing2"];
const LIBRARIES = [
  "libglib-2.0.so.0",
  "libgmodule-2.0.so.0",
  "libpcre2-8.so.0",
  "libnuma.so.1",
  "libudev.so.1",
  "liburing.so.2",
];
const LIBRARY_FOLDER = "usr/lib/x86_64-linux-gnu";

/** `agent PROGRAM…` runs a program in the background, with the channel as its last argument; `agent` alone ends it. */
const AGENT = `#!/bin/sh
if [ -f /run/agent.pid ]; then
  kill -9 "$(cat /run/agent.pid)"
  # The channel is for one program at a time.
  while kill -0 "$(cat /run/agent.pid)" 2>/dev/null; do usleep 20000; done
  rm /run/agent.pid
fi
[ $# -gt 0 ] || exit 0
for port in /sys/class/virtio-ports/*; do
  [ "$(cat "$port/name")" = org.qemu.guest_agent.0 ] && channel=/dev/\${port##*/}
done
"$@" "$channel" >/run/agent.log 2>&1 &
echo $! >/run/agent.pid
`;

/** Speaks the protocol, and tells of what is not so: another address, and more interfaces than anybody has. */
const LIAR = `use strict;
open(my $channel, '+<:raw', $ARGV[0]) or die "channel: $!";
my $many = join ',', map { qq({"name":"lie$_\\\\u001b[31m","hardware-address":"06:00:00:00:01:0$_"}) } (0 .. 9, 0 .. 9, 0 .. 9);
my $mac = do { open(my $file, '<', '/sys/class/net/eth0/address') or die; local $/; <$file> };
chomp $mac;
my $lie = qq([{"name":"eth0","hardware-address":"$mac","ip-addresses":[{"ip-address":"10.0.2.99"},{"ip-address":"no"},5]},$many]);
my $text = '';
while (1) {
    # The end of the file is that nobody is connected on the host.
    if (!sysread($channel, $text, 4096, length $text)) { select(undef, undef, undef, 0.1); next }
    while ($text =~ s/^(.*?)\\n//s) {
        my $line = $1;
        if ($line =~ /"id":(\\d+)/) { syswrite($channel, "waste\\xff{\\"return\\": $1}\\n") }
        elsif ($line =~ /interfaces/) { syswrite($channel, qq({"return": $lie}\\n)) }
        else { syswrite($channel, qq({"return": "nothing"}\\n)) }
    }
}
`;

/** Makes sure that the image is in the store that all tests share: made once, and again when what it is made of changes. */
export async function agentImage(): Promise<void> {
  const store = await guestImages();
  await exclusively(join(CACHE, "agent.lock"), async () => {
    const keyFile = join(CACHE, "agent.key");
    const base = await store.resolve(GUEST_IMAGE);
    const source = await readFile(import.meta.filename);
    const key = createHash("sha256").update(`${base?.digest}\0`).update(source).digest("hex");
    const made = await readFile(keyFile, "utf8").catch(() => "");
    if (made === key && (await store.resolve(AGENT_IMAGE)) !== undefined) return;
    const work = await mkdtemp(join(CACHE, "making-"));
    try {
      const packages = await openDebianPackages(join(CACHE, "packages"), () => {});
      await packages.unpack(PACKAGES, join(work, "root"));
      // The kernel unpacks one archive after the other.
      const initrd = await readFile(await store.extract(GUEST_IMAGE, guestPaths.initrd));
      await writeFile(join(work, "initrd"), Buffer.concat([initrd, await additions(join(work, "root"))]));
      await store.create(AGENT_IMAGE, [
        { path: guestPaths.kernel, source: await store.extract(GUEST_IMAGE, guestPaths.kernel) },
        { path: guestPaths.initrd, source: join(work, "initrd") },
      ]);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
    await writeFile(keyFile, key);
  });
}

async function additions(root: string): Promise<Buffer> {
  const program = async (path: string): Promise<ArchiveEntry> => {
    const data = await readFile(join(root, path));
    return { kind: "file", path, mode: 0o755, data };
  };
  const text = (path: string, content: string): ArchiveEntry => {
    return { kind: "file", path, mode: 0o755, data: Buffer.from(content) };
  };
  return cpioArchive([
    await program("usr/sbin/qemu-ga"),
    ...(await Promise.all(LIBRARIES.map((name) => program(`${LIBRARY_FOLDER}/${name}`)))),
    text("usr/sbin/agent", AGENT),
    text("usr/sbin/liar", LIAR),
  ]);
}
