import assert from "node:assert/strict";
import { test } from "node:test";
import { explainVmi } from "../explain/explain.ts";
import { nicContexts } from "../wiring/nics.ts";
import { unbuiltOf } from "../wiring/unbuilt.ts";
import { builtInBinding, unregisteredSlirp } from "./built-in-plugins.ts";

const spec = {
  domain: { devices: { interfaces: [{ name: "default", binding: { name: "own" }, ports: [{ port: 80 }] }] } },
  networks: [{ name: "default", pod: {} }],
};
const registered = (sidecarImage: string) => new Map([["own", { sidecarImage }]]);

test("a plugin whose image is KubeVirt's own is built in, whatever its registry, tag and name", () => {
  const fieldOf = (sidecarImage: string) => builtInBinding({ name: "x", sidecarImage })?.field;
  assert.equal(fieldOf("quay.io/kubevirt/network-slirp-binding:20230830_638c60fc8"), "slirp");
  assert.equal(fieldOf("registry:5000/a/network-passt-binding@sha256:00"), "passtBinding");
  assert.equal(fieldOf("network-passt-binding"), "passtBinding");
  assert.equal(fieldOf("quay.io/kubevirt/my-network-passt-binding:1"), undefined);
  assert.equal(builtInBinding({ name: "slirp" }), undefined);
});

test("it is wired and explained as the binding itself, and needs no sidecar", () => {
  const plugins = registered("quay.io/kubevirt/network-slirp-binding:1");
  assert.deepEqual(unbuiltOf(nicContexts({ spec, hostName: "guest", plugins })), []);
  const explained = explainVmi({ namespace: "default", name: "guest", hostName: "guest", spec, plugins });
  const said = (topic: string) => explained.nics[0]?.claims.find(({ id }) => id === `binding.${topic}`);
  assert.deepEqual(said("in")?.["ports"], [{ protocol: "tcp", port: 80 }]);
  assert.equal(said("out")?.["guest"], "10.0.2.15");
  assert.deepEqual(said("needs")?.["needs"], [{ what: "registration", name: "own" }]);
  const [unbuilt] = unbuiltOf(nicContexts({ spec, hostName: "guest", plugins: registered("elsewhere/mine:1") }));
  assert.equal(unbuilt?.code, "PB4026");
  assert.match(unbuilt.message, /sidecar image elsewhere\/mine:1, which runs in a pod of Kubernetes alone/);
});

test("S3.45: slirp without its plugin is warned of, with the image that KubeVirt 1.1 takes", () => {
  const slirp = { ...spec, domain: { devices: { interfaces: [{ name: "default", slirp: {} }] } } };
  assert.match(unregisteredSlirp(slirp, new Map()) ?? "", /network-slirp-binding:20230830_638c60fc8/);
  assert.equal(unregisteredSlirp(slirp, new Map([["slirp", {}]])), undefined);
  assert.equal(unregisteredSlirp(spec, new Map()), undefined);
});
