import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { type TestContext, test } from "node:test";
import { ApiError } from "../model/api/status.ts";
import type { Vmi } from "./api-access.ts";
import { connectPort } from "./port-forward.ts";

function vmi(ipAddress: string | undefined, conditions: readonly { type: string; status: string }[] = []): Vmi {
  const interfaces = ipAddress === undefined ? [] : [{ name: "default", ipAddress }];
  return { metadata: { name: "a", namespace: "b" }, status: { interfaces, conditions } } as unknown as Vmi;
}

async function refusal(of: Promise<unknown>): Promise<string> {
  try {
    await of;
  } catch (thrown) {
    assert.ok(thrown instanceof ApiError);
    return `${thrown.status.code} ${thrown.status.message}`;
  }
  assert.fail("not refused");
}

async function listen(t: TestContext): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

test("an address that a guest's agent says leads to no service of this machine", async (t) => {
  const port = await listen(t);
  const own = Object.values(networkInterfaces()).flatMap((of) => (of ?? []).map(({ address }) => address));
  assert.ok(own.includes("127.0.0.1"));
  const others = [
    "127.9.9.9",
    "0.0.0.0",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "169.254.169.254",
    "fe80::1",
    "255.255.255.255",
  ];
  for (const address of [...own, ...others]) {
    assert.match(await refusal(connectPort(vmi(address), [String(port)])), /^403 .*is this machine's/, address);
  }
});

test("what cannot be forwarded is refused before anything is connected", async () => {
  const guest = vmi("10.200.0.2");
  assert.match(await refusal(connectPort(guest, ["0"])), /^400 "0" is no port/);
  assert.match(await refusal(connectPort(guest, ["65536"])), /^400 "65536" is no port/);
  assert.match(await refusal(connectPort(guest, ["80", "udp"])), /^400 "udp" is not forwarded/);
  assert.match(await refusal(connectPort(vmi(undefined), ["80"])), /^409 .*no address/);
  const paused = vmi("10.200.0.2", [{ type: "Paused", status: "True" }]);
  assert.match(await refusal(connectPort(paused, ["80"])), /^409 .*paused/);
});
