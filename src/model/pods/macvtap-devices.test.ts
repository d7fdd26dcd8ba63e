import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isFault } from "../fault.ts";
import { allocateDevices } from "./device-resources.ts";
import { macvtapPools, readMacvtapConfig } from "./macvtap-devices.ts";

const links = [
  { name: "eth0", kind: "" },
  { name: "bond0", kind: "bond" },
  { name: "veth1", kind: "veth" },
  { name: "br0", kind: "bridge" },
];
const problemOf = (text: string): string => {
  const reading = readMacvtapConfig(text);
  return "problem" in reading ? `${reading.problem}. ${reading.cure}` : "none";
};

describe("macvtap devices of a node", () => {
  test("S3.95: are as DP_MACVTAP_CONF says, with the device plugin's defaults", () => {
    const text =
      '[{"name": "data", "lowerDevice": "veth1", "mode": "vepa", "capacity": 2}, {"name": "e", "lowerDevice": "eth0"}]';
    const reading = readMacvtapConfig(text);
    assert.ok("resources" in reading);
    assert.deepEqual(reading.resources[1], { name: "e", lowerDevice: "eth0", mode: "bridge", capacity: 100 });
    const pools = macvtapPools(reading.resources, links);
    assert.deepEqual(
      pools.map(({ resource, devices }) => [resource, devices.length, devices[0]?.id, devices[0]?.config]),
      [
        ["macvtap.network.kubevirt.io/data", 2, "dataMvp0", { lowerDevice: "veth1", mode: "vepa" }],
        ["macvtap.network.kubevirt.io/e", 100, "eMvp0", { lowerDevice: "eth0", mode: "bridge" }],
      ],
    );
  });

  test("S3.96: are put on each card and bond where the list is empty", () => {
    for (const text of ["", "[]"]) {
      const reading = readMacvtapConfig(text);
      assert.ok("resources" in reading);
      assert.deepEqual(
        macvtapPools(reading.resources, links).map(({ resource }) => resource),
        ["macvtap.network.kubevirt.io/eth0", "macvtap.network.kubevirt.io/bond0"],
      );
    }
  });

  test("are none where the lower link is missing, and a claim says so", () => {
    const pools = macvtapPools([{ name: "data", lowerDevice: "gone0", mode: "bridge", capacity: 3 }], links);
    assert.throws(
      () => allocateDevices(pools, [], [{ resource: "macvtap.network.kubevirt.io/data", interface: "net1" }]),
      (thrown) =>
        isFault(thrown, "PB6122") &&
        thrown.message.endsWith("the node has no devices of it; the link gone0 is not there.") &&
        /Bring the link gone0 about/.test(thrown.cure ?? ""),
    );
  });

  test("name the element of a configuration that cannot be used, and the cure", () => {
    assert.match(problemOf("{"), /^line 1, column 2: .*Write JSON\.$/);
    assert.match(problemOf("{}"), /^it is no list\./);
    assert.match(problemOf("[1]"), /^element 1: it is no object\./);
    assert.equal(
      problemOf('[{"name": "a", "lowerDev1ce": "x"}]'),
      'element 1: its field "lowerDev1ce" is not known. Did you mean "lowerDevice"?',
    );
    assert.match(problemOf('[{"name": "a b", "lowerDevice": "x"}]'), /^element 1: its "name" is none/);
    assert.match(problemOf('[{"name": "a"}]'), /^element 1: the "lowerDevice" of "a" is no name of a link/);
    assert.match(
      problemOf('[{"name": "a", "lowerDevice": "x", "mode": "brigde"}]'),
      /"brigde" of "a" is not one\. Did you mean "bridge"\?/,
    );
    assert.match(problemOf('[{"name": "a", "lowerDevice": "x", "capacity": "5"}]'), /^element 1: the capacity of "a"/);
    const many = ["a", "b", "c"].map((name) => ({ name, lowerDevice: "x", capacity: 30_000 }));
    assert.match(problemOf(JSON.stringify(many)), /^element 3: with its capacity the list has more than 65536 devices/);
    const twice = '[{"name": "a", "lowerDevice": "x"}, {"name": "a", "lowerDevice": "y"}]';
    assert.match(problemOf(twice), /^element 2: its name "a" is taken by an earlier one\./);
  });

  test("are read of any text without an exception", () => {
    const text = fc.oneof(fc.string(), fc.json());
    fc.assert(fc.property(text, (given) => assert.ok(Object.keys(readMacvtapConfig(given)).length > 0)));
  });
});
