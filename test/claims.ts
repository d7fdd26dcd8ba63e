import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { BindingField, Interface } from "../src/model/api/interfaces.ts";
import type { Network } from "../src/model/api/networks.ts";
import type { ClaimId } from "../src/model/explain/claim.ts";
import { explainVmi } from "../src/model/explain/explain.ts";
import { SPOOF_GUARD_ANNOTATION } from "../src/model/rules/spoof-guard.ts";
import type { PlanRequest } from "../src/model/wiring/plan.ts";
import { blank } from "./source-text.ts";

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
          const annotations = { [SPOOF_GUARD_ANNOTATION]: "true" };
          const guest = { namespace: "default", name: "guest", hostName: "guest" };
          const explained = explainVmi({ ...guest, spec, annotations, plugins });
          return explained.nics.flatMap(({ claims }) => claims.map(({ id }) => id));
        }),
      ),
  );
}

/** A step of a test that is waited for, and the claim at the head of its name. */
const STEP = /\bawait (?:step|t\.test)\(\s*"([a-z][a-zA-Z0-9]*\.[a-z][a-z0-9-]*): /g;

/** The claims that the kernel and guest tests have steps for, as often as they have; comments do not count. */
export function testedClaims(root: string): readonly string[] {
  return globSync(["test/kernel/*.test.ts", "test/guest/*.test.ts", "test/nested/*.test.ts"], { cwd: root }).flatMap(
    (file) => stepsOf(readFileSync(join(root, file), "utf8")),
  );
}

/** The claims that a test's text has steps for. */
export function stepsOf(source: string): readonly string[] {
  return [...blank(source, true).matchAll(STEP)].flatMap(([, id]) => id ?? []);
}
