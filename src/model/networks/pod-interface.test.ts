import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bridgeName, hashedInterface, movedName, tapName } from "./pod-interface.ts";

test("a secondary network's link is named by the hash of the network's name", () => {
  // Vectors of reference 4.1.
  const vectors = {
    red: "podb1f51a511f1",
    blue: "pod16477688c0e",
    "ovs-net": "pod6b4853bd4f2",
    "sriov-net": "pod5862143f341",
    hostnetwork: "pod954b3b7236c",
    br10: "pod4e3e6f2cc8c",
    test1: "pod1b4f0e98519",
    "bridge-net": "pod03b731d2111",
    default: "pod37a8eec1ce1",
    dyniface1: "pod9a6a0c3b4d8",
    net1: "pod6c270ef2f25",
    secondary: "podc0f69e19ba2",
  };
  for (const [name, link] of Object.entries(vectors)) assert.equal(hashedInterface(name), link, name);
});

test("devices are named after the pod's link", () => {
  assert.deepEqual([tapName("eth0"), bridgeName("eth0"), movedName("eth0")], ["tap0", "k6t-eth0", "eth0-nic"]);
  assert.deepEqual(
    [tapName("podb1f51a511f1"), bridgeName("podb1f51a511f1"), movedName("podb1f51a511f1")],
    ["tapb1f51a511f1", "k6t-b1f51a511f1", "b1f51a511f1-nic"],
  );
  assert.deepEqual([tapName("net1"), bridgeName("net1"), movedName("net1")], ["tap1", "k6t-net1", "net1-nic"]);
});

test("every name fits a link's 15 octets, and no two devices of a network share one", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 80, unit: "binary" }), (name) => {
      const link = hashedInterface(name);
      const names = [link, tapName(link), bridgeName(link), movedName(link)];
      assert.equal(new Set(names).size, names.length);
      for (const one of names) assert.ok(one.length <= 15, one);
    }),
  );
});
