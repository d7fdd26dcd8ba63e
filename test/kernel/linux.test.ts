import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { after, test } from "node:test";
import { dumpNetns } from "../../src/host/linux/dump.ts";
import { batch, request, withRouteSocket } from "../../src/host/linux/netlink-socket.ts";
import {
  createNetns,
  deleteNetns,
  isNetns,
  listNetns,
  NETNS_DIR,
  netnsPath,
  startThreads,
  within,
} from "../../src/host/linux/netns.ts";
import { listRuleset, runNft, splitRuleset } from "../../src/host/linux/nftables.ts";
import { readLinks } from "../../src/host/linux/pod-facts.ts";
import { dumpAddresses, dumpLinks, dumpNeighbours, dumpRoutes, linkIndex } from "../../src/host/linux/rtnetlink.ts";
import { addAddress, deleteAddress, deleteLink, renameLink, setLink } from "../../src/host/linux/rtnetlink-requests.ts";
import { listSysctls, readSysctl, writeSysctl } from "../../src/host/linux/sysctl.ts";
import { closeFds, openTap } from "../../src/host/linux/tap.ts";
import { isFault } from "../../src/model/fault.ts";
import { needs } from "../needs.ts";

const PREFIX = `pblnx-${process.pid}-`;
const NS = "/proc/thread-self/ns/net";
const here = (): string => fs.readlinkSync(NS);

after(() => {
  for (const name of listNetns(PREFIX)) deleteNetns(name);
});

/** Runs `fn` with a fresh namespace and deletes it. */
async function withNetns<T>(fn: (path: string, name: string) => T | Promise<T>): Promise<T> {
  const name = `${PREFIX}${Math.random().toString(36).slice(2)}`;
  const path = createNetns(name);
  try {
    return await fn(path, name);
  } finally {
    deleteNetns(name);
  }
}

const ip = (name: string, ...args: readonly string[]): string =>
  execFileSync("ip", ["-n", name, ...args], { encoding: "utf8" });
const ipJson = (name: string, ...args: readonly string[]): readonly Record<string, unknown>[] =>
  JSON.parse(ip(name, "-j", "-d", ...args) || "[]");

test("a namespace made here is one that ip(8) sees, with lo up, and deleting it twice is fine", async (t) => {
  if (!needs(t, "root", "netns")) return;
  const name = `${PREFIX}made`;
  const path = createNetns(name);
  assert.equal(path, `${NETNS_DIR}/${name}`);
  assert.ok(isNetns(netnsPath(name)));
  assert.ok(execFileSync("ip", ["netns", "list"], { encoding: "utf8" }).includes(name));
  assert.match(ip(name, "address"), /inet 127\.0\.0\.1\/8[\s\S]*inet6 ::1\/128/);
  assert.throws(
    () => createNetns(name),
    (fault) => isFault(fault, "PB4014") && fault.cure?.includes(name) === true,
  );
  deleteNetns(name);
  deleteNetns(name);
  assert.ok(!isNetns(netnsPath(name)) && !fs.existsSync(path));
});

test("a namespace made by ip(8) is entered and deleted here, a stale name as well", async (t) => {
  if (!needs(t, "root", "netns")) return;
  const name = `${PREFIX}foreign`;
  execFileSync("ip", ["netns", "add", name]);
  assert.notEqual(within(`${NETNS_DIR}/${name}`, here), here());
  deleteNetns(name);
  assert.equal(execFileSync("ip", ["netns", "list"], { encoding: "utf8" }).includes(name), false);
  fs.writeFileSync(`${NETNS_DIR}/${name}`, "");
  assert.equal(isNetns(netnsPath(name)), false);
  assert.deepEqual(listNetns(name), [name]);
  deleteNetns(name);
  assert.deepEqual(listNetns(name), []);
});

test("names that lead out of the folder are refused", () => {
  for (const name of ["", ".", "..", "../x", "a/b", "a b", "a\0", "x".repeat(201)]) {
    assert.throws(
      () => createNetns(name),
      (fault) => isFault(fault, "PB4013"),
      JSON.stringify(name),
    );
  }
});

test("within nests, returns values, and comes back when its function throws", async (t) => {
  if (!needs(t, "root", "netns")) return;
  await withNetns((outer) =>
    withNetns((inner) => {
      const home = here();
      const [a, b, c] = within(outer, () => [here(), within(inner, here), here()]);
      assert.equal(a, c);
      assert.equal(new Set([home, a, b]).size, 3);
      assert.throws(
        () =>
          within(outer, () =>
            within(inner, () => {
              throw new RangeError("thrown inside");
            }),
          ),
        RangeError,
      );
      assert.equal(here(), home);
    }),
  );
});

