import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { pino } from "pino";
import { parse } from "yaml";
import { makeEventRecorder } from "../../src/client/events.ts";
import type { Node } from "../../src/model/api/core.ts";
import { definitions } from "../../src/model/api/kinds.ts";
import { configMapResource, eventResource, nodeResource } from "../../src/model/api/references.ts";
import type { KubeObject } from "../../src/model/api/resource.ts";
import { MACVTAP_CONFIG_KEY, MACVTAP_CONFIG_MAP } from "../../src/model/pods/macvtap-devices.ts";
import { makeMacvtapDevices } from "../../src/node/macvtap-devices.ts";
import { keepNode } from "../../src/node/registration.ts";
import { twinText } from "../documents/pages.ts";
import { lastFirst } from "../last-first.ts";
import { needs } from "../needs.ts";
import { makeFolder, startSample, until } from "./apiserver-sample.ts";

const log = pino({ level: "silent" });

/** An API server with every kind, and who tells it of events. */
async function startWithEvents() {
  const { folder, remove } = makeFolder();
  const { client, stop } = await startSample(folder, { definitions });
  const events = makeEventRecorder(client, "test", log);
  return {
    client,
    events,
    async stop() {
      await events.flush();
      await stop();
      remove();
    },
  };
}

test("a list of macvtap devices that cannot be read widens nothing: neither at first nor later", async (t) => {
  if (!needs(t, "root")) return;
  const { client, events, stop } = await startWithEvents();
  const after = lastFirst(t);
  after(stop);
  const metadata = { name: MACVTAP_CONFIG_MAP, namespace: "default" };
  const write = (text: string): Promise<unknown> =>
    client.patch(configMapResource, metadata, "merge", { data: { [MACVTAP_CONFIG_KEY]: text } });
  const lists = '[{"name": "a", "lowerDevice": "no-such-link"}]';
  await client.create(configMapResource, {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata,
    data: { [MACVTAP_CONFIG_KEY]: "[{]" },
  });
  const devices = makeMacvtapDevices({ binDirs: [], log });
  after(() => devices.close());
  const offered = (): readonly string[] => devices.pools().map(({ resource }) => resource);
  assert.deepEqual(offered(), []);
  let changes = 0;
  await devices.follow(client, events, () => {
    changes += 1;
  });
  assert.deepEqual(offered(), []);

  await write(lists);
  await until("that the list is read", () => Promise.resolve(offered().length === 1));
  assert.equal(changes, 1);
  await write("nothing");
  await until("that the faults are told", async () => {
    const told = await client.list<KubeObject & { readonly message?: string }>(eventResource, {});
    return told.items.filter(({ message }) => message?.includes(MACVTAP_CONFIG_MAP)).length >= 2;
  });
  assert.deepEqual(offered(), ["macvtap.network.kubevirt.io/a"]);
  await client.delete(configMapResource, metadata);
  // Of a machine without cards as well: the list is another.
  await until("that every link is offered", () => Promise.resolve(changes === 2));
  assert.ok(!offered().includes("macvtap.network.kubevirt.io/a"));
});

/** The network cards and bonds of this machine, as sysfs has them. */
function cardsAndBonds(): readonly string[] {
  const folder = "/sys/class/net";
  return readdirSync(folder).filter((name) =>
    ["device", "bonding"].some((part) => existsSync(`${folder}/${name}/${part}`)),
  );
}

test("S3.96: an empty list has the node offer each of its cards and bonds by its own name, and no other link", async (t) => {
  if (!needs(t, "root")) return;
  const { client, events, stop } = await startWithEvents();
  const after = lastFirst(t);
  after(stop);
  const map: KubeObject & { readonly data: Readonly<Record<string, string>> } = parse(twinText("macvtap-all-devices"));
  assert.deepEqual(JSON.parse(map.data[MACVTAP_CONFIG_KEY] ?? ""), []);
  const limiting = { [MACVTAP_CONFIG_KEY]: '[{"name": "a", "lowerDevice": "lo", "capacity": 3}]' };
  const metadata = { ...map.metadata, namespace: "default" };
  await client.create(configMapResource, { ...map, metadata, data: limiting });
  const devices = makeMacvtapDevices({ binDirs: [], log });
  after(() => devices.close());
  const machine = { nodeName: "n", accel: "tcg", version: "0", qemu: "0", pools: devices.pools } as const;
  const node = await keepNode(client, machine, log);
  after(() => node.close());
  await devices.follow(client, events, node.refresh);
  const offers = async (wanted: Readonly<Record<string, string>>): Promise<boolean> => {
    const { status } = await client.get<Node & KubeObject>(nodeResource, { name: "n" });
    const devices = Object.entries({ ...status?.allocatable }).filter(([name]) => name.includes("/"));
    return isDeepStrictEqual(Object.fromEntries(devices), wanted);
  };
  await until("the one of the list alone", () => offers({ "macvtap.network.kubevirt.io/a": "0" }));

  await client.patch(configMapResource, metadata, "merge", { data: map.data });
  const all = cardsAndBonds().map((name) => [`macvtap.network.kubevirt.io/${name}`, "100"]);
  await until("every card and bond", () => offers(Object.fromEntries(all)));
});
