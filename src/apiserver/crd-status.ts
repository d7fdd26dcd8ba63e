import { fullNames } from "../model/api/crd-kinds.ts";
import type { CrdNames, CrdStatus, CustomResourceDefinition } from "../model/api/crd-types.ts";
import { timestampOf } from "../model/api/timestamp.ts";

type Condition = NonNullable<CrdStatus["conditions"]>[number];

/** The names in use in each group: kinds and their lists apart from the words of paths and commands. */
export interface NameClaims {
  readonly kinds: Map<string, string>;
  readonly words: Map<string, string>;
}

export function makeClaims(): NameClaims {
  return { kinds: new Map(), words: new Map() };
}

/** Takes the names for `owner`, where nobody else has them. */
export function claim(claims: NameClaims, group: string, owner: string, names: CrdNames): void {
  const full = fullNames(names);
  for (const kind of [full.kind, full.listKind]) take(claims.kinds, `${group}/${kind}`, owner);
  for (const word of [full.plural, full.singular, ...full.shortNames]) take(claims.words, `${group}/${word}`, owner);
}

function take(names: Map<string, string>, name: string, owner: string): void {
  if (!names.has(name)) names.set(name, owner);
}

interface Acceptance {
  readonly names: CrdNames;
  readonly conflict?: { readonly reason: string; readonly message: string };
}

/** Which of the names that a definition asks for it gets; what another one has stays as it was before. */
function accept(claims: NameClaims, name: string, { spec, status }: CustomResourceDefinition): Acceptance {
  const asked = fullNames(spec.names);
  const before = status?.acceptedNames;
  const isFree = (names: Map<string, string>, word: string) =>
    [undefined, name].includes(names.get(`${spec.group}/${word}`));
  const conflicts: { reason: string; message: string }[] = [];
  const inUse = (reason: string, word: string) => conflicts.push({ reason, message: `"${word}" is already in use` });
  const one = (reason: string, names: Map<string, string>, word: string, former: string | undefined) => {
    if (isFree(names, word)) return word;
    inUse(reason, word);
    return former ?? "";
  };
  const plural = one("PluralConflict", claims.words, asked.plural, before?.plural);
  const singular = one("SingularConflict", claims.words, asked.singular, before?.singular);
  const taken = asked.shortNames.filter((word) => !isFree(claims.words, word));
  for (const word of taken) inUse("ShortNamesConflict", word);
  const kind = one("KindConflict", claims.kinds, asked.kind, before?.kind);
  const listKind = one("ListKindConflict", claims.kinds, asked.listKind, before?.listKind);
  const shortNames = taken.length === 0 ? asked.shortNames : (before?.shortNames ?? []);
  const { categories } = asked;
  const names = {
    plural,
    singular,
    kind,
    listKind,
    ...(shortNames.length === 0 ? {} : { shortNames }),
    ...(categories.length === 0 ? {} : { categories }),
  };
  const [first] = conflicts;
  if (first === undefined) return { names };
  return { names, conflict: { reason: first.reason, message: conflicts.map(({ message }) => message).join(", ") } };
}

/** The status that a definition is to have, and whether its kind is served. */
export function crdStatus(
  claims: NameClaims,
  name: string,
  crd: CustomResourceDefinition,
  terminating: boolean,
  now: number,
): { readonly status: CrdStatus; readonly established: boolean } {
  const { names, conflict } = accept(claims, name, crd);
  const before = crd.status?.conditions ?? [];
  // What was served once stays so, under the names of then.
  const established =
    conflict === undefined || before.some(({ type, status }) => type === "Established" && status === "True");
  const wanted: Condition[] = [
    conflict === undefined
      ? { type: "NamesAccepted", status: "True", reason: "NoConflicts", message: "no conflicts found" }
      : { type: "NamesAccepted", status: "False", ...conflict },
    established
      ? {
          type: "Established",
          status: "True",
          reason: "InitialNamesAccepted",
          message: "the initial names have been accepted",
        }
      : { type: "Established", status: "False", reason: "NotAccepted", message: "not all names are accepted" },
    ...(terminating
      ? [
          {
            type: "Terminating",
            status: "True",
            reason: "InstanceDeletionInProgress",
            message: "CustomResource deletion is in progress",
          } as const,
        ]
      : []),
  ];
  const stored = crd.spec.versions.find(({ storage }) => storage)?.name;
  const known = crd.status?.storedVersions ?? [];
  return {
    established,
    status: {
      conditions: wanted.map((condition) => dated(condition, before, now)),
      acceptedNames: names,
      storedVersions: stored === undefined || known.includes(stored) ? known : [...known, stored],
    },
  };
}

function dated(condition: Condition, before: readonly Condition[], now: number): Condition {
  const former = before.find(({ type, status }) => type === condition.type && status === condition.status);
  return { ...condition, lastTransitionTime: former?.lastTransitionTime ?? timestampOf(now) };
}