test("within refuses what is no namespace and functions that go on later", async (t) => {
  if (!needs(t, "root", "netns")) return;
  const home = here();
  for (const path of ["/run/netns/pblnx-none", "/etc/passwd", "/proc/self/ns/uts"]) {
    assert.throws(
      () => within(path, () => 1),
      (fault) => isFault(fault, "PB4012") && fault.place === path,
      path,
    );
  }
  await withNetns((path) => {
    let ran = false;
    const later = async (): Promise<void> => {
      ran = true;
    };
    assert.throws(() => within(path, later as () => never), TypeError);
    assert.equal(ran, false);
    assert.throws(() => within(path, (() => Promise.resolve(1)) as () => never), TypeError);
  });
  assert.equal(here(), home);
});

test("no thread of libuv's pool is caught in a pod's namespace", async (t) => {
  if (!needs(t, "root", "netns")) return;
  await withNetns((path) => {
    const script = `
      import { within } from ${JSON.stringify(new URL("../../src/host/linux/netns.ts", import.meta.url).href)};
      import * as fs from "node:fs";
      const home = fs.readlinkSync("${NS}");
      const pending = [];
      within(${JSON.stringify(path)}, () => {
        for (let i = 0; i < 16; i += 1) pending.push(fs.promises.readFile("/proc/self/comm"));
      });
      await Promise.all(pending);
      const threads = fs.readdirSync("/proc/self/task").map((id) => fs.readlinkSync(\`/proc/self/task/\${id}/ns/net\`));
      console.log(threads.length > 4 && threads.every((net) => net === home));`;
    const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
    assert.equal(stdout.trim(), "true", stderr);
  });
});

test("a process that cannot leave a namespace aborts", async (t) => {
  if (!needs(t, "root", "netns")) return;
  await withNetns((path) => {
    const script = `
      import { within } from ${JSON.stringify(new URL("../../src/host/linux/netns.ts", import.meta.url).href)};
      import * as fs from "node:fs";
      const home = fs.readlinkSync("${NS}");
      within(${JSON.stringify(path)}, () => {
        for (const fd of fs.readdirSync("/proc/self/fd")) {
          let target = "";
          try { target = fs.readlinkSync("/proc/self/fd/" + fd); } catch {}
          if (target === home) fs.closeSync(Number(fd));
        }
      });
      console.log("went on");`;
    const run = spawnSync(
      "sh",
      ["-c", 'ulimit -c 0; exec "$0" --input-type=module -e "$1"', process.execPath, script],
      {
        encoding: "utf8",
      },
    );
    assert.equal(run.signal, "SIGABRT");
    assert.match(run.stderr, /cannot leave a network namespace/);
    assert.equal(run.stdout, "");
  });
});

test("below nsenter --net the host namespace is the one that the process started in", async (t) => {
  if (!needs(t, "root", "netns")) return;
  await withNetns((home) => {
    const script = `
      import { createNetns, deleteNetns, within } from ${JSON.stringify(new URL("../../src/host/linux/netns.ts", import.meta.url).href)};
      import * as fs from "node:fs";
      const home = fs.readlinkSync("${NS}");
      const path = createNetns("${PREFIX}sub");
      const inner = within(path, () => fs.readlinkSync("${NS}"));
      console.log(JSON.stringify([home, inner, fs.readlinkSync("${NS}")]));`;
    const out = execFileSync("nsenter", [`--net=${home}`, process.execPath, "--input-type=module", "-e", script], {
      encoding: "utf8",
    });
    const [started, inner, back] = JSON.parse(out);
    assert.equal(started, within(home, here));
    assert.equal(back, started);
    assert.notEqual(inner, started);
    assert.ok(isNetns(netnsPath(`${PREFIX}sub`)));
    assert.equal(within(`${NETNS_DIR}/${PREFIX}sub`, here), inner);
    deleteNetns(`${PREFIX}sub`);
  });
});

test("fifty namespaces come and go and leave nothing", async (t) => {
  if (!needs(t, "root", "netns")) return;
  // Those of other tests come and go meanwhile.
  const mounts = (): number =>
    fs
      .readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .filter((line) => line.includes(PREFIX)).length;
  const fds = (): number => fs.readdirSync("/proc/self/fd").length;
  await startThreads();
  await withNetns(() => {});
  const before = { mounts: mounts(), fds: fds(), names: listNetns(PREFIX) };
  const names = Array.from({ length: 50 }, (_, index) => `${PREFIX}n${index}`);
  const inodes = names.map((name) => within(createNetns(name), here));
  assert.equal(new Set(inodes).size, 50);
  assert.equal(listNetns(`${PREFIX}n`).length, 50);
  for (const name of names) deleteNetns(name);
  assert.deepEqual({ mounts: mounts(), fds: fds(), names: listNetns(PREFIX) }, before);
});

