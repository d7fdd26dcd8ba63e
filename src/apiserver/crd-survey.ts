import { kindOfVersion } from "../model/api/crd-kinds.ts";
import type { CrdStatus, CustomResourceDefinition } from "../model/api/crd-types.ts";
import type { KubeObject, ResourceDefinition } from "../model/api/resource.ts";
import type { CustomKind } from "./catalog.ts";
import { asCrd, CRD_GROUP, CRD_PLURAL, isReadable } from "./crd-admission.ts";
import { claim, crdStatus, makeClaims, type NameClaims } from "./crd-status.ts";
import { sameJson } from "./json.ts";
import { asKubeObject } from "./object-meta.ts";
import { everyStored } from "./reads.ts";
import { servedObject } from "./serving.ts";
import type { Store, StoredObject } from "./store.ts";

/** A definition of the store with what is to become of it. */
export interface SurveyedCrd {
  readonly stored: StoredObject;
  readonly object: KubeObject;
  readonly crd: CustomResourceDefinition;
  readonly status: CrdStatus;
  readonly established: boolean;
}

/** Looks at all definitions of the store at once, for names are given to one of them only. */
export interface CrdSurvey {
  take(): SurveyedCrd[];
  /** Names of the built-in kinds, and those that definitions were given. */
  claims(): NameClaims;
}

/** `definition` is that of CustomResourceDefinitions, `known` are the built-in kinds. */
export function makeCrdSurvey(
  definition: ResourceDefinition,
  known: readonly ResourceDefinition[],
  store: Store,
  now: () => number,
): CrdSurvey {
  type Found = Pick<SurveyedCrd, "stored" | "object" | "crd">;

  function find(): Found[] {
    return [...everyStored(store, CRD_GROUP, CRD_PLURAL)].map((stored) => {
      const object = asKubeObject(servedObject(definition, stored.body));
      return { stored, object, crd: asCrd(object) };
    });
  }

  function claimsOf(definitions: readonly Found[]): NameClaims {
    const all = makeClaims();
    for (const each of known) claim(all, each.group, crdNameOf(each), each);
    for (const { stored, crd } of definitions) {
      const names = isEstablished(crd) ? crd.status?.acceptedNames : undefined;
      if (names !== undefined) claim(all, crd.spec.group, stored.name, names);
    }
    return all;
  }

  return {
    take() {
      const definitions = find();
      const taken = claimsOf(definitions);
      return definitions.map(({ stored, object, crd }) => {
        const terminating = object.metadata.deletionTimestamp !== undefined;
        const { status, established } = crdStatus(taken, stored.name, crd, terminating, now());
        if (established) claim(taken, crd.spec.group, stored.name, status.acceptedNames ?? crd.spec.names);
        return { stored, object, crd, status, established };
      });
    },
    claims: () => claimsOf(find()),
  };
}

/** Makes kinds of definitions: the same as long as the definition says the same, since watches and tables hold on to it. */
export interface KindCache {
  kindOf(entry: SurveyedCrd): CustomKind;
  /** Forgets the kinds of all other definitions. */
  keep(names: ReadonlySet<string>): void;
}

export function makeKindCache(): KindCache {
  const made = new Map<string, { readonly of: unknown; readonly kind: CustomKind }>();
  return {
    kindOf({ stored, crd, status }) {
      const { name, uid } = stored;
      const { spec } = crd;
      const names = status.acceptedNames ?? spec.names;
      const of = { uid, spec, names };
      const there = made.get(name);
      if (there !== undefined && sameJson(there.of, of)) return there.kind;
      const versions = spec.versions.map((version) => ({
        ...version,
        definition: withReadableColumns(kindOfVersion(name, spec, version, names)),
      }));
      const storage = versions.find((version) => version.storage)?.definition;
      if (storage === undefined) throw new Error(`${name} has no storage version`);
      const kind = { served: versions.filter(({ served }) => served).map((version) => version.definition), storage };
      made.set(name, { of, kind });
      return kind;
    },
    keep(names) {
      for (const name of made.keys()) if (!names.has(name)) made.delete(name);
    },
  };
}

/** Name of the definition of a kind. */
export function crdNameOf({ group, plural }: Pick<ResourceDefinition, "group" | "plural">): string {
  return `${plural}.${group}`;
}

function isEstablished({ status }: CustomResourceDefinition): boolean {
  return (
    status?.conditions?.some((condition) => condition.type === "Established" && condition.status === "True") === true
  );
}

const NO_VALUE = "['']";

/** The column's title stays where its path cannot be read; a warning told so when the definition was written. */
function withReadableColumns(definition: ResourceDefinition): ResourceDefinition {
  const columns = definition.columns.map((column) =>
    isReadable(column.jsonPath) ? column : { ...column, jsonPath: NO_VALUE },
  );
  return { ...definition, columns };
}
