import assert from "node:assert/strict";
import { test } from "node:test";
import type { PodFacts } from "../wiring/facts.ts";
import { type NicsRequest, nicContexts } from "../wiring/nics.ts";
import { typicalFacts } from "../wiring/typical-facts.ts";
import { overlapsOf } from "./masquerade-sides.ts";

function told(pod: NonNullable<NonNullable<NicsRequest["spec"]["networks"]>[number]["pod"]>, facts = typicalFacts) {
  const spec = {
    domain: { devices: { interfaces: [{ name: "red", masquerade: {} }] } },
    networks: [{ name: "red", pod }],
  };
  return overlapsOf(nicContexts({ spec, hostName: "guest" }), facts).map(
    ({ splits, fault: { code, message, place, cure } }) => [splits, `${code} ${place}: ${message} ${cure}`],
  );
}

test("the networks that a guest has by default hide nothing of a typical pod's", () => {
  assert.deepEqual(told({}), []);
});

test("a guest's network that holds the pod's own splits the pod from its network, and something else is proposed", () => {
  assert.deepEqual(told({ vmNetworkCIDR: "10.244.0.0/24", vmIPv6NetworkCIDR: "fd10::/16" }), [
    [
      true,
      'PB4003 spec.networks[0].pod.vmNetworkCIDR: vmNetworkCIDR "10.244.0.0/24" of the network "red" overlaps the pod\'s own network: it hides the router 10.244.0.1 and what else is in the pod\'s 10.244.0.0/24. Choose a network that the pod has no use for, such as 10.0.2.0/24.',
    ],
    [
      true,
      'PB4003 spec.networks[0].pod.vmIPv6NetworkCIDR: vmIPv6NetworkCIDR "fd10::/16" of the network "red" overlaps the pod\'s own network: it hides the name server fd10:96::a, the router fd10:244::1 and what else is in the pod\'s fd10:244::/64. Choose a network that the pod has no use for, such as fd10:0:2::/120.',
    ],
  ]);
  const inDefault: PodFacts = {
    ...typicalFacts,
    links: typicalFacts.links.map((link) => ({ ...link, addresses: [{ cidr: "10.0.2.9/32", scope: "global" }] })),
    routes: [],
  };
  assert.match(
    told({}, inDefault).join(),
    /hides what else is in the pod's 10\.0\.2\.9\/32\. .* such as 10\.0\.242\.0\/24/,
  );
});

test("a name server alone is missing to the guest, not to the pod", () => {
  const [[splits, text] = []] = told({ vmNetworkCIDR: "10.96.0.0/16" });
  assert.equal(splits, false);
  assert.match(String(text), /hides the name server 10\.96\.0\.10 from the guest\./);
});
