import assert from "node:assert/strict";
import { test } from "node:test";
import type { VmiSpec } from "../model/api/vmi.ts";
import { isFault } from "../model/fault.ts";
import { devicesOf } from "./guest-devices.ts";

type Domain = VmiSpec["domain"];

const domain = (fields: Partial<Domain>, devices: Domain["devices"] = {}): Domain => ({ ...fields, devices });

function refusedAt(asked: Domain): string | undefined {
  try {
    devicesOf(asked);
    return undefined;
  } catch (thrown) {
    assert.ok(isFault(thrown, "PB5077"), String(thrown));
    return thrown.place;
  }
}

test("who asks for what guests do not get is refused, at its place", () => {
  assert.equal(refusedAt(domain({}, { gpus: [{ name: "g", deviceName: "d" }] })), "spec.domain.devices.gpus");
  assert.equal(refusedAt(domain({}, { tpm: {} })), "spec.domain.devices.tpm");
  assert.equal(refusedAt(domain({}, { gpus: [] })), undefined);
  const keyboard = [{ name: "k", type: "keyboard" }];
  assert.equal(refusedAt(domain({}, { inputs: keyboard })), "spec.domain.devices.inputs[0]");
  assert.equal(refusedAt(domain({}, { watchdog: { diag288: {} } })), "spec.domain.devices.watchdog");
  const pause = { i6300esb: { action: "pause" } };
  assert.equal(refusedAt(domain({}, { watchdog: pause })), "spec.domain.devices.watchdog.i6300esb.action");
});

test("a guest whose memory is to be protected does not start without that", () => {
  for (const launchSecurity of [{ sev: {} }, { snp: {} }, { tdx: {} }]) {
    assert.equal(refusedAt(domain({ launchSecurity })), "spec.domain.launchSecurity");
  }
});

test("a watchdog resets the guest where nothing else is said; a tablet comes by itself where that is asked for", () => {
  assert.equal(devicesOf(domain({}, { watchdog: { i6300esb: {} } })).watchdog, "reset");
  assert.deepEqual(devicesOf(domain({}, { autoattachInputDevice: true })).tablets, [{ name: "default-0", bus: "usb" }]);
});