test("links, addresses, routes and neighbours are read as ip(8) reads them", async (t) => {
  if (!needs(t, "root", "netns", "veth", "bridge")) return;
  await withNetns((path, name) => {
    for (const command of [
      "link add eth0 address 02:aa:00:00:00:01 type veth peer name far0",
      "link add br0 type bridge",
      "link set far0 master br0",
      "link set eth0 mtu 1400 up",
      "link set far0 up",
      "link set br0 up",
      "address add 10.1.0.5/24 dev eth0",
      "address add 10.1.0.6/24 dev eth0",
      "address add 192.168.9.1 peer 192.168.9.2/32 dev eth0",
      "address add fd00:1::5/64 dev eth0 nodad",
      "route add default via 10.1.0.1 metric 7",
      "route add 10.9.0.0/16 nexthop via 10.1.0.2 weight 3 nexthop via 10.1.0.3",
      "route add blackhole 10.66.0.0/16",
      "route add 10.77.0.0/16 via 10.1.0.1 table 100",
      "route add 10.88.0.0/16 dev eth0 src 10.1.0.6",
      "-6 route add default via fd00:1::1",
      "neigh add 10.1.0.9 lladdr 02:aa:00:00:00:09 dev eth0",
    ]) {
      ip(name, ...command.split(" "));
    }
    const read = within(path, () =>
      withRouteSocket((fd) => ({
        links: dumpLinks(fd),
        addresses: dumpAddresses(fd),
        routes: dumpRoutes(fd),
        neighbours: dumpNeighbours(fd),
      })),
    );
    const links = ipJson(name, "link");
    assert.deepEqual(
      read.links.map(({ index, name, mac, mtu }) => ({ index, name, mac, mtu })),
      links.map((link) => ({ index: link["ifindex"], name: link["ifname"], mac: link["address"], mtu: link["mtu"] })),
    );
    assert.deepEqual(Object.fromEntries(read.links.map((link) => [link.name, link.kind])), {
      lo: "",
      eth0: "veth",
      far0: "veth",
      br0: "bridge",
    });
    const far = read.links.find((link) => link.name === "far0");
    assert.equal(far?.master, read.links.find((link) => link.name === "br0")?.index);
    const eth0 = read.links.find((link) => link.name === "eth0")?.index;
    const addresses = read.addresses.filter(({ link }) => link === eth0);
    assert.deepEqual(
      addresses
        .filter(({ scope }) => scope === 0)
        .map(({ cidr, peer }) => (peer === undefined ? cidr : `${cidr} ${peer}`)),
      ["10.1.0.5/24", "192.168.9.1/32 192.168.9.2", "10.1.0.6/24", "fd00:1::5/64"],
    );
    const facts = readLinks(path);
    assert.deepEqual(
      facts.links.map((link) => link.name),
      read.links.filter(({ loopback }) => !loopback).map((link) => link.name),
    );
    assert.equal(facts.links.find((link) => link.name === "eth0")?.mtu, 1400);
    const has = (expected: object): void => {
      assert.ok(
        facts.routes.some((route) => {
          try {
            assert.deepEqual(route, expected);
            return true;
          } catch {
            return false;
          }
        }),
        `${JSON.stringify(expected)} is not in ${JSON.stringify(facts.routes, null, 1)}`,
      );
    };
    has({ family: 4, destination: "0.0.0.0/0", gateway: "10.1.0.1", device: "eth0", metric: 7 });
    has({ family: 6, destination: "::/0", gateway: "fd00:1::1", device: "eth0", metric: 1024 });
    has({ family: 4, destination: "10.9.0.0/16", gateway: "10.1.0.2", device: "eth0" });
    has({ family: 4, destination: "10.9.0.0/16", gateway: "10.1.0.3", device: "eth0" });
    has({ family: 4, destination: "10.88.0.0/16", device: "eth0", source: "10.1.0.6" });
    assert.ok(
      !facts.routes.some(({ destination }) => destination === "10.66.0.0/16" || destination === "10.77.0.0/16"),
    );
    assert.deepEqual(
      read.neighbours.filter(({ state }) => state === 0x80).map(({ address, mac }) => [address, mac]),
      [["10.1.0.9", "02:aa:00:00:00:09"]],
    );
    const dump = dumpNetns(path);
    assert.ok(dump.routes.some((route) => /^main blackhole 10\.66\.0\.0\/16/.test(route)));
    assert.ok(dump.routes.some((route) => /^table 100 unicast 10\.77\.0\.0\/16 via 10\.1\.0\.1/.test(route)));
    const forwarding = within(path, () => readSysctl("net/ipv4/conf/eth0/forwarding"));
    assert.equal(dump.sysctls["net/ipv4/conf/eth0/forwarding"], forwarding);
    assert.equal(dump.links.find((link) => link.name === "far0")?.master, "br0");
  });
});

