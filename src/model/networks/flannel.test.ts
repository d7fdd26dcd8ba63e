import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type FlannelSubnet, flannelDelegate, flannelSubnetFile, parseFlannelSubnet } from "./flannel.ts";

const DUAL = `FLANNEL_NETWORK=10.244.0.0/16
FLANNEL_SUBNET=10.244.3.1/24
FLANNEL_IPV6_NETWORK=fd00:10::/56
FLANNEL_IPV6_SUBNET=fd00:10:0:3::1/64
FLANNEL_MTU=1450
FLANNEL_IPMASQ=true
`;

const flannel = (config: Readonly<Record<string, unknown>> = {}) => ({
  type: "flannel",
  capabilities: ["portMappings"],
  config: { type: "flannel", ...config },
});

function subnet(text: string): FlannelSubnet {
  const read = parseFlannelSubnet(text);
  assert.ok(typeof read !== "string", String(read));
  return read;
}

test("the delegate is a bridge with an address of the node's subnet", () => {
  assert.deepEqual(flannelDelegate(flannel({ delegate: { isDefaultGateway: true } }), subnet(DUAL)), {
    type: "bridge",
    ipamType: "host-local",
    capabilities: ["portMappings"],
    config: {
      type: "bridge",
      isGateway: true,
      isDefaultGateway: true,
      ipMasq: false,
      mtu: 1450,
      ipam: {
        type: "host-local",
        ranges: [[{ subnet: "10.244.3.0/24" }], [{ subnet: "fd00:10:0:3::/64" }]],
        routes: [{ dst: "10.244.0.0/16" }, { dst: "fd00:10::/56" }],
      },
    },
  });
});

test("what the delegate says itself stays, but for the address", () => {
  const delegate = {
    type: "ptp",
    mtu: 1300,
    ipMasq: false,
    ipam: { dataDir: "/d", type: "static", routes: [{ dst: "1.2.3.0/24" }] },
  };
  const { type, config } = flannelDelegate(flannel({ delegate }), subnet(DUAL.replace("IPMASQ=true", "IPMASQ=false")));
  assert.deepEqual([type, config["mtu"], config["ipMasq"], config["isGateway"]], ["ptp", 1300, false, undefined]);
  assert.deepEqual(config["ipam"], {
    dataDir: "/d",
    type: "host-local",
    ranges: [[{ subnet: "10.244.3.0/24" }], [{ subnet: "fd00:10:0:3::/64" }]],
    routes: [{ dst: "1.2.3.0/24" }, { dst: "10.244.0.0/16" }, { dst: "fd00:10::/56" }],
  });
});

test("what is no subnet is said", () => {
  for (const [text, says] of [
    ["", /no FLANNEL_NETWORK/],
    ["FLANNEL_NETWORK=10.0.0.0/8\n", /FLANNEL_SUBNET is no address/],
    ["FLANNEL_SUBNET=10.0.0.1/24\n", /FLANNEL_NETWORK is no network/],
    [DUAL.replace("1450", "x"), /FLANNEL_MTU is no MTU/],
    [DUAL.replace("fd00:10:0:3::1/64", "fd00"), /FLANNEL_IPV6_SUBNET/],
  ] as const) {
    const problem = parseFlannelSubnet(text);
    assert.ok(typeof problem === "string", text);
    assert.match(problem, says);
  }
  fc.assert(fc.property(fc.string(), (text) => void parseFlannelSubnet(text)));
});

test("the file is flanneld's, unless the configuration names another", () => {
  assert.equal(flannelSubnetFile(flannel()), "/run/flannel/subnet.env");
  assert.equal(flannelSubnetFile(flannel({ subnetFile: "/x" })), "/x");
});
