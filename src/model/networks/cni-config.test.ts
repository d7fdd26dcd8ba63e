import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { atLeast, CNI_VERSIONS, normaliseVersion, parseCniConfig, parseCniObject } from "./cni-config.ts";

test("reads a list", () => {
  const { network, problems } = parseCniConfig(
    JSON.stringify({
      cniVersion: "1.0.0",
      name: "net",
      disableCheck: true,
      plugins: [
        { type: "bridge", bridge: "br0", ipam: { type: "host-local" } },
        { type: "portmap", capabilities: { portMappings: true, mac: false } },
      ],
    }),
  );
  assert.deepEqual(problems, []);
  assert.deepEqual(network, {
    name: "net",
    cniVersion: "1.0.0",
    disableCheck: true,
    plugins: [
      {
        type: "bridge",
        ipamType: "host-local",
        capabilities: [],
        config: { type: "bridge", bridge: "br0", ipam: { type: "host-local" } },
      },
      { type: "portmap", capabilities: ["portMappings"], config: { type: "portmap" } },
    ],
  });
});

test("makes a list of one of a single plugin's configuration", () => {
  const { network } = parseCniConfig('{"cniVersion":"0.3.1","name":"net","type":"ptp","mtu":1400}');
  assert.equal(network?.cniVersion, "0.3.1");
  assert.deepEqual(
    network?.plugins.map(({ type, config }) => [type, config["mtu"]]),
    [["ptp", 1400]],
  );
});

const base = { cniVersion: "1.0.0", name: "net", plugins: [{ type: "bridge" }] };
for (const [what, value, code, path] of [
  ["no name", { ...base, name: undefined }, "PB3004", "name"],
  ["a name that is no string", { ...base, name: 7 }, "PB3004", "name"],
  ["a name with a slash", { ...base, name: "a/b" }, "PB3004", "name"],
  ["no plugins", { ...base, plugins: [] }, "PB3004", "plugins"],
  ["plugins that are no list", { ...base, plugins: {} }, "PB3004", "plugins"],
  ["a plugin that is no object", { ...base, plugins: ["bridge"] }, "PB3004", "plugins[0]"],
  ["a plugin without type", { ...base, plugins: [{ type: "a" }, {}] }, "PB3004", "plugins[1].type"],
  [
    "an ipam's type that is a path",
    { ...base, plugins: [{ type: "sriov", ipam: { type: "../../bin/sh" } }] },
    "PB3004",
    "plugins[0].ipam.type",
  ],
  ["a type that is a path", { ...base, plugins: [{ type: "../sh" }] }, "PB3004", "plugins[0].type"],
  ["a single plugin without type", { cniVersion: "1.0.0", name: "net" }, "PB3004", "type"],
  ["an ipam that is no object", { ...base, plugins: [{ type: "a", ipam: "x" }] }, "PB3004", "plugins[0].ipam"],
  [
    "capabilities as a list",
    { ...base, plugins: [{ type: "a", capabilities: [] }] },
    "PB3004",
    "plugins[0].capabilities",
  ],
  ["a disableCheck of another type", { ...base, disableCheck: 3 }, "PB3004", "disableCheck"],
  ["a disableCheck that only prints as true", { ...base, disableCheck: ["true"] }, "PB3004", "disableCheck"],
  ["a disableCheck that cannot be printed", { ...base, disableCheck: { toString: 1 } }, "PB3004", "disableCheck"],
  ["an unknown version", { ...base, cniVersion: "9.9.9" }, "PB3005", "cniVersion"],
  ["a version that is no string", { ...base, cniVersion: 1 }, "PB3005", "cniVersion"],
  ["a list for the whole", [base], "PB3004", ""],
] as const) {
  test(`refuses ${what}`, () => {
    const { network, problems } = parseCniObject(value);
    assert.equal(network, undefined);
    assert.deepEqual(
      problems.map(({ severity, ...problem }) => [severity, problem.code, problem.path]),
      [["error", code, path]],
    );
    assert.ok(problems.every(({ message, cure }) => message.endsWith(".") && cure.length > 0));
  });
}

test("tells everything that is wrong at once", () => {
  const { problems } = parseCniObject({ plugins: [{}, { type: 1 }], cniVersion: "x" });
  assert.deepEqual(
    problems.map(({ path }) => path),
    ["name", "cniVersion", "plugins[0].type", "plugins[1].type"],
  );
});

test("reads a missing version as 0.1.0, with a warning", () => {
  const { network, problems } = parseCniObject({ name: "net", type: "bridge" });
  assert.equal(network?.cniVersion, "0.1.0");
  assert.deepEqual(
    problems.map(({ code, severity }) => [code, severity]),
    [["PB3005", "warning"]],
  );
});

test("takes the latest of several versions", () => {
  const { network } = parseCniObject({ ...base, cniVersions: ["0.4.0", "1.1.0", "7.0.0"] });
  assert.equal(network?.cniVersion, "1.1.0");
});

test("names line and column of bad JSON", () => {
  const { problems } = parseCniConfig('{\n  "name": "x",\n}');
  assert.deepEqual(
    problems.map(({ code, line, column }) => [code, line, column]),
    [["PB3003", 3, 1]],
  );
});

test("normalises versions", () => {
  assert.equal(normaliseVersion(" v1.0 "), "1.0.0");
  assert.equal(normaliseVersion("0.3.1"), "0.3.1");
  assert.equal(normaliseVersion("0.5.0"), undefined);
  assert.equal(normaliseVersion("1"), undefined);
  assert.ok(atLeast("1.0.0", "0.4.0") && atLeast("0.4.0", "0.4.0") && !atLeast("0.3.1", "0.4.0"));
  for (const version of CNI_VERSIONS) assert.equal(normaliseVersion(version), version);
});

test("never throws, and gives a network exactly when nothing is an error", () => {
  const value = fc.anything({ withNullPrototype: false });
  const shaped = fc.record(
    {
      cniVersion: fc.oneof(fc.constantFrom(...CNI_VERSIONS), fc.string(), value),
      name: fc.oneof(fc.string(), fc.constant("net"), value),
      type: fc.oneof(fc.string(), value),
      plugins: fc.oneof(fc.array(fc.oneof(fc.record({ type: fc.string() }), value)), value),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.oneof(shaped, value), (foreign) => {
      const { network, problems } = parseCniObject(foreign);
      assert.equal(
        network === undefined,
        problems.some(({ severity }) => severity === "error"),
      );
      assert.ok(network === undefined || network.plugins.length > 0);
    }),
  );
});

test("no bytes make it throw", () => {
  const text = '{"cniVersion": "1.0.0", "name": "n", "plugins": [{"type": "bridge", "ipam": {"type": "x"}}]}';
  const whole = new TextEncoder().encode(text);
  const damaged = fc
    .tuple(fc.nat(whole.length), fc.nat(8), fc.uint8Array({ maxLength: 8 }))
    .map(([at, gone, noise]) => {
      return Uint8Array.from([...whole.slice(0, at), ...noise, ...whole.slice(at + gone)]);
    });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 80 }), damaged), (bytes) => {
      const { network, problems } = parseCniConfig(bytes);
      assert.ok(network !== undefined || problems.length > 0);
    }),
  );
});
