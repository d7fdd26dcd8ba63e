import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Interface } from "../src/model/api/interfaces.ts";
import type { Network } from "../src/model/api/networks.ts";
import type { BindingField } from "../src/model/bindings/binding.ts";
import type { ClaimId } from "../src/model/explain/claim.ts";
import { explainVmi } from "../src/model/explain/explain.ts";
import type { PlanRequest } from "../src/model/wiring/plan.ts";

type Variant = readonly [binding: Partial<Interface>, network: Partial<Network>];

const pod = { pod: {} };
const lan = { multus: { networkName: "lan" } };

/** At least one use of each binding, and each of its uses that says something of its own. */
const variants: { readonly [Field in BindingField]: readonly Variant[] } = {
  masquerade: [[{ masquerade: {} }, pod]],
  bridge: [
    [{ bridge: {} }, pod],
    [{ bridge: {} }, lan],
    [{ bridge: {} }, { genie: { networkName: "flannel" } }],
  ],
  slirp: [[{ slirp: {} }, pod]],
  passt: [[{ passt: {} }, pod]],
  passtBinding: [[{ passtBinding: {} }, pod]],
  macvtap: [[{ macvtap: {} }, lan]],
  sriov: [[{ sriov: {} }, lan]],
  binding: [
    [{ binding: { name: "alone" } }, pod],
    [{ binding: { name: "tap" } }, lan],
    [{ binding: { name: "managed" } }, lan],
  ],
};

const plugins: NonNullable<PlanRequest["plugins"]> = new Map([
  ["alone", { sidecarImage: "image", computeResourceOverhead: { requests: { memory: "64Mi" } } }],
  ["tap", { domainAttachmentType: "tap" }],
  ["managed", { domainAttachmentType: "managedTap" }],
]);

/** Every claim that explain can make. */
export function everyClaim(): ReadonlySet<ClaimId> {
  return new Set(
    Object.values(variants)
      .flat()
      .flatMap(([binding, network]) =>
        [[], [{ port: 80 }]].flatMap((ports) => {
          const interfaces = [{ name: "a", ...binding, ports }];
          const spec = { domain: { devices: { interfaces } }, networks: [{ name: "a", ...network }] };
          const explained = explainVmi({ namespace: "default", name: "guest", hostName: "guest", spec, plugins });
          return explained.nics.flatMap(({ claims }) => claims.map(({ id }) => id));
        }),
      ),
  );
}

/** The claims whose names stand at the head of a kernel or guest test's name. */
export function testedClaims(root: string, claims: ReadonlySet<ClaimId>): ReadonlySet<ClaimId> {
  const tests = globSync(["test/kernel/*.test.ts", "test/guest/*.test.ts"], { cwd: root })
    .map((file) => readFileSync(join(root, file), "utf8"))
    .join("\n");
  return new Set([...claims].filter((id) => tests.includes(`"${id}: `)));
}
