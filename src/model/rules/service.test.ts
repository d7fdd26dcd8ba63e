import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeObject } from "../api/resource.ts";
import { admitService } from "./service.ts";

const service = (spec: Readonly<Record<string, unknown>>, name = "web"): KubeObject => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name, namespace: "default" },
  spec,
});

test("a Service gets the ports of its pods, and is said to forward nothing", () => {
  const ports = [
    { port: 80, protocol: "TCP", name: "http" },
    { port: 80, protocol: "UDP", name: "quic", targetPort: "quic" },
  ];
  const answer = admitService(service({ ports }));
  assert.ok(answer.allowed);
  const { ports: completed } = answer.object["spec"] as { ports: { targetPort: unknown }[] };
  assert.deepEqual(
    completed.map(({ targetPort }) => targetPort),
    [80, "quic"],
  );
  assert.match(answer.warnings.join(), /forwards nothing/);
});

test("a headless one and an external name need no port", () => {
  assert.ok(admitService(service({ clusterIP: "None", selector: { app: "web" } })).allowed);
  assert.ok(admitService(service({ type: "ExternalName", externalName: "example.org" })).allowed);
});

const http = { port: 80, protocol: "TCP", name: "http" };
const refusals: readonly (readonly [string, KubeObject, readonly string[]])[] = [
  ["no port", service({}), ["spec.ports"]],
  ["an external name that is none", service({ type: "ExternalName" }), ["spec.externalName"]],
  [
    "ports without names",
    service({
      ports: [
        { port: 80, protocol: "TCP" },
        { port: 81, protocol: "TCP" },
      ],
    }),
    ["spec.ports[0].name", "spec.ports[1].name"],
  ],
  ["a port twice", service({ ports: [http, { ...http, name: "again" }] }), ["spec.ports[1]"]],
  ["a name twice", service({ ports: [http, { ...http, port: 81 }] }), ["spec.ports[1].name"]],
  ["a name that is no label", service({ ports: [{ ...http, name: "HTTP" }] }), ["spec.ports[0].name"]],
  ["a digit first in its name", service({ ports: [http] }, "1web"), ["metadata.name"]],
];
for (const [what, object, fields] of refusals) {
  test(`a Service is refused for ${what}`, () => {
    const answer = admitService(object);
    assert.ok(!answer.allowed);
    assert.deepEqual(
      answer.causes.map(({ field }) => field),
      fields,
    );
  });
}