test("a batch goes on after a request that fails and tells the verdict of each", async (t) => {
  if (!needs(t, "root", "netns", "veth")) return;
  await withNetns((path, name) => {
    ip(name, "link", "add", "eth0", "type", "veth", "peer", "name", "far0");
    const verdicts = within(path, () => {
      const eth0 = linkIndex("eth0");
      return withRouteSocket((fd) =>
        batch(fd, [
          setLink("eth0", { mac: "02:00:00:00:00:07", mtu: 1400, up: true }),
          setLink("eth0", { mtu: 1_000_000 }),
          setLink("nolink", { up: true }),
          addAddress(eth0, "10.5.0.1/24", "eth0"),
          addAddress(eth0, "10.5.0.1/24", "eth0"),
          addAddress(eth0, "fd00:5::1/64", "eth0"),
          deleteAddress(eth0, "10.5.0.200/24", "eth0"),
          renameLink(linkIndex("far0"), "near0"),
        ]),
      );
    });
    assert.deepEqual(
      verdicts.map((verdict) => (verdict.ok ? "ok" : verdict.errno)),
      ["ok", "EINVAL", "ENODEV", "ok", "EEXIST", "ok", "EADDRNOTAVAIL", "ok"],
    );
    const refused = verdicts[1];
    assert.ok(refused !== undefined && !refused.ok);
    assert.equal(refused.sentence, "mtu greater than device maximum");
    const facts = readLinks(path);
    const eth0 = facts.links.find((link) => link.name === "eth0");
    assert.equal(eth0?.mac, "02:00:00:00:00:07");
    assert.equal(eth0?.mtu, 1400);
    assert.equal(eth0?.up, true);
    assert.deepEqual(
      eth0?.addresses.filter(({ scope }) => scope === "global").map(({ cidr }) => cidr),
      ["10.5.0.1/24", "fd00:5::1/64"],
    );
    assert.ok(facts.links.some((link) => link.name === "near0"));
    within(path, () => withRouteSocket((fd) => request(fd, [deleteLink("eth0")])));
    assert.deepEqual(readLinks(path).links, []);
    assert.throws(
      () => within(path, () => withRouteSocket((fd) => request(fd, [deleteLink("eth0")]))),
      (fault) =>
        isFault(fault, "PB4015") && fault.data["errno"] === "ENODEV" && /deletion of link eth0/.test(fault.message),
    );
  });
});

test("three hundred addresses in one call, more than one datagram holds", async (t) => {
  if (!needs(t, "root", "netns", "veth")) return;
  await withNetns((path, name) => {
    ip(name, "link", "add", "eth0", "type", "veth", "peer", "name", "far0");
    const cidrs = Array.from({ length: 300 }, (_, index) => `10.${index >> 8}.${index & 255}.1/32`);
    within(path, () => {
      const eth0 = linkIndex("eth0");
      withRouteSocket((fd) =>
        request(
          fd,
          cidrs.map((cidr) => addAddress(eth0, cidr, "eth0")),
        ),
      );
    });
    const read = readLinks(path).links.find((link) => link.name === "eth0");
    assert.deepEqual(
      read?.addresses.map(({ cidr }) => cidr),
      cidrs,
    );
  });
});

test("values that no kernel could take are refused before they are sent", () => {
  const faults = [
    () => setLink("a-name-that-is-too-long", { up: true }),
    () => setLink("eth0", { mac: "not a mac" }),
    () => setLink("eth0", { mtu: -1 }),
    () => addAddress(1, "10.0.0.1", "eth0"),
    () => renameLink(1, "a/b"),
  ];
  for (const make of faults) assert.throws(make, (fault) => isFault(fault, "PB4015"));
});

