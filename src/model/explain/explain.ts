import type { NicContext, NicWiring } from "../bindings/binding.ts";
import { bindingOf } from "../bindings/registry.ts";
import { spoofGuardOf, unguarded } from "../bindings/spoof-guard.ts";
import { qualifiedName } from "../networks/multus.ts";
import { networkNeeds } from "../networks/registry.ts";
import type { PodFacts } from "../wiring/facts.ts";
import { nicContexts, wire } from "../wiring/nics.ts";
import { type PlanRequest, planVmi, typicalFactsOf } from "../wiring/plan.ts";
import { type Claim, TOPICS, type Told, type Topic } from "./claim.ts";
import { fromWiring, migrationOf, needsOf } from "./from-wiring.ts";
import { type Note, notesOf } from "./notes.ts";

/** What a VMI's network is, in plain words: the shape of `patchbay explain -o json`. */
export interface Explanation {
  readonly vmi: { readonly namespace: string; readonly name: string };
  /** True where the facts are those of the VMI's own pod; else they are a typical pod's. */
  readonly running: boolean;
  /** Whether the VMI can be migrated live, as far as its NICs go. */
  readonly migratable: boolean;
  readonly nics: readonly ExplainedNic[];
}

export interface ExplainedNic {
  readonly name: string;
  /** The field that chooses the binding; of a plugin its name. */
  readonly binding: string;
  /** The network as a phrase: `the pod network`, `multus ns/name`. */
  readonly network: string;
  readonly podInterface: string;
  /** False where the manifest sets the link down: the claims hold once it is up. */
  readonly linkUp: boolean;
  readonly claims: readonly Claim[];
  /** Warnings of KubeVirt's documentation that apply. */
  readonly notes: readonly Note[];
}

/** Explains a VMI on a pod of these facts, or on a typical one. Throws the Fault that would stop it. */
export function explainVmi(request: PlanRequest, given?: PodFacts): Explanation {
  const { namespace, name, spec } = request;
  const nics = nicContexts(request);
  const facts = given ?? typicalFactsOf(request, nics);
  // What cannot be built together, or not started, is not explained one by one.
  if (given === undefined) planVmi(request, facts);
  else wire(nics, facts);
  const dedicatedCpus = spec.domain.cpu?.dedicatedCpuPlacement === true;
  const explained = nics.map((nic): ExplainedNic => {
    const wired = bindingOf(nic.binding).wire(nic, facts);
    return {
      name: nic.name,
      binding: nic.plugin?.name ?? nic.binding,
      network: networkPhrase(nic, namespace),
      podInterface: nic.podInterface,
      linkUp: nic.linkUp,
      claims: claimsOf(nic, facts, wired, request),
      notes: notesOf({ nic, wired, facts, dedicatedCpus }),
    };
  });
  return {
    vmi: { namespace, name },
    running: given !== undefined,
    migratable: nics.every((nic) => bindingOf(nic.binding).migration(nic).migratable),
    nics: explained,
  };
}

function claimsOf(
  nic: NicContext,
  facts: PodFacts,
  wired: NicWiring,
  { namespace, ofVm }: PlanRequest,
): readonly Claim[] {
  const binding = bindingOf(nic.binding);
  const { needs, ...says } = binding.explain(nic, facts, wired);
  const guard = spoofGuardOf(nic, wired);
  const told: Readonly<Partial<Record<Topic, Told>>> = {
    ...says,
    out: { ...says.out, statement: `${says.out.statement}${unguarded(nic, wired)}` },
    ...(guard === undefined ? {} : { guard }),
    ...fromWiring(nic, facts, wired, ofVm === true),
    migration: migrationOf(binding.migration(nic), nic, wired.nic.attachment),
    needs: needsOf([...networkNeeds(nic.network, namespace), ...needs]),
  };
  return (Object.keys(TOPICS) as Topic[]).flatMap((topic) => {
    const said = told[topic];
    return said === undefined ? [] : [{ id: `${nic.binding}.${topic}` as const, ...said }];
  });
}

function networkPhrase({ network }: NicContext, namespace: string): string {
  switch (network.kind) {
    case "pod":
      return "the pod network";
    case "multus": {
      const name = qualifiedName(network.networkName, namespace);
      return network.default ? `${name}, by Multus in place of the pod network` : `${name}, by Multus`;
    }
    case "genie":
      return `${network.networkName}, by Genie`;
    case "resourceClaim":
      return `the claim ${network.claimName}, request ${network.requestName}`;
  }
}
