import { randomUUID } from "node:crypto";
import { crdOf } from "../model/api/crd.ts";
import type { ResourceDefinition } from "../model/api/resource.ts";
import { timestampOf } from "../model/api/timestamp.ts";
import { crdKey } from "./crd-admission.ts";
import { sameJson } from "./json.ts";
import { put } from "./keeping.ts";
import type { Machinery } from "./machinery.ts";
import { asKubeObject } from "./object-meta.ts";
import { parseStored } from "./serving.ts";

/**
 * Lists the built-in kinds that are no Kubernetes' own as definitions, for clients that look for them: `builtIn` has the
 * versions of each by the definition's name, the stored one first. What says the same already is left as it is.
 */
export async function storeBuiltIn(
  machinery: Machinery,
  definition: ResourceDefinition,
  builtIn: ReadonlyMap<string, readonly ResourceDefinition[]>,
): Promise<void> {
  for (const [name, [first, ...others]] of builtIn) {
    if (first === undefined) continue;
    const wanted = asKubeObject(crdOf(first, others));
    await machinery.store.transact((transaction) => {
      const there = transaction.get(crdKey(name));
      const current = there === undefined ? undefined : asKubeObject(parseStored(there.body));
      if (current !== undefined && sameJson(current["spec"], wanted["spec"])) return;
      const {
        uid = randomUUID(),
        creationTimestamp = timestampOf(machinery.now()),
        generation = 0,
      } = current?.metadata ?? {};
      const metadata = { name, uid, creationTimestamp, generation: generation + 1 };
      const status = current === undefined ? {} : { status: current["status"] };
      put(machinery, definition, transaction, crdKey(name), { ...wanted, metadata, ...status });
    });
  }
}