test("a tap has the queues that were asked for, QEMU's header, and goes with its last fd", async (t) => {
  if (!needs(t, "root", "netns", "tun")) return;
  await withNetns(async (path, name) => {
    const single = within(path, () => openTap("tap0", 1));
    const multi = within(path, () => openTap("tap1", 4));
    assert.equal(single.length, 1);
    assert.equal(multi.length, 4);
    const info = (link: string): Record<string, unknown> => {
      const [read] = ipJson(name, "link", "show", link);
      const linkInfo = read?.["linkinfo"] as { readonly info_data: Record<string, unknown> };
      return linkInfo.info_data;
    };
    const one = info("tap0");
    assert.deepEqual([one["type"], one["vnet_hdr"], one["pi"], one["persist"]], ["tap", true, false, false]);
    assert.equal(one["multi_queue"] === true, false);
    const four = info("tap1");
    assert.deepEqual([four["multi_queue"], four["numqueues"]], [true, 4]);
    assert.throws(
      () => within(path, () => openTap("tap0", 1)),
      (fault) => isFault(fault, "PB4018") && /has this name/.test(fault.message),
    );
    assert.throws(
      () => within(path, () => openTap("tap2", 0)),
      (fault) => isFault(fault, "PB4018"),
    );
    assert.throws(
      () => within(path, () => openTap("tap%d", 1)),
      (fault) => isFault(fault, "PB4018"),
    );
    await closeFds(multi.slice(1));
    assert.equal(readLinks(path).links.length, 2);
    await closeFds([...single, ...multi.slice(0, 1)]);
    assert.deepEqual(readLinks(path).links, []);
    await assert.rejects(closeFds([1_000_000]), (fault) => isFault(fault, "PB4010"));
  });
});

test("sysctls are those of the namespace, and no key leads out of net", async (t) => {
  if (!needs(t, "root", "netns")) return;
  await withNetns((path) => {
    const host = readSysctl("net/ipv4/ip_unprivileged_port_start");
    within(path, () => {
      writeSysctl("net/ipv4/ip_unprivileged_port_start", "7");
      assert.equal(readSysctl("net/ipv4/ip_unprivileged_port_start"), "7");
      assert.equal(readSysctl("net/ipv4/conf/none/forwarding"), undefined);
      assert.ok(listSysctls("net/ipv4/conf").includes("net/ipv4/conf/lo/forwarding"));
      assert.throws(
        () => writeSysctl("net/ipv4/conf/none/forwarding", "1"),
        (fault) => isFault(fault, "PB4016") && fault.data["errno"] === "ENOENT",
      );
      assert.throws(
        () => writeSysctl("net/ipv4/ip_unprivileged_port_start", "many"),
        (fault) => isFault(fault, "PB4016") && fault.data["errno"] === "EINVAL",
      );
    });
    assert.equal(readSysctl("net/ipv4/ip_unprivileged_port_start"), host);
  });
  for (const key of [
    "kernel/hostname",
    "net/../kernel/hostname",
    "net",
    "/net/ipv4/ip_forward",
    "net//ipv4",
    "net/a\0b",
  ]) {
    assert.throws(
      () => readSysctl(key),
      (fault) => isFault(fault, "PB4017"),
      key,
    );
    assert.throws(
      () => writeSysctl(key, "1"),
      (fault) => isFault(fault, "PB4017"),
      key,
    );
  }
});

test("nftables is that of the namespace; a refused text changes nothing and is answered with nft's sentence", async (t) => {
  if (!needs(t, "root", "netns", "nft")) return;
  await withNetns((path, name) => {
    const host = listRuleset();
    within(path, () => runNft("table ip one {\n chain c {\n counter accept\n }\n}\ntable inet two {\n}\n"));
    const ruleset = within(path, () => listRuleset());
    assert.equal(ruleset, execFileSync("nsenter", [`--net=${path}`, "nft", "list", "ruleset"], { encoding: "utf8" }));
    assert.deepEqual(
      splitRuleset(ruleset).map(({ family, name }) => `${family} ${name}`),
      ["ip one", "inet two"],
    );
    assert.match(
      within(path, () => listRuleset({ stateless: true })),
      /\tcounter accept/,
    );
    assert.equal(listRuleset(), host);
    for (const [text, sentence] of [
      ["table ip three {\n}\nadd rule ip none c accept\n", /No such file or directory/],
      ["table ip three {\n chain c {\n meta l4proto bogus accept\n }\n}\n", /Could not resolve protocol name/],
      ["table ip three {\n}\nfrobnicate\n", /syntax error/],
    ] as const) {
      assert.throws(
        () => within(path, () => runNft(text)),
        (fault) => isFault(fault, "PB4019") && sentence.test(fault.message) && fault.message.includes("^"),
      );
    }
    within(path, () => runNft("table ip four {\n}\n", { check: true }));
    assert.equal(
      within(path, () => listRuleset()),
      ruleset,
    );
    assert.ok(ip(name, "link").length > 0);
  });
});
