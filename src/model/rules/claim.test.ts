import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeObject } from "../api/resource.ts";
import { CLAIM_FINALIZER } from "../pods/claims.ts";
import { admitClaim } from "./claim.ts";

const SOUND = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } };

const claim = (spec: object, finalizers?: readonly string[]): KubeObject => ({
  apiVersion: "v1",
  kind: "PersistentVolumeClaim",
  metadata: { name: "data", namespace: "default", ...(finalizers && { finalizers }) },
  spec: { ...SOUND, ...spec },
});

function refused(object: KubeObject, earlier?: KubeObject): readonly string[] {
  const answer = admitClaim(object, earlier);
  return answer.allowed ? [] : answer.causes.map(({ reason, field }) => `${reason} ${field}`);
}

test("a claim gets its finalizer once, and a warning where this machine does not provide it", () => {
  const answer = admitClaim(claim({}, ["other"]), undefined);
  assert.ok(answer.allowed);
  assert.deepEqual([answer.object.metadata.finalizers, answer.warnings], [["other", CLAIM_FINALIZER], []]);
  const again = admitClaim(answer.object, undefined);
  assert.ok(again.allowed && again.object.metadata.finalizers?.length === 2);
  const foreign = admitClaim(claim({ storageClassName: "fast" }), undefined);
  assert.ok(foreign.allowed);
  assert.match(foreign.warnings.join(), /^PB5081: The claim default\/data .*"fast".*leave storageClassName out/);
});

test("modes and size are required and possible", () => {
  const size = "spec.resources.requests.storage";
  assert.deepEqual(refused(claim({ accessModes: [] })), ["FieldValueRequired spec.accessModes"]);
  assert.deepEqual(refused(claim({ accessModes: ["ReadWriteOncePod", "ReadOnlyMany"] })), [
    "FieldValueForbidden spec.accessModes",
  ]);
  assert.deepEqual(refused(claim({ resources: {} })), [`FieldValueRequired ${size}`]);
  assert.deepEqual(refused(claim({ resources: { requests: { storage: "0" } } })), [`FieldValueInvalid ${size}`]);
  assert.deepEqual(refused(claim({ resources: { requests: { storage: -1 } } })), [`FieldValueInvalid ${size}`]);
});

test("the spec stays, but for the name of the volume, which is given once", () => {
  const size = (storage: string | number) => ({ resources: { requests: { storage } } });
  const named = claim({ volumeName: "pvc-u1" });
  assert.deepEqual(refused(named, claim({})), []);
  assert.deepEqual(refused(claim(size("1024Mi")), claim({})), []);
  assert.deepEqual(refused(claim(size(1 << 30)), claim({})), []);
  assert.deepEqual(refused(claim({}), named), ["FieldValueForbidden spec"]);
  assert.deepEqual(refused(claim({ volumeName: "other" }), named), ["FieldValueForbidden spec"]);
  assert.deepEqual(refused(claim({ accessModes: ["ReadWriteMany"] }), claim({})), ["FieldValueForbidden spec"]);
  for (const other of ["2Gi", "512Mi"]) {
    assert.deepEqual(refused(claim(size(other)), claim({})), ["FieldValueForbidden spec.resources.requests.storage"]);
  }
});
