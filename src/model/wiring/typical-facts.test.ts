import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCniObject } from "../networks/cni-config.ts";
import { nicContexts } from "./nics.ts";
import { factsFor } from "./typical-facts.ts";

test("stand-in MACs are none that a NIC of the manifest has, and each is there once", () => {
  const macs = ["", "02:00:00:00:00:01", "", "02-00-00-00-00-03", ""];
  const nics = nicContexts({
    spec: {
      domain: {
        devices: {
          interfaces: macs.map((macAddress, index) => ({
            name: `n${index}`,
            bridge: {},
            ...(macAddress === "" ? {} : { macAddress }),
          })),
        },
      },
      networks: macs.map((_, index) => ({ name: `n${index}`, multus: { networkName: "lan" } })),
    },
    hostName: "guest",
  });
  const found = factsFor(nics, () => undefined).links.map(({ mac }) => mac);
  assert.equal(new Set(found).size, macs.length);
  assert.deepEqual(found.filter((mac) => mac === "02:00:00:00:00:01").length, 1);
  assert.deepEqual(found, [
    "02:00:00:00:00:02",
    "02:00:00:00:00:01",
    "02:00:00:00:00:05",
    "02:00:00:00:00:03",
    "02:00:00:00:00:07",
  ]);
});

test("a plugin that is plugged by a tap finds one, whatever its network is made of", () => {
  const { links } = factsFor(
    nicContexts({
      spec: {
        domain: { devices: { interfaces: [{ name: "red", binding: { name: "p" } }] } },
        networks: [{ name: "red", multus: { networkName: "lan" } }],
      },
      hostName: "guest",
      plugins: new Map([["p", { domainAttachmentType: "tap" }]]),
    }),
    () => parseCniObject({ cniVersion: "1.0.0", name: "lan", type: "bridge" }).network,
  );
  assert.deepEqual(
    links.map(({ name, kind }) => `${name} ${kind}`),
    ["podb1f51a511f1 veth", "tapb1f51a511f1 tun"],
  );
});
