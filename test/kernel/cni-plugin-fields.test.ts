// The fields that src/model/networks/cni-plugin-fields.ts gives to Debian's CNI plugins, against the installed programs:
// a Go program holds the JSON names of the fields that it decodes.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { cniPluginFolder } from "../../src/host/setup/needs.ts";
import { ipamFields, pluginFields } from "../../src/model/networks/cni-plugin-fields.ts";
import { needs } from "../needs.ts";

const PLUGINS = [
  "bridge",
  "ptp",
  "macvlan",
  "ipvlan",
  "vlan",
  "host-device",
  "loopback",
  "tuning",
  "portmap",
  "bandwidth",
  "firewall",
  "sbr",
  "vrf",
];
const IPAM = ["host-local", "static", "dhcp"];

/** JSON names in a plugin's program: those of its configuration, of CNI's own types and of libraries. */
function decoded(type: string): ReadonlySet<string> {
  const program = readFileSync(join(cniPluginFolder, type), "latin1");
  return new Set(Array.from(program.matchAll(/json:"([A-Za-z0-9_]+)[",]/g), ([, name = ""]) => name));
}

/** Names of fields deeper inside, or that the runtime fills in. */
const NESTED = new Set(
  "add allow args bandwidth bytes cni containerPort deviceID hostIP hostPort ignoreunknown ipRanges ips mac portMappings protocol fromArg option skipDefault value runtimeConfig address".split(
    " ",
  ),
);

test("each field that is told of a plugin of Debian's is in its program, and the other way round", (t) => {
  if (!needs(t, "cni")) return;
  const version = spawnSync("dpkg-query", ["-W", "-f", `\${Version}`, "containernetworking-plugins"], {
    encoding: "utf8",
  });
  // loopback reads nothing of its own: what it has, every plugin has.
  const general = decoded("loopback");
  for (const type of [...PLUGINS, ...IPAM]) {
    const known = pluginFields(type) ?? ipamFields(type);
    assert.ok(known);
    const names = decoded(type);
    // Fields that every plugin may have come from a library, and some programs need no name for them.
    const own = known.fields.filter((field) => !["runtimeConfig", "args", "prevResult", "name"].includes(field));
    assert.deepEqual(
      own.filter((field) => !names.has(field)),
      [],
      `${type} does not have these`,
    );
    if (!version.stdout.startsWith("1.1.1")) continue;
    assert.deepEqual(
      known.later.filter((field) => names.has(field)),
      [],
      `${type} has these already`,
    );
    // bridge holds the names of nftables' JSON as well.
    if (type === "bridge") continue;
    assert.deepEqual(
      [...names].filter((name) => !known.fields.includes(name) && !general.has(name) && !NESTED.has(name)),
      [],
      `${type} has these too`,
    );
  }
});
