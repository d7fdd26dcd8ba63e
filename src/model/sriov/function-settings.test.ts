import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { JsonObject } from "../json.ts";
import { earlierOf, parseFunctionSettings, readSriovSettings } from "./function-settings.ts";

const DEVICE = { deviceID: "0000:02:10.0" };

test("the configuration of the plugin sriov says how the function is set", () => {
  assert.deepEqual(readSriovSettings(DEVICE), { deviceId: "0000:02:10.0", settings: {} });
  const config = {
    ...DEVICE,
    mac: "02-00-00-00-00-01",
    vlan: 100,
    vlanQoS: 3,
    vlanProto: "802.1AD",
    spoofchk: "off",
    trust: "on",
    link_state: "enable",
    max_tx_rate: 100,
  };
  assert.deepEqual(readSriovSettings(config, "02:00:00:00:00:02"), {
    deviceId: "0000:02:10.0",
    settings: {
      mac: "02:00:00:00:00:02",
      vlan: { id: 100, qos: 3, proto: "802.1ad" },
      spoofCheck: false,
      trust: true,
      linkState: "enable",
      rate: { min: 0, max: 100 },
    },
  });
  const own = readSriovSettings(config);
  assert.ok(typeof own !== "string" && own.settings.mac === "02:00:00:00:00:01");
});

test("what cannot be set is told", () => {
  const says = (config: JsonObject, words: RegExp): void => {
    const reading = readSriovSettings(config);
    assert.ok(typeof reading === "string" && words.test(reading), JSON.stringify(reading));
  };
  says({}, /no "deviceID"/);
  says({ deviceID: "../../etc" }, /no "deviceID"/);
  says({ ...DEVICE, mac: "x" }, /no MAC: x/);
  says({ ...DEVICE, vlan: 4095 }, /"vlan" is not a number from 0 to 4094/);
  says({ ...DEVICE, vlan: 1, vlanQoS: 8 }, /"vlanQoS"/);
  says({ ...DEVICE, vlan: 1, vlanProto: "qinq" }, /"vlanProto"/);
  says({ ...DEVICE, spoofchk: "yes" }, /"spoofchk" is neither/);
  says({ ...DEVICE, trust: true }, /"trust" is neither/);
  says({ ...DEVICE, link_state: "up" }, /"link_state"/);
  says({ ...DEVICE, min_tx_rate: -1 }, /"min_tx_rate"/);
});

test("of what was before, that is kept which is changed; what was kept is read back", () => {
  const before = { mac: "00:00:00:00:00:00", spoofCheck: true, trust: false, linkState: "auto" } as const;
  assert.deepEqual(earlierOf({ trust: true, rate: { min: 1, max: 2 } }, before), { trust: false });
  const whole = { ...before, vlan: { id: 5, qos: 1, proto: "802.1ad" }, rate: { min: 0, max: 10 } } as const;
  assert.deepEqual(parseFunctionSettings(JSON.parse(JSON.stringify(whole))), whole);
  assert.equal(parseFunctionSettings([]), undefined);
  fc.assert(fc.property(fc.jsonValue(), (value) => void parseFunctionSettings(value)));
  fc.assert(fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => void readSriovSettings(value)));
});
