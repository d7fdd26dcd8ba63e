import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { overlaps, parseCidr } from "../../model/addresses/cidr.ts";
import { parseMac } from "../../model/addresses/mac.ts";
import { isFault } from "../../model/fault.ts";
import { isJsonObject } from "../../model/json.ts";
import { parseCniObject } from "../../model/networks/cni-config.ts";
import { bridgeName, type DefaultNetworkOptions, defaultConflist } from "./default-network.ts";

function subnetsOf(options: DefaultNetworkOptions): string[] {
  const { network, problems } = parseCniObject(defaultConflist(options));
  assert.deepEqual(problems, []);
  const ipam = network?.plugins[0]?.config["ipam"];
  assert.ok(isJsonObject(ipam) && Array.isArray(ipam["ranges"]));
  return ipam["ranges"].map(([range]) => String(range.subnet));
}

test("the bridge is called after the data folder", () => {
  assert.equal(bridgeName("/var/lib/patchbay"), "patchbay0");
  assert.equal(bridgeName("/var/lib/patchbay/"), "patchbay0");
  assert.match(bridgeName("/tmp/x"), /^pb[0-9a-f]{8}$/);
  assert.notEqual(bridgeName("/tmp/x"), bridgeName("/tmp/y"));
});

test("is a valid list of bridge, masquerading and portmap", () => {
  const conflist = defaultConflist({ dataDir: "/tmp/x" });
  const { network, problems } = parseCniObject(conflist);
  assert.deepEqual(problems, []);
  assert.deepEqual(
    network?.plugins.map(({ type, ipamType, capabilities }) => [type, ipamType, capabilities]),
    [
      ["bridge", "host-local", ["ips"]],
      ["patchbay-masquerade", undefined, []],
      ["portmap", undefined, ["portMappings"]],
    ],
  );
  const mac = parseMac(String(network?.plugins[1]?.config["mac"]));
  assert.equal((mac?.[0] ?? 0) & 3, 2, "locally administered, unicast");
});

test("families", () => {
  const dataDir = "/tmp/x";
  const [four, six] = subnetsOf({ dataDir });
  assert.match(four ?? "", /^10\.\d+\.\d+\.0\/24$/);
  assert.match(six ?? "", /^fd[0-9a-f:]+::\/64$/);
  assert.deepEqual(subnetsOf({ dataDir, families: "ipv4" }), [four]);
  assert.deepEqual(subnetsOf({ dataDir, families: "ipv6" }), [six]);
});

test("subnets overlap neither the host's routes nor the guests' own networks", () => {
  const octet = fc.integer({ min: 0, max: 255 });
  const route = fc.oneof(
    fc.tuple(octet, octet, fc.integer({ min: 9, max: 32 })).map(([b, c, length]) => `10.${b}.${c}.0/${length}`),
    fc.constantFrom("0.0.0.0/0", "::/0", "fe80::/64", "192.168.1.0/24", "no CIDR"),
  );
  fc.assert(
    fc.property(fc.string(), fc.array(route, { maxLength: 8 }), (name, hostRoutes) => {
      const taken = [...hostRoutes, "10.0.2.0/24", "fd10:0:2::/120"]
        .flatMap((text) => parseCidr(text) ?? [])
        .filter(({ prefixLength }) => prefixLength > 0);
      for (const text of subnetsOf({ dataDir: `/x/${name.replaceAll("\0", "")}`, hostRoutes })) {
        const subnet = parseCidr(text);
        assert.ok(subnet !== undefined);
        assert.ok(!taken.some((other) => overlaps(other, subnet)), text);
      }
    }),
  );
});

test("the next subnet where the hash's is taken; other private ones where all of 10.0.0.0/8 is", () => {
  const dataDir = "/tmp/x";
  const [four = "", six = ""] = subnetsOf({ dataDir });
  const [nextFour, nextSix] = subnetsOf({ dataDir, hostRoutes: [four, six] });
  assert.match(nextFour ?? "", /^10\./);
  assert.notEqual(nextFour, four);
  assert.notEqual(nextSix, six);
  assert.match(subnetsOf({ dataDir, hostRoutes: ["10.0.0.0/8"] })[0] ?? "", /^172\.(1[6-9]|2\d|3[01])\./);
  assert.match(subnetsOf({ dataDir, hostRoutes: ["10.0.0.0/8", "172.16.0.0/12"] })[0] ?? "", /^192\.168\./);
});

test("a VPN's route to all private addresses is tolerated, narrower ones are not", () => {
  const dataDir = "/tmp/x";
  const wide = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
  assert.match(subnetsOf({ dataDir, hostRoutes: wide })[0] ?? "", /^10\./);
  const halves = Array.from({ length: 512 }, (_, index) => `10.${index >> 1}.${(index & 1) * 128}.0/17`);
  assert.throws(
    () => defaultConflist({ dataDir, hostRoutes: [...wide, ...halves] }),
    (thrown) => isFault(thrown, "PB3024"),
  );
});
