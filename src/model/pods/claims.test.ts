import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Fault, isFault, sentence } from "../fault.ts";
import {
  type Claim,
  type ClaimUse,
  capacityOf,
  imageBytes,
  requireFree,
  unprovidable,
  volumeNameOf,
} from "./claims.ts";

type Spec = NonNullable<Claim["spec"]>;

function claim(spec: Spec): Claim {
  const metadata = { name: "data", namespace: "default", uid: "u1", resourceVersion: "1" };
  return { apiVersion: "v1", kind: "PersistentVolumeClaim", metadata, spec };
}

const sized = (storage: string | number): Claim => claim({ resources: { requests: { storage } } });

test("an image has what is asked for, up to whole MiB, and the status says it in the manifest's words where it can", () => {
  assert.deepEqual([imageBytes(sized("1Gi")), capacityOf(sized("1Gi"))], [1n << 30n, "1Gi"]);
  assert.deepEqual([imageBytes(sized("1G")), capacityOf(sized("1G"))], [954n << 20n, "954Mi"]);
  assert.deepEqual([imageBytes(sized(1)), capacityOf(sized(1))], [1n << 20n, "1Mi"]);
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: 1n << 50n }), (bytes) => {
      const made = imageBytes(sized(String(bytes)));
      return made >= bytes && made - bytes < 1n << 20n && imageBytes(sized(capacityOf(sized(String(bytes))))) === made;
    }),
  );
});

test("what this machine has not is named with its cure, all at once", () => {
  const says = (spec: Spec): string => {
    const fault: Fault | undefined = unprovidable(claim(spec));
    assert.equal(fault?.code, "PB5081");
    return fault === undefined ? "" : sentence(fault);
  };
  for (const sound of [{}, { storageClassName: "" }, { storageClassName: "patchbay", volumeMode: "Filesystem" }]) {
    assert.equal(unprovidable(claim(sound as Spec)), undefined);
  }
  assert.equal(unprovidable(claim({ volumeName: volumeNameOf(claim({})) })), undefined);
  assert.match(says({ volumeMode: "Block" }), /default\/data.*volumeMode Block.*leave volumeMode out/);
  assert.match(says({ dataSource: { kind: "VolumeSnapshot" } }), /dataSource cannot be copied/);
  assert.match(says({ dataSourceRef: {} }), /dataSource/);
  assert.match(says({ volumeName: "other" }), /no PersistentVolumes/);
  assert.match(says({ selector: {} }), /no PersistentVolumes/);
  assert.match(says({ volumeAttributesClassName: "gold" }), /no volumeAttributesClass "gold"/);
  assert.match(
    says({ storageClassName: "fast", volumeMode: "Block" }),
    /Block.*"fast".*volumeMode out.*or write patchbay/,
  );
});

const use = (fields: Partial<ClaimUse> = {}): ClaimUse => ({
  uid: "u1",
  namespace: "default",
  name: "data",
  disk: "data",
  writes: true,
  shareable: false,
  alone: false,
  shared: false,
  ...fields,
});

test("one writes or several read; who is in the way is named", () => {
  const held = (by: Partial<ClaimUse>) => [{ vmi: { namespace: "default", name: "db" }, claims: [use(by)] }];
  const isFree = (uses: readonly ClaimUse[], by: Partial<ClaimUse>): boolean => {
    try {
      requireFree(uses, held(by));
      return true;
    } catch (thrown) {
      assert.ok(isFault(thrown, "PB5082"));
      return false;
    }
  };
  const [reads, shared] = [{ writes: false }, { shareable: true }];
  assert.equal(isFree([use()], { uid: "u2" }), true);
  assert.equal(isFree([use(reads)], reads), true);
  assert.equal(isFree([use(shared)], shared), true);
  assert.equal(isFree([use(reads)], {}), false);
  assert.equal(isFree([use()], reads), false);
  assert.equal(isFree([use(shared)], {}), false);
  assert.equal(isFree([use({ ...reads, alone: true })], { ...reads, alone: true }), false);
  assert.equal(isFree([use(), use({ disk: "again" })], { uid: "u2" }), false);
  assert.equal(isFree([use({ ...reads, alone: true }), use({ ...reads, alone: true })], { uid: "u2" }), true);
  assert.throws(
    () => requireFree([use({ disk: "root" })], held({})),
    /claim default\/data is in use: the VMI default\/db writes on it as its disk "data"; the disk "root"/,
  );
});
