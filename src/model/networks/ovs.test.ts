import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { addPort, interfaceState, portIds, readOvsSettings } from "./ovs.ts";

test("a configuration is read with its VLAN, its trunk and its socket", () => {
  assert.deepEqual(readOvsSettings({ bridge: "br1" }), {
    bridge: "br1",
    socket: "/run/openvswitch/db.sock",
    trunk: [],
  });
  assert.deepEqual(
    readOvsSettings({
      bridge: "br1",
      vlan: 100,
      mtu: 9000,
      trunk: [{ id: 42 }, { minID: 7, maxID: 9 }, { id: 8 }],
      socket_file: "unix:/x/db.sock",
    }),
    { bridge: "br1", socket: "/x/db.sock", vlan: 100, mtu: 9000, trunk: [7, 8, 9, 42] },
  );
  assert.deepEqual(readOvsSettings({ bridge: "b", vlan: 0, socket_file: "" }), {
    bridge: "b",
    socket: "/run/openvswitch/db.sock",
    trunk: [],
  });
});

test("what is wrong with a configuration is said", () => {
  for (const [config, says] of [
    [{}, /"bridge"/],
    [{ bridge: "b", vlan: 4095 }, /"vlan"/],
    [{ bridge: "b", vlan: "7" }, /"vlan"/],
    [{ bridge: "b", trunk: [{ minID: 9, maxID: 7 }] }, /"trunk"/],
    [{ bridge: "b", trunk: {} }, /"trunk"/],
    [{ bridge: "b", mtu: 12 }, /"mtu"/],
  ] as const) {
    const problem = readOvsSettings(config);
    assert.ok(typeof problem === "string", JSON.stringify(config));
    assert.match(problem, says);
  }
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom("bridge", "vlan", "trunk", "mtu"), fc.jsonValue()), (config) => {
      readOvsSettings(config);
    }),
  );
});

test("a port is of its VLAN, or carries what its trunk says", () => {
  const modeOf = (settings: Parameters<typeof addPort>[0]): unknown => {
    const row = addPort(settings, "l", {}).find(({ table, op }) => table === "Port" && op === "insert")?.["row"];
    const { tag, trunks, vlan_mode: mode } = row as Readonly<Record<string, unknown>>;
    return [mode, tag, trunks];
  };
  const base = { bridge: "b", socket: "s" };
  assert.deepEqual(modeOf({ ...base, trunk: [] }), ["trunk", undefined, undefined]);
  assert.deepEqual(modeOf({ ...base, trunk: [], vlan: 7 }), ["access", 7, undefined]);
  assert.deepEqual(modeOf({ ...base, trunk: [8, 9], vlan: 7 }), ["native-untagged", 7, ["set", [8, 9]]]);
});

test("answers of the database are read, whatever stands in them", () => {
  assert.deepEqual(portIds({ rows: [{ _uuid: ["uuid", "a"] }] }), [["uuid", "a"]]);
  assert.equal(interfaceState({ rows: [{ ofport: ["set", []], error: ["set", []] }] }), undefined);
  assert.equal(interfaceState({ rows: [{ ofport: 3, error: ["set", []] }] }), "plugged");
  assert.deepEqual(interfaceState({ rows: [{ ofport: -1, error: "no such device" }] }), { error: "no such device" });
  fc.assert(
    fc.property(fc.jsonValue(), (answer) => {
      portIds(answer);
      interfaceState(answer);
    }),
  );
});
