import assert from "node:assert/strict";
import { BlockList } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import {
  type Cidr,
  contains,
  formatCidr,
  hostAddress,
  maskOf,
  networkOf,
  overlaps,
  parseCidr,
  sizeOf,
} from "./cidr.ts";
import { formatIp, parseIp } from "./ip.ts";

const cidrs = fc.constantFrom<4 | 6>(4, 6).chain((family) => {
  const length = family === 4 ? 4 : 16;
  return fc.record(
    {
      family: fc.constant(family),
      address: fc.uint8Array({ minLength: length, maxLength: length }),
      prefixLength: fc.nat(length * 8),
    },
    { noNullPrototype: true },
  );
});

function must(text: string): Cidr {
  const cidr = parseCidr(text);
  assert.ok(cidr !== undefined, text);
  return cidr;
}

function nth(text: string, offset: number): string | undefined {
  const address = hostAddress(must(text), offset);
  return address === undefined ? undefined : formatIp(address);
}

test("a CIDR survives text", () => {
  fc.assert(fc.property(cidrs, (cidr) => assert.deepEqual(parseCidr(formatCidr(cidr)), cidr)));
});

test("containment agrees with Node's block list", () => {
  fc.assert(
    fc.property(cidrs, fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.nat(128), (cidr, noise, keep) => {
      // Shares the first `keep` bits with the network, so that both answers occur.
      const mask = maskOf(cidr.family, Math.min(keep, cidr.address.length * 8));
      const address = cidr.address.map((octet, index) => {
        const bits = mask[index] ?? 0;
        return (octet & bits) | ((noise[index] ?? 0) & ~bits & 0xff);
      });
      const type = cidr.family === 4 ? "ipv4" : "ipv6";
      const list = new BlockList();
      // BlockList takes no prefix length of 0.
      if (cidr.prefixLength === 0) return assert.ok(contains(cidr, address));
      list.addSubnet(formatIp(cidr.address), cidr.prefixLength, type);
      assert.equal(contains(cidr, address), list.check(formatIp(address), type));
    }),
  );
});

test("the first and the last address are inside, their neighbours are not given", () => {
  fc.assert(
    fc.property(cidrs, (cidr) => {
      const size = sizeOf(cidr);
      assert.deepEqual(hostAddress(cidr, 0), networkOf(cidr).address);
      const last = hostAddress(cidr, size - 1n);
      assert.ok(last !== undefined && contains(cidr, last));
      assert.equal(hostAddress(cidr, size), undefined);
      assert.equal(hostAddress(cidr, -1), undefined);
      assert.equal(hostAddress(cidr, 0.5), undefined);
    }),
  );
});

test("networks overlap exactly when one contains the other's network address", () => {
  fc.assert(
    fc.property(cidrs, cidrs, (one, other) => {
      const expected = contains(one, networkOf(other).address) || contains(other, networkOf(one).address);
      assert.equal(overlaps(one, other), expected);
      assert.equal(overlaps(other, one), expected);
    }),
  );
});

test("gateway and guest address of the documents' CIDRs", () => {
  assert.equal(formatCidr(networkOf(must("10.10.10.77/24"))), "10.10.10.0/24");
  assert.deepEqual([nth("10.10.10.77/24", 1), nth("10.10.10.77/24", 2)], ["10.10.10.1", "10.10.10.2"]);
  assert.deepEqual([nth("fd10:0:2::/120", 1), nth("fd10:0:2::/120", 2)], ["fd10:0:2::1", "fd10:0:2::2"]);
  assert.deepEqual([nth("192.168.66.0/30", 2), nth("192.168.66.0/31", 2)], ["192.168.66.2", undefined]);
  assert.equal(sizeOf(must("192.168.66.0/30")), 4n);
  assert.equal(sizeOf(must("::/0")), 1n << 128n);
  assert.deepEqual(maskOf(4, 20), parseIp("255.255.240.0"));
});

test("malformed CIDRs are refused", () => {
  for (const text of [
    "",
    "10.10",
    "10.0.0.0",
    "10.0.0.0/",
    "10.0.0.0/33",
    "10.0.0.0/024",
    "::/129",
    "10.0.0.0/8/8",
    "/8",
    "10.0.0/8",
    "10.0.0.0/-1",
  ]) {
    assert.equal(parseCidr(text), undefined, text);
  }
});
