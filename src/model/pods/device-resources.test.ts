import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isFault } from "../fault.ts";
import { allocateDevices, type DevicePool, type Holder, resourceCounts } from "./device-resources.ts";

const pool = (resource: string, ...ids: readonly string[]): DevicePool => ({
  resource,
  devices: ids.map((id) => ({ id })),
});
const request = (resource: string, link = "net1") => ({ resource, interface: link });
const holder = (pod: string, resource: string, id: string): Holder => ({
  pod,
  claims: [{ resource, interface: "net1", device: { id } }],
});
const MACVTAP = "macvtap.network.kubevirt.io/eth0";

describe("devices of a node", () => {
  test("are handed out in their order, each to one pod", () => {
    const pools = [pool("a/x", "x0", "x1", "x2"), pool("a/y", "y0")];
    const claims = allocateDevices(pools, [holder("ns/one", "a/x", "x0")], [request("a/x"), request("a/y", "net2")]);
    assert.deepEqual(
      claims.map(({ resource, interface: link, device }) => [resource, link, device.id]),
      [
        ["a/x", "net1", "x1"],
        ["a/y", "net2", "y0"],
      ],
    );
  });

  test("near the same memory come together", () => {
    const near = (id: string, numaNode: number) => ({ id, numaNode });
    const pools = [
      { resource: "a/x", devices: [near("x0", 1)] },
      { resource: "a/y", devices: [near("y0", 0), near("y1", 1)] },
    ];
    const claims = allocateDevices(pools, [], [request("a/x"), request("a/y")]);
    assert.deepEqual(
      claims.map(({ device }) => device.id),
      ["x0", "y1"],
    );
  });

  test("of one IOMMU group go to one pod", () => {
    const device = (id: string, iommuGroup: number) => ({ id, pci: id, iommuGroup });
    const [first, beside, apart] = [device("a", 7), device("b", 7), device("c", 8)];
    const pools = [{ resource: "a/x", devices: [first, beside, apart] }];
    const both = allocateDevices(pools, [], [request("a/x"), request("a/x", "net2")]);
    assert.deepEqual(
      both.map(({ device: { id } }) => id),
      ["a", "b"],
    );
    const other = { pod: "ns/one", claims: [{ resource: "a/x", interface: "net1", device: first }] };
    assert.equal(allocateDevices(pools, [other], [request("a/x")])[0]?.device.id, "c");
    assert.throws(
      () => allocateDevices([{ resource: "a/x", devices: [beside] }], [other], [request("a/x")]),
      /Insufficient a\/x: the node has 1 device of it; in use by ns\/one\./,
    );
  });

  test("that are PCI devices are taken under every name: a function whose policy names another resource now", () => {
    const function_ = (pci: string) => ({ id: pci, pci });
    const [first, second] = [function_("0000:81:02.0"), function_("0000:81:02.1")];
    const pools = [
      { resource: "a/x", devices: [first, second] },
      { resource: "a/y", devices: [first, second] },
    ];
    const two = allocateDevices(pools, [], [request("a/x"), request("a/y", "net2")]);
    assert.deepEqual(
      two.map(({ device }) => device.id),
      [first.id, second.id],
    );
    const before = { pod: "ns/one", claims: [{ resource: "a/former", interface: "net1", device: first }] };
    const [left] = allocateDevices(pools, [before], [request("a/x")]);
    assert.equal(left?.device.id, second.id);
    assert.throws(
      () => allocateDevices(pools, [before], [request("a/x"), request("a/y", "net2")]),
      (thrown) =>
        isFault(thrown, "PB6122") && /a\/y: the node has 2 devices of it; in use by ns\/one/.test(thrown.message),
    );
  });

  test("that are all taken are told with who has them and what to do", () => {
    const held = [holder("ns/one", MACVTAP, "eth0Mvp0"), holder("ns/two", "a/y", "y0")];
    assert.throws(
      () => allocateDevices([pool(MACVTAP, "eth0Mvp0")], held, [request(MACVTAP)]),
      (thrown) =>
        isFault(thrown, "PB6122") &&
        thrown.message === `Insufficient ${MACVTAP}: the node has 1 device of it; in use by ns/one.` &&
        /starts by itself/.test(thrown.cure ?? ""),
    );
  });

  test("that are not healthy count as capacity and are handed to nobody", () => {
    const pools = [{ resource: "a/x", devices: [{ id: "x0", healthy: false }, { id: "x1" }] }];
    assert.deepEqual(resourceCounts(pools), { capacity: { "a/x": "2" }, allocatable: { "a/x": "1" } });
    assert.throws(
      () => allocateDevices(pools, [], [request("a/x"), request("a/x", "net2")]),
      (thrown) => isFault(thrown, "PB6122") && thrown.message.endsWith("; 1 not usable; 2 asked for at once."),
    );
  });

  test("of a resource that the node does not offer are told with what it offers", () => {
    assert.throws(
      () => allocateDevices([pool(MACVTAP, "eth0Mvp0")], [], [request("macvtap.network.kubevirt.io/eht0")]),
      (thrown) => isFault(thrown, "PB6121") && thrown.cure === `Did you mean "${MACVTAP}"?`,
    );
    assert.throws(
      () => allocateDevices([], [], [request("macvtap.network.kubevirt.io/data")]),
      (thrown) => isFault(thrown, "PB6121") && /Add "data" to DP_MACVTAP_CONF/.test(thrown.cure ?? ""),
    );
  });

  test("belong to one pod at a time, whatever is asked for, and a refusal says that there are too few", () => {
    const ids = fc.uniqueArray(fc.integer({ min: 0, max: 9 }).map(String), { maxLength: 8 });
    fc.assert(
      fc.property(ids, fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 6 }), (devices, pods) => {
        const holders: Holder[] = [];
        let free = devices.length;
        for (const [index, count] of pods.entries()) {
          const requests = Array.from({ length: count }, (_, link) => request("a/x", `net${link}`));
          try {
            holders.push({ pod: `ns/${index}`, claims: allocateDevices([pool("a/x", ...devices)], holders, requests) });
            free -= count;
          } catch (thrown) {
            assert.ok(isFault(thrown, "PB6122"));
            assert.ok(count > free);
          }
        }
        const held = holders.flatMap(({ claims }) => claims.map(({ device }) => device.id));
        assert.equal(new Set(held).size, held.length);
      }),
    );
  });
});
